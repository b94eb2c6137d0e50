"""What steers an alignment: masks, a sliding border, engines, folds; and trials of its verdict."""

import numpy as np
import pytest
from scipy import ndimage
from tests.imaging.test_registration import (
    GRID,
    QUICK,
    SHAPE,
    anatomy,
    image,
    inner_points,
    miss_mm,
    motion,
    swell,
    undo,
    unswell,
)

from aegle.domain.registration import Verdict
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.registration import RegistrationOptions, register


def place_mm():
    return GRID.to_patient(np.moveaxis(np.indices(SHAPE), 0, -1).astype(float))


def with_values(values, seed):
    noise = np.random.default_rng(seed).normal(0, 10, SHAPE)
    return Volume(
        values=(values + noise).astype(np.float32), grid=GRID, quantity=Quantity.RADIODENSITY
    )


def test_a_mask_makes_the_motion_that_of_what_it_shows():
    """The upper half moves by (0, 0, 0), the lower by (8, -4, 0) mm; the mask picks one."""
    place = place_mm()
    shift = np.array([8.0, -4.0, 0.0])
    still, moved = anatomy(place), anatomy(place - shift)
    upper = place[..., 2] > 0
    fixed = with_values(still, 1)
    moving = with_values(np.where(upper, still, moved), 2)
    options = RegistrationOptions(motion="rigid", **QUICK)
    for part, wanted in ((upper, 0 * shift), (~upper, shift)):
        # A rim of 8 mm keeps the patches of self-similarity out of the other half.
        inner = ndimage.binary_erosion(part, iterations=2, border_value=1)
        mask = Structure.of("half", inner, GRID)
        result = register(fixed, moving, options=options, fixed_mask=mask)
        points = place[inner & (still > -500)]
        assert miss_mm(result, points + wanted, points).mean() < 0.5


def test_a_sliding_border_keeps_its_step():
    """Inside of a cylinder all moves up by 6 mm, outside down by 6 mm."""
    place = place_mm()
    radius = np.linalg.norm(place[..., :2], axis=-1)
    inside = radius < 34
    step = np.array([0.0, 0.0, 6.0])
    up, down = anatomy(place - step), anatomy(place + step)
    fixed = with_values(anatomy(place), 1)
    moving = with_values(np.where(inside, up, down), 2)
    part = Structure.of("cylinder", inside, GRID)
    options = RegistrationOptions(start="coordinates", polish=False, **QUICK)
    near = (abs(radius - 34) < 10) & (abs(place[..., 2]) < 30)
    points = place[near]
    wanted = points + np.where(inside[near][:, None], step, -step)
    slid = miss_mm(register(fixed, moving, options=options, sliding=part), wanted, points).mean()
    stuck = miss_mm(register(fixed, moving, options=options), wanted, points).mean()
    assert slid < 0.8 * stuck
    assert slid < 3.0


@pytest.mark.parametrize(("engine", "share"), [("demons", 0.5), ("b-spline", 0.6)])
def test_engines_of_itk_recover_a_known_field(engine, share):
    points = inner_points()
    before_mm = np.linalg.norm(swell(points) - points, axis=-1).mean()
    options = RegistrationOptions(engine=engine, start="coordinates", **QUICK)
    result = register(image(), image(unswell), options=options)
    assert miss_mm(result, swell(points), points).mean() < share * before_mm
    np.testing.assert_allclose(result.to_fixed(result.to_moving(points)), points, atol=1e-3)


@pytest.mark.parametrize("allow_folds", [False, True])
def test_folds_are_repaired_unless_they_are_allowed(allow_folds):
    """Two unrelated patients pull the field apart; without repair it folds."""
    options = RegistrationOptions(
        start="coordinates", stiffness=0.05, polish=False, allow_folds=allow_folds, **QUICK
    )
    quality = register(image(), image(seed=3), options=options).quality
    assert (quality.folded_percent > 0) is allow_folds


def test_inverse_and_field_meet_on_the_grid():
    """The stored inverse v leads back: z + v(z) + u(z + v(z)) = z, at voxels, within 0.1 mm."""
    options = RegistrationOptions(start="coordinates", **QUICK)
    result = register(image(), image(unswell), options=options)
    places = inner_points()
    back = places + result.inverse.at(places)
    miss = np.linalg.norm(back + result.displacement.at(back) - places, axis=-1)
    assert miss.mean() < 0.1
    assert result.quality.inverse_consistency_mm < 0.02


def brightened(ct, seed):
    """Return the tissues of a CT in an unrelated order of brightness."""
    rng = np.random.default_rng(seed)
    bright = np.r_[0.0, rng.permutation(np.linspace(150, 800, 8))]
    values = np.interp(ct.values, (-1000, -700, -400, -200, -50, 50, 150, 300, 500), bright)
    return Volume(values=values.astype(np.float32), grid=ct.grid, quantity=Quantity.SIGNAL)


@pytest.mark.parametrize("two_kinds", [False, True], ids=["one kind", "two kinds"])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_the_same_patient_is_told_from_another(seed, two_kinds):
    """Six random motions are found and believed, six other patients are not."""
    rng = np.random.default_rng(seed)
    truth = motion(rng.uniform(-8, 8, 3), rng.uniform(-20, 20, 3))
    fixed = image(seed=seed)
    moved, other = image(undo(truth), seed=seed), image(seed=seed + 50)
    if two_kinds:
        moved, other = brightened(moved, seed), brightened(other, seed)
    options = RegistrationOptions(motion="rigid", **QUICK)
    points = inner_points()

    right = register(fixed, moved, options=options)

    assert right.verdict is not Verdict.FAILED
    assert miss_mm(right, points @ truth[:3, :3].T + truth[:3, 3], points).mean() < 1.0
    assert register(fixed, other, options=options).verdict is Verdict.FAILED
