"""Made pictures whose lesions are known."""

import numpy as np
import pytest

from aegle.phantoms.lesion_pictures import LESION_RADIUS, SIDE, lesion_pictures

MADE = lesion_pictures(60, 5)
SICK = np.flatnonzero(MADE.has_lesion)


def test_every_second_picture_has_a_lesion_and_only_those_a_mask():
    assert MADE.values.shape == (60, 1, SIDE, SIDE)
    assert MADE.has_lesion.tolist() == [0, 1] * 30
    assert MADE.masks.any(axis=(1, 2)).tolist() == [False, True] * 30


def test_lesions_are_discs_of_the_stated_radius():
    """Area = pi r squared, to the pixels at the rim."""
    area = MADE.masks[SICK].sum(axis=(1, 2))
    low, high = (np.pi * r**2 for r in LESION_RADIUS)

    assert area.min() >= low - 12
    assert area.max() <= high + 12
    for mask in MADE.masks[SICK]:
        rows, columns = np.nonzero(mask)
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 1


def test_lesions_are_brighter_than_their_surroundings_but_not_than_the_bars():
    values = MADE.values[:, 0].astype(float)
    inside = np.array([values[i][MADE.masks[i]].mean() for i in SICK])
    outside = np.array([np.median(values[i]) for i in SICK])

    assert (inside - outside).mean() > 45
    healthy = values[MADE.has_lesion == 0]
    assert np.percentile(healthy, 99) == pytest.approx(np.percentile(values[SICK], 99), abs=25)


def test_the_same_seed_gives_the_same_pictures_and_another_others():
    again, other = lesion_pictures(4, 5), lesion_pictures(4, 6)

    np.testing.assert_array_equal(again.values, MADE.values[:4])
    assert not np.array_equal(other.values, again.values)
