import numpy as np
import pytest
from scipy import ndimage

from aegle.domain.errors import OptionError
from aegle.phantoms.degradations import (
    NOISE_SHARES,
    SIDES,
    Degradation,
    Harm,
    cut,
    degraded,
    moved,
    with_grain,
    with_implant,
    with_streaks,
    with_text,
)


@pytest.fixture(scope="module")
def picture():
    y, x = np.indices((160, 192))
    disc = np.hypot((y - 80) / 60, (x - 96) / 75) < 1
    plane = 120.0 * ndimage.gaussian_filter(disc.astype(float), 2) + 10
    plane[60:70, 40:50] = 250
    return plane.astype(np.float32)


@pytest.fixture(scope="module")
def ct():
    y, x = np.indices((128, 128))
    body = np.hypot((y - 64) / 40, (x - 64) / 52) < 1
    return np.where(body, 40.0, -1000.0).astype(np.float32)


@pytest.mark.parametrize("harm", Harm)
def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(picture, harm):
    first, again, other = (
        degraded(picture, Degradation(harm=harm, grade=2, seed=seed)) for seed in (4, 4, 5)
    )

    assert first.tobytes() == again.tobytes()
    if harm is not Harm.BLUR:
        assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("harm", [harm for harm in Harm if harm is not Harm.CUT])
def test_higher_grades_change_more(picture, harm):
    changes = [
        np.abs(degraded(picture, Degradation(harm=harm, grade=grade, seed=3)) - picture).mean()
        for grade in (1, 2, 3)
    ]

    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("grade", [0, 4])
def test_other_grades_are_refused(grade):
    with pytest.raises(OptionError, match="1, 2 or 3"):
        Degradation(harm=Harm.NOISE, grade=grade)


def test_noise_is_the_share_of_the_range_that_it_says(picture):
    noisy = degraded(picture, Degradation(harm=Harm.NOISE, grade=2))
    low, high = np.percentile(picture, (1, 99))
    # Noise is clipped at the darkest and the brightest shade.
    between = (picture > 60) & (picture < 200)

    assert (noisy - picture)[between].std() == pytest.approx(
        NOISE_SHARES[1] * (high - low), rel=0.1
    )
    assert noisy.max() <= picture.max()
    assert noisy.min() >= picture.min()


def test_grain_has_its_deviation_and_is_shared_by_neighbours(ct):
    noise = with_grain(ct, 30.0, seed=1) - ct

    assert noise.std() == pytest.approx(30, rel=0.01)
    assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.3


@pytest.mark.parametrize(("angle_deg", "axis"), [(0.0, 1), (90.0, 0)])
def test_movement_smears_along_its_own_direction(angle_deg, axis):
    point = np.zeros((41, 41), np.float32)
    point[20, 20] = 1
    smeared = moved(point, 11, angle_deg=angle_deg)
    along, across = (np.count_nonzero(smeared.sum(axis=k) > 1e-3) for k in (1 - axis, axis))

    assert along == pytest.approx(12, abs=1)
    assert across == 1
    assert smeared.sum() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("side", SIDES)
def test_cut_takes_its_share_off_its_own_side(side):
    plane = np.zeros((100, 100), np.float32)
    plane[20:80, 10:90] = 100
    left = cut(plane, 0.25, side=side)
    length = 60 if side in ("top", "bottom") else 80
    edges = {"top": left[0], "bottom": left[-1], "left": left[:, 0], "right": left[:, -1]}

    assert (plane.sum() - left.sum()) / plane.sum() == pytest.approx(0.25, abs=2 / length)
    assert [name for name, edge in edges.items() if edge.max() > 0] == [side]


def test_implant_is_as_bright_as_the_picture_and_of_its_size(picture):
    shown = with_implant(picture, 20, seed=2)
    added = (shown > 0.999 * picture.max()) & (picture < 200)
    case = ndimage.binary_opening(added, iterations=3)
    area = np.pi * 10 * 10 / 1.3

    assert shown.max() == picture.max()
    assert np.count_nonzero(case) == pytest.approx(area, rel=0.2)


def test_metal_throws_streaks_of_both_signs_and_leaves_far_tissue_alone(ct):
    shown = with_streaks(ct, 12, spacing_mm=(2.0, 2.0), seed=3)
    y, x = np.nonzero(shown > 3000)
    away_mm = 2 * np.hypot(*(np.indices(ct.shape) - np.array([y.mean(), x.mean()])[:, None, None]))
    change = shown - ct
    near, far = (
        change[(ct > 0) & (away_mm > low) & (away_mm < high)] for low, high in ((10, 30), (60, 90))
    )

    # A disc of 12 mm covers 113 square millimetres.
    assert 4 * len(y) == pytest.approx(113, rel=0.35)
    assert near.min() < -50
    assert near.max() > 50
    assert far.std() < 0.7 * near.std()


def test_text_is_written_in_the_brightest_shade_near_top_or_bottom(picture):
    shown = with_text(picture, 2, seed=1)
    rows = np.flatnonzero(np.any(shown > picture + 20, axis=1))

    assert shown.max() == picture.max()
    assert rows.max() < 45 or rows.min() > 115
