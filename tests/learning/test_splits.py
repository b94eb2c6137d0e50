"""What belongs together stays together, and every part looks like the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.errors import InputError
from aegle.learning.samples import Sample
from aegle.learning.splits import folds, fraction, holdout, in_split


def patients(count, seed=0):
    """Return groups of one to five images, and labels of which a fifth are ill."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, count)
    ill = rng.random(count) < 0.2
    groups = [f"p{i}" for i, size in enumerate(sizes) for _ in range(size)]
    return groups, np.repeat(ill, sizes).astype(np.int64)


def straddling(groups, one, other):
    return {groups[i] for i in one} & {groups[i] for i in other}


def test_each_image_is_held_out_once_and_no_patient_is_on_both_sides():
    groups, labels = patients(200)

    found = folds(groups, labels, 5, seed=1)

    assert len(found) == 5
    held = np.concatenate([fold.held_out for fold in found])
    assert sorted(held.tolist()) == list(range(len(groups)))
    for training, held_out in found:
        assert straddling(groups, training, held_out) == set()
        assert len(training) + len(held_out) == len(groups)
        assert labels[held_out].mean() == pytest.approx(labels.mean(), abs=0.03)


def test_single_images_are_stratified():
    labels = np.repeat([0, 1, 2], [500, 300, 20])

    for _, held_out in folds([str(i) for i in range(820)], labels, 5, seed=0):
        assert np.bincount(labels[held_out]).tolist() == [100, 60, 4]


def test_the_seed_decides_the_folds():
    groups, labels = patients(60)

    one, same, other = (folds(groups, labels, 3, seed=s)[0].held_out.tolist() for s in (1, 1, 2))

    assert one == same != other


def test_a_class_needs_a_group_for_every_fold():
    labels = np.array([0, 0, 0, 1, 1, 1])

    with pytest.raises(InputError, match=r"Class 1 has 1 group\(s\), too few for 2"):
        folds(["a", "b", "c", "d", "d", "d"], labels, 2, seed=0)
    with pytest.raises(InputError, match="do not belong together"):
        folds(["a"], labels, 2, seed=0)


@given(st.integers(0, 1000), st.floats(0.02, 1), st.floats(0.02, 1))
@settings(max_examples=50, deadline=None)
def test_smaller_shares_are_part_of_larger_ones(seed, one, other):
    groups, labels = patients(80, seed)
    everything = np.arange(len(labels))
    small, large = (
        set(fraction(everything, groups, labels, share, seed).tolist())
        for share in sorted((one, other))
    )

    assert small <= large
    assert straddling(groups, large, set(everything.tolist()) - large) == set()


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_a_share_is_that_of_every_class(share):
    groups, labels = patients(2000)
    chosen = fraction(np.arange(len(labels)), groups, labels, share, seed=3)

    got = np.bincount(labels[chosen]) / np.bincount(labels)

    np.testing.assert_allclose(got, share, atol=0.01)


def test_all_of_it_is_all_of_it_and_a_tiny_share_keeps_every_class():
    groups, labels = patients(50)
    indices = np.arange(10, len(labels))

    np.testing.assert_array_equal(fraction(indices, groups, labels, 1.0, seed=0), indices)
    tiny = fraction(indices, groups, labels, 1e-6, seed=0)
    assert set(labels[tiny]) == {0, 1}
    assert len({groups[i] for i in tiny}) == 2


def test_only_the_given_images_are_chosen_from():
    groups, labels = patients(100)
    indices = np.arange(0, len(labels), 3)

    assert set(fraction(indices, groups, labels, 0.5, seed=0)) <= set(indices)


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_shares_outside_their_bounds_are_errors(share):
    with pytest.raises(InputError, match="not above 0 and at most 1"):
        fraction(np.arange(2), ["a", "b"], np.array([0, 1]), share, seed=0)


def test_a_holdout_has_every_class_on_both_sides():
    groups, labels = patients(300)

    training, held_out = holdout(groups, labels, 0.2, seed=0)

    assert straddling(groups, training, held_out) == set()
    np.testing.assert_allclose(np.bincount(labels[held_out]) / np.bincount(labels), 0.2, atol=0.03)
    with pytest.raises(InputError, match="Class 1 has too few groups"):
        holdout(["a", "b", "c"], np.array([0, 0, 1]), 0.3, seed=0)


def test_the_split_of_the_data_is_found():
    samples = [Sample(name=str(i), split=split) for i, split in enumerate(["train", "val", "", ""])]

    assert in_split(samples, "val").tolist() == [1]
    assert in_split(samples, "test").tolist() == []
    assert in_split(samples, "test").dtype == np.int64
