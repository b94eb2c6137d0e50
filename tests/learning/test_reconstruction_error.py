"""The baselines of anomaly detection against scikit-learn, scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.decomposition import PCA

from aegle.learning.model import Model, ModelFacts
from aegle.learning.networks.autoencoders import narrow_autoencoder
from aegle.learning.reconstruction_error import (
    ErrorOptions,
    blurred,
    by_components,
    by_model,
    error_scores,
    scores_between,
    structural_similarity,
)


def pictures(count, seed=0, size=16):
    random = np.random.default_rng(seed)
    basis = random.normal(size=(12, size * size))
    values = 128 + 12 * random.normal(size=(count, 12)) @ basis / 2
    return values.clip(0, 255).astype(np.uint8).reshape(count, 1, size, size)


def test_components_draw_like_a_peer():
    training, asked = pictures(30), pictures(5, seed=1)
    peer = PCA(4, svd_solver="full").fit(training.reshape(30, -1) / 255)
    expected = peer.inverse_transform(peer.transform(asked.reshape(5, -1) / 255))

    drawn = by_components(training, 4)(asked)

    np.testing.assert_allclose(drawn.reshape(5, -1), expected, atol=1e-5)


def test_narrow_autoencoder_that_starts_as_components_scores_like_them():
    training, asked = pictures(30), pictures(5, seed=1)
    network = narrow_autoencoder(code=4, size=16)
    network.start_from(torch.from_numpy(training).float() / 255)
    facts = ModelFacts(
        name="narrow 1",
        task="reconstruct",
        network="narrow-autoencoder",
        network_settings={"code": 4, "size": 16},
        mean=(0.0,),
        deviation=(1.0,),
    )
    options = ErrorOptions()

    own = error_scores(by_model(Model(facts=facts, network=network)), asked, options=options)
    components = error_scores(by_components(training, 4), asked, options=options)

    np.testing.assert_allclose(own.images, components.images, atol=1e-5)


@pytest.mark.parametrize(
    ("measure", "share", "expected"),
    [
        pytest.param("squared", 1.0, 0.01, id="a quarter of the pixels is 0.2 off"),
        pytest.param("squared", 0.25, 0.04, id="the worst quarter"),
        pytest.param("absolute", 1.0, 0.05, id="absolute"),
        pytest.param("absolute", 0.5, 0.1, id="the worse half"),
    ],
)
def test_score_is_the_mean_error_of_the_worst_share(measure, share, expected):
    image = np.full((1, 1, 8, 8), 51, np.uint8)
    drawn = np.full((1, 1, 8, 8), 0.2, np.float32)
    drawn[:, :, :4, :4] = 0.4

    found = scores_between(image, drawn, options=ErrorOptions(measure=measure, share=share))

    assert found.images[0] == pytest.approx(expected, rel=1e-5)
    assert np.unravel_index(found.maps[0].argmax(), (8, 8)) < (4, 4)


def test_blur_is_that_of_a_peer():
    maps = np.random.default_rng(0).random((2, 20, 17)).astype(np.float32)

    peer = [ndimage.gaussian_filter(one, 2, mode="nearest", truncate=3.0) for one in maps]

    np.testing.assert_allclose(blurred(torch.from_numpy(maps), 2.0), peer, atol=1e-6)


def test_similarity_of_flat_images_is_the_term_of_brightness():
    # Wang 2004, equation 6, without variance: (2 a b + C1) / (a² + b² + C1).
    first, second = torch.full((1, 9, 9), 0.5), torch.full((1, 9, 9), 0.3)
    expected = (2 * 0.15 + 1e-4) / (0.25 + 0.09 + 1e-4)

    torch.testing.assert_close(
        structural_similarity(first, second), torch.full((1, 9, 9), expected), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(structural_similarity(first, first), torch.ones(1, 9, 9))


def test_structure_scores_nothing_where_the_drawing_is_the_image():
    image = pictures(2)
    options = ErrorOptions(measure="structure")

    same = scores_between(image, (image / 255).astype(np.float32), options=options).images
    inverted = scores_between(image, (1 - image / 255).astype(np.float32), options=options).images

    np.testing.assert_allclose(same, 0, atol=1e-5)
    assert (inverted > 1).all()


def test_inverted_contrast_is_less_similar_than_none():
    wave = 0.5 + 0.3 * torch.sin(torch.arange(16.0)).expand(1, 16, 16)

    inverted = structural_similarity(wave, 1 - wave).mean()

    assert inverted < structural_similarity(wave, torch.full_like(wave, 0.5)).mean() < 0.1
    assert inverted < -0.5
