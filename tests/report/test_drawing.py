"""What is drawn: on the right side, in the right proportions, the same every time."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pixels

from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.report.drawing import LARGEST_BYTES, Outline, Scene, Segment, draw
from aegle.report.planes import Plane
from aegle.report.shades import LUNG, SOFT_TISSUE, Window, glow, wash, window_of
from aegle.report.slices import NO_PALETTE, Subject, fused, slice_of

SQUARE = (400, 400)


def pixels(scene, size=SQUARE):
    data, width, height = draw(scene, size)
    assert (width, height) == size
    return np.asarray(Pixels.open(io.BytesIO(data)).convert("RGB")).astype(int)


def blank(rows, columns):
    return np.zeros((rows, columns, 3), np.uint8)


@pytest.mark.parametrize("mirrored", [False, True], ids=["plain grid", "flipped grid"])
def test_blob_on_the_patients_right_is_drawn_at_the_left(case, mirrored):
    across = (-1.0, 0.0, 0.0) if mirrored else (1.0, 0.0, 0.0)
    start = 40.0 if mirrored else -40.0
    grid = Grid(
        shape=(3, 41, 41),
        spacing_mm=(5.0, 2.0, 2.0),
        origin_mm=(start, -40.0, 0.0),
        axes=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), across),
    )
    values = np.full(grid.shape, -100, np.float32)
    slice_, row, column = grid.to_indices(np.array([-24.0, 0.0, 5.0])).round().astype(int)
    values[slice_, row - 3 : row + 4, column - 3 : column + 4] = 200
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    image = replace(case.examinations.visits[0].images[0], volume=volume)

    picture = pixels(slice_of(Subject(image=image), Plane.AXIAL, NO_PALETTE).scene)

    bright = np.argwhere(picture[:, :, 0] > 180)
    bright = bright[(np.abs(bright - 200) < 150).all(axis=1)]
    assert bright[:, 1].mean() < 150
    assert bright[:, 0].mean() == pytest.approx(200, abs=6)


def test_a_square_of_thick_slices_stays_square():
    """40 mm by 40 mm, seen as 8 rows of 5 mm and 40 columns of 1 mm."""
    base = blank(20, 100)
    base[6:14, 30:70] = 255
    picture = pixels(Scene(base=base, pixel_mm=(5.0, 1.0), has_scale=False))

    bright = np.argwhere(picture[:, :, 0] > 128)
    height, width = np.ptp(bright, axis=0)

    assert height == pytest.approx(160, abs=8)
    assert width == pytest.approx(160, abs=8)


def test_scale_bar_is_as_long_as_it_says():
    scene = Scene(base=blank(100, 100), pixel_mm=(2.0, 2.0))

    picture = pixels(scene)

    row = picture[int(0.955 * 400)]
    length = np.count_nonzero(row[:, 0] > 128)
    assert length == pytest.approx(400 * 50 / 200, abs=4)


def test_diameters_are_drawn_where_they_were_measured():
    line = Segment(np.array([[10.0, 50.0], [60.0, 50.0]]), colour="#00ff00")
    scene = Scene(base=blank(100, 100), pixel_mm=(1.0, 1.0), segments=(line,), has_scale=False)

    green = np.argwhere(pixels(scene)[:, :, 1] > 128)

    assert green[:, 1].min() == pytest.approx((10.5) * 4, abs=5)
    assert green[:, 1].max() == pytest.approx((60.5) * 4, abs=5)
    assert green[:, 0].mean() == pytest.approx(50.5 * 4, abs=2)


def test_contour_runs_along_the_border_of_its_mask():
    mask = np.zeros((100, 100), bool)
    mask[20:40, 60:90] = True
    outline = Outline(mask, "#00ff00")
    scene = Scene(base=blank(100, 100), pixel_mm=(1.0, 1.0), outlines=(outline,), has_scale=False)

    green = np.argwhere(pixels(scene)[:, :, 1] > 128)

    assert green.min(axis=0) == pytest.approx([20 * 4, 60 * 4], abs=3)
    assert green.max(axis=0) == pytest.approx([40 * 4, 90 * 4], abs=3)


def test_pictures_stay_small_however_noisy():
    noise = np.random.default_rng(1).integers(0, 255, (512, 512, 1)).repeat(3, axis=2)
    scene = Scene(base=noise.astype(np.uint8), pixel_mm=(1.0, 1.0))

    data, _, _ = draw(scene)

    assert len(data) <= LARGEST_BYTES
    assert draw(scene)[0] == data


def test_window_spreads_its_values_over_the_grey_scale():
    values = np.float32([[-200, -160, 40, 240, 500, np.nan]])

    assert SOFT_TISSUE.grey(values)[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    inverted = Window(0, 10, "SUV", is_inverted=True)
    assert inverted.grey(np.float32([[0, 10]]))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("hu", "expected"), [(-820, LUNG), (40, SOFT_TISSUE), (-1000, SOFT_TISSUE)]
)
def test_window_suits_what_is_seen(hu, expected):
    values = np.full((2, 4, 4), hu, np.float32)
    grid = Grid(shape=(2, 4, 4), spacing_mm=(1.0, 1.0, 1.0))
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)

    assert window_of(volume, values) == expected


def test_low_dose_and_low_uptake_are_not_coloured():
    base = np.full((1, 2, 3), 100, np.uint8)

    washed = wash(base, np.float32([[0.05, 0.9]]), lowest=0.1, strength=0.5)
    glowing = glow(base, np.float32([[0.5, 9.0]]), Window(0, 10, "SUV"))

    for picture in (washed, glowing):
        assert picture[0, 0].tolist() == [100, 100, 100]
        assert picture[0, 1, 0] > 120


def test_pet_glows_where_the_uptake_is(case):
    ct, pet = case.examinations.visits[0].images
    lesion = case.findings.visits[0].lesions[0]

    shown = fused(ct, pet, Plane.AXIAL, lesion.structure.centroid_mm)

    red, _, blue = np.moveaxis(shown.scene.base.astype(int), -1, 0)
    _, columns = np.nonzero(red - blue > 60)
    assert columns.mean() < 0.45 * red.shape[1]
