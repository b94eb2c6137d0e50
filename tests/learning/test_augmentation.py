"""Each change of an image against its formula."""

import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from aegle.learning.augmentation import (
    AugmentationOptions,
    Parameters,
    apply,
    augment,
    sample,
)

EVERYTHING = AugmentationOptions(
    rotation_deg=15,
    scale=0.1,
    shift=0.1,
    shear=0.1,
    mirror=True,
    flip=True,
    gamma=0.3,
    contrast=0.3,
    brightness=0.1,
    noise=0.1,
    blur=1.5,
    invert=0.3,
    erase=0.5,
    border=0.5,
)


def images(count=3, channels=1, shape=(20, 24), seed=0):
    values = np.random.default_rng(seed).uniform(0.2, 0.8, (count, channels, *shape))
    return torch.from_numpy(values).float()


def unchanged(count, axes=2, **changes):
    """Return parameters that change nothing but what is named."""
    neutral = sample(AugmentationOptions(), count, (8,) * axes, np.random.default_rng(0))
    content = neutral.to_json() | {name: np.array(v).tolist() for name, v in changes.items()}
    return Parameters.from_json(content)


def test_without_options_nothing_changes():
    given = images()

    result = augment(AugmentationOptions())(given, np.random.default_rng(0))

    assert torch.equal(result, given)


@pytest.mark.parametrize("shape", [(20, 24), (6, 10, 12)])
def test_the_images_given_stay_as_they_are(shape):
    given = images(shape=shape)
    before = given.clone()

    result = augment(EVERYTHING)(given, np.random.default_rng(0))

    assert torch.equal(given, before)
    assert not torch.equal(result, before)
    assert result.min() >= 0
    assert result.max() <= 1


def test_gamma_is_the_power_of_the_value():
    given = images(2)

    result = apply(given, unchanged(2, gamma=[0.7, 1.6]))

    np.testing.assert_allclose(result[0], given[0] ** 0.7, rtol=1e-5)
    np.testing.assert_allclose(result[1], given[1] ** 1.6, rtol=1e-5)


def test_contrast_stretches_about_the_mean_of_each_image():
    given = images(2)
    given[1] -= 0.1

    result = apply(given, unchanged(2, contrast=[1.2, 0.5]))

    for number, factor in enumerate((1.2, 0.5)):
        mean = given[number].mean()
        np.testing.assert_allclose(
            result[number], mean + factor * (given[number] - mean), rtol=1e-5
        )


def test_brightness_is_added_and_kept_in_range():
    given = images(2)

    result = apply(given, unchanged(2, brightness=[0.1, 0.5]))

    np.testing.assert_allclose(result[0], given[0] + 0.1, rtol=1e-5)
    np.testing.assert_allclose(result[1], (given[1] + 0.5).clamp(max=1), rtol=1e-5)


def test_noise_has_its_standard_deviation():
    given = torch.full((2, 1, 200, 200), 0.5)

    result = apply(given, unchanged(2, noise=[0.02, 0.08], noise_seed=[1, 2]))

    for number, deviation in enumerate((0.02, 0.08)):
        # The standard error of a standard deviation of 40,000 values is 0.35 %.
        assert float(result[number].std()) == pytest.approx(deviation, rel=0.015)
        assert float(result[number].mean()) == pytest.approx(0.5, abs=4 * deviation / 200)


def test_the_seed_of_noise_decides_it():
    given = torch.full((3, 1, 8, 8), 0.5)

    result = apply(given, unchanged(3, noise=[0.1] * 3, noise_seed=[1, 2, 1]))

    assert torch.equal(result[0], result[2])
    assert not torch.equal(result[0], result[1])


@pytest.mark.parametrize("shape", [(20, 24), (8, 10, 12)])
def test_blur_is_scipys_gaussian_filter(shape):
    given = images(2, channels=2, shape=shape)
    parameters = unchanged(2, axes=len(shape), blur=[0.8, 1.7])

    result = apply(given, parameters)

    for number, deviation in enumerate((0.8, 1.7)):
        for channel in range(2):
            expected = ndimage.gaussian_filter(
                given[number, channel].numpy(), deviation, mode="nearest"
            )
            np.testing.assert_allclose(result[number, channel], expected, atol=2e-6)


