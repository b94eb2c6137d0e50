"""Rigid alignment, on a made body in closed form, on real CT moved by SimpleITK, and failing."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from aegle.domain.errors import QuantityError
from aegle.domain.grid import Grid
from aegle.domain.registration import Verdict
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.rigid_ct import RigidOptions, register_rigid
from aegle.phantoms.thorax import ThoraxOptions, make_visit

GRID = Grid(shape=(52, 64, 76), spacing_mm=(5.0, 4.6, 4.6), origin_mm=(-172.0, -145.0, -128.0))
AXIAL, SAGITTAL, FEET_FIRST = (
    ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
)

# Centre [mm], half axes [mm], HU; later ones lie over earlier ones.
BODY = ((0, 0, 0), (150, 100, 170), 40)
LUNGS = (((-70, -5, 30), (48, 65, 90), -820), ((68, 0, 25), (42, 60, 85), -820))
LIVER = ((-45, -10, -80), (80, 60, 45), 65)
VERTEBRAE = tuple(
    ((3 + 0.05 * z, 62 - 0.04 * z, z), (16, 14, 11), 420) for z in range(-150, 151, 30)
)
BONES = (
    *VERTEBRAE,
    ((-112, 10, 60), (8, 40, 12), 500),
    ((118, -20, 10), (8, 35, 14), 480),
    ((-118, 5, -20), (9, 45, 10), 520),
    ((100, 40, 90), (30, 10, 25), 450),
    ((5, -80, 50), (18, 7, 60), 380),
)


def turned(degrees, shift_mm):
    """Return the 4×4 of turns about x, y and z through the origin, then a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def scan(motion=None, *, grid=GRID, liver_mm=(0, 0, 0), noise_hu=25.0, seed=0, couch=True):
    """Return the CT of the made body after a motion; the couch stays where it is."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1).astype(float)
    here = grid.to_patient(index)
    inverse = np.linalg.inv(np.eye(4) if motion is None else motion)
    body = here @ inverse[:3, :3].T + inverse[:3, 3]
    values = np.full(grid.shape, -1000.0)
    if couch:
        plate = (np.abs(here[..., 1] - 106) < 7) & (np.abs(here[..., 0]) < 160)
        values[plate] = 200.0
    liver = (tuple(np.add(LIVER[0], liver_mm)), *LIVER[1:])
    for centre, half_axes, hu in (BODY, *LUNGS, liver, *BONES):
        depth = np.linalg.norm((body - centre) / half_axes, axis=-1)
        inside = 1 / (1 + np.exp(np.clip((depth - 1) * min(half_axes) / 1.5, -50, 50)))
        values += inside * (hu - values)
    values += np.random.default_rng(seed).normal(0, noise_hu, grid.shape)
    return Volume(values=values.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)


def register(fixed, moving, **options):
    return register_rigid(fixed, moving, options=RigidOptions(**options))


def errors(registration, truth):
    """Return the largest distance [mm] over the body and the angle [degree] from the truth."""
    points = np.stack(np.meshgrid([-100, 0, 100], [-60, 0, 60], [-120, 0, 120]), -1).reshape(-1, 3)
    wanted = points @ truth[:3, :3].T + truth[:3, 3]
    distance = np.linalg.norm(registration.to_moving(points) - wanted, axis=1).max()
    apart = np.array(registration.matrix)[:3, :3] @ truth[:3, :3].T
    return distance, np.degrees(Rotation.from_matrix(apart).magnitude())


@pytest.fixture(scope="module")
def fixed():
    return scan()


@pytest.mark.parametrize(
    ("degrees", "shift_mm"),
    [
        pytest.param((0, 0, 0), (7.3, -4.1, 11.7), id="a shift along all axes"),
        pytest.param((4, -3, 6), (-12, 9, 5), id="turns about all axes"),
        pytest.param((-2, 5, -9), (30, -20, -45), id="a large move"),
    ],
)
def test_a_known_move_is_recovered(fixed, degrees, shift_mm):
    truth = turned(degrees, shift_mm)

    result = register(fixed, scan(truth, seed=1))

    distance_mm, angle_degree = errors(result, truth)
    assert result.verdict is Verdict.GOOD
    assert distance_mm < 0.5
    assert angle_degree < 0.3


@pytest.mark.parametrize("axes", [SAGITTAL, FEET_FIRST])
def test_orientation_of_the_slices_does_not_matter(fixed, axes):
    truth = turned((3, -2, 5), (6, -8, 10))
    shape, spacing_mm = (
        ((74, 58, 52), (4.6, 5.0, 5.0)) if axes is SAGITTAL else (GRID.shape, GRID.spacing_mm)
    )
    centred = Grid(shape=shape, spacing_mm=spacing_mm, axes=axes)
    grid = replace(centred, origin_mm=tuple(-centred.centre_mm))

    result = register(fixed, scan(truth, grid=grid, seed=2))

    distance_mm, _ = errors(result, truth)
    assert result.verdict is Verdict.GOOD
    assert distance_mm < 0.7


def test_the_matrix_is_the_transform_with_which_simpleitk_resamples(fixed):
    moving = scan(turned((3, -2, 5), (9, -8, 14)), seed=3, couch=False)
    result = register(fixed, moving)

    transform = sitk.AffineTransform(3)
    matrix = np.array(result.matrix)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    images = []
    for volume in (fixed, moving):
        image = sitk.GetImageFromArray(volume.values)
        image.SetSpacing(volume.grid.spacing_mm[::-1])
        image.SetOrigin(volume.grid.origin_mm)
        images.append(image)
    aligned = sitk.Resample(images[1], images[0], transform, sitk.sitkLinear, -1000.0)

    core = np.s_[10:-10, 20:-30, 20:-20]
    before = np.abs(moving.values - fixed.values)[core].mean()
    after = np.abs(sitk.GetArrayFromImage(aligned) - fixed.values)[core].mean()
    assert after < 0.35 * before


def test_reruns_are_identical(fixed):
    pair = fixed, cut(scan(turned((4, -3, 6), (-12, 9, 5)), seed=1), 15, 40)

    assert register(*pair) == register(*pair)


def test_the_couch_does_not_pull(fixed):
    truth = turned((0, 0, 0), (24, 0, 9))

    distance_mm, _ = errors(register(fixed, scan(truth, seed=4)), truth)

    assert distance_mm < 0.5


def test_bone_decides_where_soft_tissue_moved_otherwise(fixed):
    truth = turned((1, 0, -2), (5, 3, -6))

    distance_mm, _ = errors(register(fixed, scan(truth, liver_mm=(0, -4, 18), seed=5)), truth)

    assert distance_mm < 1.0


def cut(volume, first, last):
    """Return some slices of a volume, at their place."""
    grid = volume.grid
    origin = tuple(grid.to_patient(np.array([float(first), 0, 0])))
    shape = (last - first, *grid.shape[1:])
    return Volume(
        values=volume.values[first:last],
        grid=replace(grid, shape=shape, origin_mm=origin),
        quantity=volume.quantity,
    )


def test_tables_at_different_heights_do_not_matter(fixed):
    part = cut(scan(seed=6), 30, 52)
    away_mm = (40, 0, 700)
    far = tuple(np.add(part.grid.origin_mm, away_mm))

    result = register(fixed, replace(part, grid=replace(part.grid, origin_mm=far)))

    assert result.verdict is Verdict.GOOD
    assert result.correlation_before == 0
    # Some of the points lie outside the part.
    assert errors(result, turned((0, 0, 0), away_mm))[0] < 1.0


def test_scans_of_different_parts_fail_and_say_so(fixed):
    result = register(cut(fixed, 0, 20), cut(scan(seed=7), 32, 52))

    assert result.verdict is Verdict.FAILED
    assert np.array_equal(result.matrix, np.eye(4))
    assert str(result.reason)


def test_half_a_scan_aligns_with_the_whole(fixed):
    truth = turned((2, 0, 3), (5, -6, 8))

    result = register(fixed, cut(scan(truth, seed=8), 12, 44))

    assert result.verdict is not Verdict.FAILED
    assert errors(result, truth)[0] < 1.0


def test_little_overlap_is_never_good(fixed):
    result = register(cut(fixed, 0, 30), cut(scan(seed=9), 22, 52))

    assert result.verdict is not Verdict.GOOD


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda v: np.full_like(v, -1000), "no body", id="air"),
        pytest.param(lambda v: np.full_like(v, 40), "unlike", id="a block of water"),
        pytest.param(
            lambda v: np.random.default_rng(0).normal(0, 300, v.shape).astype(np.float32),
            "",
            id="noise",
        ),
        pytest.param(lambda v: np.full_like(v, np.nan), "", id="not a number"),
    ],
)
def test_what_cannot_be_aligned_fails_and_says_why(fixed, change, reason):
    moving = replace(fixed, values=change(fixed.values))

    for pair in ((fixed, moving), (moving, fixed)):
        result = register(*pair)
        assert result.verdict is Verdict.FAILED
        assert reason in str(result.reason)


def test_a_few_slices_are_too_thin(fixed):
    assert "too thin" in str(register(fixed, cut(fixed, 20, 23)).reason)


def test_a_turned_patient_is_doubtful(fixed):
    moving = scan(turned((0, 0, 25), (0, 0, 0)), seed=10)

    assert register(fixed, moving).verdict is Verdict.DOUBTFUL


def test_refuses_what_is_not_ct(fixed):
    with pytest.raises(QuantityError, match="radiodensity"):
        register(fixed, replace(fixed, quantity=Quantity.SIGNAL))


def test_breathing_moves_the_made_chest_but_not_its_alignment():
    first, later = (make_visit(v, options=ThoraxOptions(shape=(50, 96, 96))) for v in (0, 1))

    result = register(first.ct, later.ct)

    truth = np.eye(4)
    truth[:3, :3], truth[:3, 3] = later.motion.rotation, later.motion.shift_mm
    centre = {lesion.name: np.array(lesion.centre_mm) for lesion in first.lesions}
    apart_mm = {
        name: np.linalg.norm(result.to_moving(p) - later.motion.from_reference(p))
        for name, p in centre.items()
    }
    assert result.verdict is Verdict.GOOD
    assert errors(result, truth)[1] < 0.3
    # The upper mediastinum hardly breathes; nodules near the diaphragm do.
    assert apart_mm["lymph_node"] < 1.0
    assert apart_mm["tumour"] < 1.0
    assert apart_mm["nodule_right"] < 5.0


def read_ct(path):
    image = sitk.Shrink(sitk.ReadImage(str(path), sitk.sitkFloat32), [1, 1, 2])
    return image, volume_of(image)


def volume_of(image):
    values = sitk.GetArrayFromImage(image)
    axes = np.array(image.GetDirection()).reshape(3, 3).T[::-1]
    return Volume(
        values=values,
        grid=Grid(
            shape=values.shape,
            spacing_mm=image.GetSpacing()[::-1],
            origin_mm=image.GetOrigin(),
            axes=tuple(map(tuple, axes)),
        ),
        quantity=Quantity.RADIODENSITY,
    )


def test_a_real_chest_moved_by_simpleitk_is_found_again(shared_data):
    image, fixed = read_ct(shared_data("lung1_001_ct", "ct.nii.gz"))
    centre = fixed.grid.centre_mm
    # Resampling pulls: the output at p shows what the input has at T(p), so anatomy goes to
    # the inverse of T.
    pull = sitk.Euler3DTransform(centre.tolist(), 0.05, -0.04, 0.08, (12.0, -9.0, 17.0))
    moving = volume_of(sitk.Resample(image, image, pull, sitk.sitkBSpline, -1000.0))

    result = register(fixed, moving)

    points = centre + np.random.default_rng(0).uniform(-100, 100, (50, 3))
    back = pull.GetInverse()
    wanted = [back.TransformPoint(p) for p in points.tolist()]
    assert result.verdict is Verdict.GOOD
    assert np.linalg.norm(result.to_moving(points) - wanted, axis=1).max() < 0.5


def test_two_different_people_fail(shared_data):
    _, one = read_ct(shared_data("lung1_001_ct", "ct.nii.gz"))
    _, other = read_ct(shared_data("totalsegmentator_examples", "example_ct.nii.gz"))

    assert register(one, other).verdict is Verdict.FAILED
