from math import pi

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.resample import AxialOrder, Coarse, resample, resample_structure

SAGITTAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
OBLIQUE = ((0.0, -0.6, 0.8), (0.48, 0.7019972, 0.5264979), (0.8772685, -0.384, -0.288))


def positions(grid):
    return grid.to_patient(np.stack(np.indices(grid.shape), -1).astype(float))


def ramp(grid):
    values = positions(grid) @ np.array([2.0, -3.0, 0.5]) + 7
    return Volume(values=values.astype(np.float32), grid=grid, quantity=Quantity.ABSORBED_DOSE)


SOURCE = Grid(
    shape=(20, 24, 22), spacing_mm=(3.0, 2.0, 2.5), origin_mm=(-30, 20, 55), axes=SAGITTAL
)


@pytest.mark.parametrize(
    "axes",
    [
        pytest.param(((0, 0, 1), (0, 1, 0), (1, 0, 0)), id="axial"),
        pytest.param(((0, 0, -1), (0, 1, 0), (-1, 0, 0)), id="flipped"),
        pytest.param(OBLIQUE, id="oblique"),
    ],
)
def test_a_ramp_in_patient_space_stays_the_same_ramp_on_any_grid(axes):
    unit = np.linalg.qr(np.array(axes, float).T)[0].T
    unit *= np.sign((unit * np.array(axes, float)).sum(axis=1))[:, None]
    centre_mm = SOURCE.centre_mm
    axes = tuple(tuple(axis) for axis in unit.tolist())
    origin_mm = tuple((centre_mm - (np.array([4, 5, 4]) * (1.7, 1.1, 1.3)) @ unit).tolist())
    grid = Grid(shape=(9, 11, 9), spacing_mm=(1.7, 1.1, 1.3), origin_mm=origin_mm, axes=axes)

    found = resample(ramp(SOURCE), grid, outside=-999)

    np.testing.assert_allclose(found.values, ramp(grid).values, atol=1e-3)
    assert found.quantity is Quantity.ABSORBED_DOSE
    assert found.grid == grid


def test_voxels_beyond_the_image_get_the_outside_value():
    far = Grid(shape=(2, 2, 2), spacing_mm=(1, 1, 1), origin_mm=(900, 0, 0))

    assert np.all(resample(ramp(SOURCE), far, outside=-1024).values == -1024)


def test_the_same_grid_gives_the_same_volume():
    volume = ramp(SOURCE)

    assert resample(volume, SOURCE, outside=0) is volume


def ball(grid, centre_mm, radius_mm):
    away_mm = np.linalg.norm(positions(grid) - centre_mm, axis=-1)
    return Structure.of("ball", away_mm <= radius_mm, grid, type=StructureType.LESION, origin="SEG")


@pytest.mark.parametrize("smooth", [False, True])
def test_a_ball_stays_where_it_is_on_another_grid(smooth):
    centre_mm = SOURCE.centre_mm + np.array([1.3, -2.1, 0.6])
    target = Grid(
        shape=(70, 60, 64),
        spacing_mm=(1.0, 1.0, 1.0),
        origin_mm=tuple((SOURCE.centre_mm - (32.2, 30.3, 35.1)).tolist()),
    )

    found = resample_structure(ball(SOURCE, centre_mm, 15), target, smooth=smooth)

    np.testing.assert_allclose(found.centroid_mm, centre_mm, atol=0.4)
    assert found.volume_ml == pytest.approx(4 / 3 * pi * 15**3 / 1000, rel=0.03)
    assert (found.name, found.type, found.origin) == ("ball", StructureType.LESION, "SEG")
    assert found.grid == target


def test_nearest_voxels_agree_with_simpleitk():
    random = np.random.default_rng(2)
    mask = random.random(SOURCE.shape) < 0.4
    target = Grid(
        shape=(18, 19, 20),
        spacing_mm=(2.1, 1.7, 2.3),
        origin_mm=tuple((SOURCE.centre_mm - (21.3, 17.2, 20.7)).tolist()),
    )
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(SOURCE.spacing_mm[::-1])
    image.SetOrigin(SOURCE.origin_mm)
    image.SetDirection([0, 0, 1, 1, 0, 0, 0, -1, 0])  # Columns y, rows -z, slices x.
    reference = sitk.Image(target.shape[::-1], sitk.sitkUInt8)
    reference.SetSpacing(target.spacing_mm[::-1])
    reference.SetOrigin(target.origin_mm)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor)
    )

    found = resample_structure(Structure.of("noise", mask, SOURCE), target)

    np.testing.assert_array_equal(found.mask, expected > 0)


def test_what_lies_beyond_the_new_grid_is_cut_off():
    centre_mm = SOURCE.centre_mm
    half = Grid(
        shape=(60, 60, 30),
        spacing_mm=(1, 1, 1),
        origin_mm=tuple((centre_mm - (0, 30, 30) + (0.5, 0, 0)).tolist()),
    )
    far = Grid(shape=(5, 5, 5), spacing_mm=(1, 1, 1), origin_mm=(900, 0, 0))
    whole = ball(SOURCE, centre_mm, 14)

    assert resample_structure(whole, half).volume_ml == pytest.approx(whole.volume_ml / 2, rel=0.05)
    assert resample_structure(whole, far).is_empty


def test_an_empty_structure_stays_empty():
    target = Grid(shape=(5, 5, 5), spacing_mm=(1, 1, 1))

    assert resample_structure(Structure.of("x", np.zeros(SOURCE.shape), SOURCE), target).is_empty


signed_axes = st.permutations([0, 1, 2]).flatmap(
    lambda order: st.tuples(*[st.sampled_from([1.0, -1.0])] * 3).map(
        lambda signs: tuple(
            tuple(float(s) if k == axis else 0.0 for k in range(3))
            for axis, s in zip(order, signs, strict=True)
        )
    )
)


@settings(max_examples=48, deadline=None)
@given(signed_axes)
def test_axial_order_keeps_every_voxel_at_its_place(axes):
    grid = Grid(shape=(3, 4, 5), spacing_mm=(3.0, 2.0, 1.0), origin_mm=(1, 2, 3), axes=axes)
    order = AxialOrder.of(grid)
    reordered = order.grid(grid)

    np.testing.assert_allclose(
        np.stack([order.apply(positions(grid)[..., k]) for k in range(3)], -1),
        positions(reordered),
    )
    np.testing.assert_allclose(reordered.axes, [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    values = np.arange(60.0).reshape(grid.shape)
    np.testing.assert_array_equal(order.undo(order.apply(values)), values)


def test_blocks_hold_the_mean_of_their_voxels():
    values = np.arange(4 * 6 * 7, dtype=np.float32).reshape(4, 6, 7)

    coarse = Coarse.of(values, (1.0, 1.0, 1.0), 2.0)

    assert coarse.values.shape == (2, 3, 4)
    assert coarse.values[1, 2, 1] == values[2:4, 4:6, 2:4].mean()
    assert coarse.values[0, 0, 3] == values[0:2, 0:2, 6].mean()
    mask = np.zeros((2, 3, 4), bool)
    mask[1, 0, 3] = True
    assert coarse.refined(mask).shape == values.shape
    assert np.argwhere(coarse.refined(mask)).tolist() == [
        [2, 0, 6],
        [2, 1, 6],
        [3, 0, 6],
        [3, 1, 6],
    ]
    np.testing.assert_array_equal(coarse.sampled(coarse.refined(mask)), mask)
