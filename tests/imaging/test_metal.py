from math import pi

import numpy as np
import pytest
from scipy import ndimage

from aegle.imaging.metal import bright_solids, dense_metal


def water(noise_hu=10.0):
    return np.random.default_rng(0).normal(0, noise_hu, (10, 96, 96)).astype(np.float32)


def rod(planes, radius_px=4.0, hu=3071.0, slices=slice(2, 7)):
    y, x = np.indices(planes.shape[1:])
    planes[slices, np.hypot(y - 48, x - 40) <= radius_px] = hu
    return planes


def test_volume_of_a_rod_is_known():
    found = dense_metal(rod(water()), (2.0, 1.0, 1.0))

    assert found.volume_ml == pytest.approx(pi * 16 * 5 * 2 / 1000, rel=0.05)
    assert found.slices == 5


def test_streaks_beside_it_are_measured_in_hu():
    calm = dense_metal(rod(water(10)), (2.0, 1.0, 1.0))
    restless = dense_metal(rod(water(80)), (2.0, 1.0, 1.0))

    assert calm.streaks_hu == pytest.approx(10, rel=0.25)
    assert restless.streaks_hu == pytest.approx(80, rel=0.25)


@pytest.mark.parametrize("hu", [400.0, 1500.0, 2400.0])
def test_bone_and_enamel_are_no_metal(hu):
    assert dense_metal(rod(water(), hu=hu), (2.0, 1.0, 1.0)).volume_ml == 0


def test_single_bright_pixel_is_no_metal():
    planes = water()
    planes[4, 20, 20] = 3071

    assert dense_metal(planes, (2.0, 1.0, 1.0)).volume_ml == 0


@pytest.fixture
def radiograph():
    """Two dark lungs beside a bright middle, no steep border."""
    y, x = np.indices((256, 256)) / 255
    lungs = sum(
        np.exp(-(((x - middle) / 0.13) ** 2) - ((y - 0.45) / 0.28) ** 2) for middle in (0.28, 0.72)
    )
    return (200 - 130 * lungs).astype(np.float32)


def implant(plane, row, column, half=(12, 8), value=255.0, blur_px=0.7):
    shadow = np.zeros(plane.shape)
    shadow[row - half[0] : row + half[0], column - half[1] : column + half[1]] = 1
    covered = ndimage.gaussian_filter(shadow, blur_px)
    return (plane + covered * (value - plane)).astype(np.float32)


def test_organs_are_no_metal(radiograph):
    assert bright_solids(radiograph) == 0


@pytest.mark.parametrize("column", [70, 128])
def test_implant_is_found_over_lung_and_over_the_middle(radiograph, column):
    percent = bright_solids(implant(radiograph, 120, column))

    assert percent == pytest.approx(100 * 24 * 16 / 256**2, rel=0.25)


def test_marker_at_the_edge_is_no_implant(radiograph):
    assert bright_solids(implant(radiograph, 12, 70)) == 0


def test_soft_bright_shadow_is_no_metal(radiograph):
    assert bright_solids(implant(radiograph, 120, 70, blur_px=9.0)) == 0