def test_inversion_is_one_minus_the_value():
    given = images(2)

    result = apply(given, unchanged(2, invert=[False, True]))

    assert torch.equal(result[0], given[0])
    np.testing.assert_allclose(result[1], 1 - given[1], rtol=1e-6)


def test_an_erased_rectangle_holds_the_mean():
    given = images(2, shape=(20, 40))

    result = apply(given, unchanged(2, erase=[[[0, 0], [0, 0]], [[0.1, 0.4], [0.5, 0.75]]]))

    assert torch.equal(result[0], given[0])
    inside = np.zeros((20, 40), bool)
    inside[2:8, 20:30] = True
    np.testing.assert_allclose(result[1, 0][inside], given[1].mean(), rtol=1e-5)
    assert np.array_equal(result[1, 0][~inside], given[1, 0][~inside])


def test_a_covered_border_is_black_and_of_its_width():
    given = images(2, shape=(20, 40))

    result = apply(given, unchanged(2, border=[0, 0.1]))

    assert torch.equal(result[0], given[0])
    expected = np.zeros((20, 40))
    expected[2:18, 4:36] = given[1, 0, 2:18, 4:36]
    np.testing.assert_array_equal(result[1, 0], expected)


def test_a_mirrored_image_is_mirrored_left_to_right():
    given = images(8)
    parameters = sample(AugmentationOptions(mirror=True), 8, (20, 24), np.random.default_rng(0))

    result = apply(given, parameters)

    mirrored = parameters.affine[:, 0, 0] < 0
    assert 0 < mirrored.sum() < 8
    for number in range(8):
        expected = given[number].flip(2) if mirrored[number] else given[number]
        np.testing.assert_allclose(result[number], expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(20, 24), (6, 10, 12)])
def test_parameters_kept_as_json_give_the_same_images(shape):
    given = images(4, shape=shape)
    parameters = sample(EVERYTHING, 4, shape, np.random.default_rng(5))
    kept = Parameters.from_json(json.loads(json.dumps(parameters.to_json())))

    assert torch.equal(apply(given, kept), apply(given, parameters))


def test_a_part_of_a_batch_is_changed_as_in_the_whole():
    given = images(6)
    whole = augment(EVERYTHING)(given, np.random.default_rng(7))

    part = augment(EVERYTHING).part(given[2:5], np.random.default_rng(7), count=6, start=2)

    np.testing.assert_allclose(part, whole[2:5], atol=1e-6)


def test_one_kind_of_change_does_not_alter_the_draw_of_another():
    alone = sample(AugmentationOptions(noise=0.1), 5, (8, 8), np.random.default_rng(1))
    beside = sample(EVERYTHING, 5, (8, 8), np.random.default_rng(1))

    np.testing.assert_array_equal(alone.noise, beside.noise)
    np.testing.assert_array_equal(alone.noise_seed, beside.noise_seed)


def test_shares_are_kept():
    options = AugmentationOptions(invert=0.3, erase=0.2, border=0.1, gamma=0.5, share=0.5)

    drawn = sample(options, 4000, (8, 8), np.random.default_rng(0))

    # Four standard errors of a share of 4,000 are below 0.032.
    assert np.mean(drawn.invert) == pytest.approx(0.15, abs=0.03)
    assert np.mean(drawn.erase[:, 0, 1] > 0) == pytest.approx(0.1, abs=0.03)
    assert np.mean(drawn.border > 0) == pytest.approx(0.05, abs=0.03)
    assert np.mean(drawn.gamma != 1) == pytest.approx(0.5, abs=0.032)
    assert np.exp(-0.5) <= drawn.gamma.min() < 0.62 < 1.6 < drawn.gamma.max() <= np.exp(0.5)
