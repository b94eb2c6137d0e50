"""What is odd: parts of the memory against closed forms, the whole on made textures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aegle import catalogue
from aegle.domain.errors import InputError, OptionError
from aegle.learning.anomaly import (
    BankOptions,
    bank_model,
    describe,
    fit_bank,
    k_centers,
    reader,
    scores_of,
    spacing_of,
    whitening_of,
)
from aegle.learning.model import ModelFacts, load, save
from aegle.learning.networks.memory_bank import highest, memory_bank, oddness

FACTS = ModelFacts(
    name="textures 1",
    task="anomaly",
    network="memory-bank",
    channels=3,
    mean=(0.5,),
    deviation=(0.25,),
)
OPTIONS = BankOptions(taps=(3, 6), patches=200)


def points(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def textures(count, seed=0):
    """Return noise of one grain, (image, 1, 96, 96)."""
    random = np.random.default_rng(seed)
    coarse = random.normal(128, 30, (count, 1, 48, 48)).clip(0, 255)
    return coarse.repeat(2, axis=2).repeat(2, axis=3).astype(np.uint8)


@pytest.fixture(scope="module")
def backbone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return catalogue.load("network", "mobilenet-v2")(classes=2, batch_norm=False).eval()


@pytest.fixture(scope="module")
def fitted(backbone):
    groups = [str(number) for number in range(16)]
    return fit_bank(backbone, textures(16), groups=groups, facts=FACTS, options=OPTIONS)


def covering(values, chosen):
    return torch.cdist(values, values[chosen]).min(1).values.max()


@pytest.mark.parametrize("seed", range(8))
def test_chosen_patches_cover_within_twice_the_best_choice(seed):
    # The best 3 centres of 11 points, by trying all of them.
    values = points(11, 2, seed=seed)
    choices = torch.combinations(torch.arange(11), 3)
    best = min(covering(values, choice) for choice in choices)

    assert covering(values, k_centers(values, 3, seed)) <= 2 * best + 1e-6


def test_chosen_patches_are_all_different_even_among_equal_points():
    assert sorted(k_centers(torch.ones(6, 2), 6, 0).tolist()) == [0, 1, 2, 3, 4, 5]
    assert len(k_centers(points(5, 100), 9, 0)) == 5


def test_one_chosen_patch_lies_in_each_far_cluster():
    centres = 100 * torch.eye(4)
    values = torch.cat([centre + 0.1 * points(30, 4, seed=n) for n, centre in enumerate(centres)])

    assert sorted((k_centers(values, 4, 3) // 30).tolist()) == [0, 1, 2, 3]


def test_whitened_points_have_equal_variances_that_sum_to_one_and_do_not_correlate():
    values = points(2000, 5) @ points(5, 5, seed=1) + 3

    mean, whitening = whitening_of(values, 1e-9)
    covariance = torch.cov(((values - mean) @ whitening).T, correction=0)

    torch.testing.assert_close(5 * covariance, torch.eye(5), atol=1e-3, rtol=0)


def test_without_whitening_all_values_are_scaled_alike():
    values = points(500, 3) * torch.tensor([1.0, 2.0, 4.0])
    mean, whitening = whitening_of(values, 0)
    scaled = (values - mean) @ whitening

    assert float(scaled.var(0, correction=0).sum()) == pytest.approx(1, abs=1e-4)
    assert float(scaled[:, 2].std() / scaled[:, 0].std()) == pytest.approx(
        float(values[:, 2].std() / values[:, 0].std()), rel=1e-4
    )


def test_spacing_is_the_mean_distance_to_the_nearest_others():
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])

    torch.testing.assert_close(spacing_of(line, 2), torch.tensor([2.0, 1.5, 2.5, 5.0]))


def test_a_distance_counts_relative_to_the_spacing_at_the_nearest_patch():
    patches, spacing = torch.tensor([[0.0, 0.0], [10.0, 0.0]]), torch.tensor([0.5, 4.0])
    asked = torch.tensor([[0.0, 1.0], [10.0, 2.0], [6.0, 3.0]])

    # 1 / 0.5; 2 / 4; and 5 / 4, since (10, 0) is nearer to (6, 3).
    torch.testing.assert_close(oddness(asked, patches, spacing), torch.tensor([2.0, 0.5, 1.25]))


def test_patches_that_do_not_count_are_passed_over():
    patches, spacing = torch.tensor([[0.0], [4.0]]), torch.ones(2)
    kept = torch.tensor([[False, True]])

    assert oddness(torch.tensor([[1.0]]), patches, spacing, kept).tolist() == [3.0]


def test_score_is_the_mean_of_the_oddest_share():
    odd = torch.tensor([[[1.0, 2.0], [3.0, 10.0]]])

    assert highest(odd, 1.0).item() == 4.0
    assert highest(odd, 0.5).item() == 6.5
    assert highest(odd, 0.01).item() == 10.0


def test_planted_square_is_oddest_where_it_lies(fitted):
    normal, odd = textures(6, seed=9), textures(6, seed=9)
    odd[:, :, 56:80, 16:40] = 250
    model = bank_model(fitted, FACTS)

    usual, found = scores_of(model, normal), scores_of(model, odd)

    assert (found.images > usual.images).all()
    assert (found.images > fitted.limit).all()
    for one in found.maps:
        row, column = np.unravel_index(one.argmax(), one.shape)
        assert 52 <= row < 84
        assert 12 <= column < 44


def test_new_normal_images_score_like_training_images_that_others_judge(fitted):
    found = scores_of(bank_model(fitted, FACTS), textures(16, seed=5))

    assert found.images.mean() == pytest.approx(fitted.training_scores.mean(), rel=0.02)


def test_training_scores_leave_the_image_itself_out(backbone, fitted):
    # An image that is its own only patch source would otherwise score lower than a new one.
    with_itself = scores_of(bank_model(fitted, FACTS), textures(16)).images

    assert (fitted.training_scores > 1.05 * with_itself).all()


def test_training_scores_leave_the_whole_group_out(backbone):
    twice = textures(8).repeat(2, axis=0)
    options = BankOptions(taps=(6,), patches=1152)
    alone, paired = (
        fit_bank(backbone, twice, groups=groups, facts=FACTS, options=options)
        for groups in ([str(n) for n in range(16)], [str(n // 2) for n in range(16)])
    )

    # Each image has a twin: where the twin may remember it, it is not odd at all.
    assert alone.network.banks[0].scale < 0.75 * paired.network.banks[0].scale


def test_limit_is_the_percentile_of_the_training_scores(backbone):
    options = replace(OPTIONS, limit_percentile=75)
    groups = [str(number) for number in range(16)]
    fitted = fit_bank(backbone, textures(16), groups=groups, facts=FACTS, options=options)

    assert (fitted.training_scores > fitted.limit).sum() == 4


def test_model_file_gives_the_same_scores(fitted, tmp_path):
    model = bank_model(fitted, FACTS)
    images = textures(3, seed=4)
    again = load(save(model, tmp_path / "model.safetensors"))

    first, second = scores_of(model, images), scores_of(again, images)

    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.maps, second.maps)
    assert again.facts.extras["limit"] == fitted.limit
    assert again.facts.task == "anomaly"


def test_same_seed_gives_the_same_memory(backbone, fitted):
    groups = [str(number) for number in range(16)]
    again = fit_bank(backbone, textures(16), groups=groups, facts=FACTS, options=OPTIONS)

    for name, value in fitted.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_memory_looks_at_the_blocks_that_are_named(backbone, fitted):
    images = textures(1)
    described = describe(reader(backbone, (3, 6)), images, FACTS)

    assert {tap: tuple(features.shape[1:]) for tap, features in described.items()} == {
        3: (24, 24, 24),
        6: (32, 12, 12),
    }


@pytest.mark.parametrize("taps", [(), (6, 3), (3, 3), (-1,), (18,)])
def test_taps_that_are_no_ascending_blocks_are_refused(taps):
    with pytest.raises(OptionError, match="ascending numbers of blocks"):
        memory_bank(taps=taps)


@pytest.mark.parametrize("groups", [["a"] * 3, ["a", "b", "b"]])
def test_images_of_two_patients_are_too_few_for_a_limit(backbone, groups):
    with pytest.raises(InputError, match="at least three patients"):
        fit_bank(backbone, textures(3), groups=groups, facts=FACTS, options=OPTIONS)


def test_another_network_finds_nothing_odd(backbone):
    from aegle.learning.model import Model

    facts = replace(FACTS, task="classify", network="mobilenet-v2", classes=("a", "b"))
    with pytest.raises(InputError, match="no memory bank"):
        scores_of(Model(facts=facts, network=backbone), textures(1))
