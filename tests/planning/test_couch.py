"""Water that beams cross outside the patient, against plates of known thickness."""

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.planning.couch import couch_mm, through_couch

SAD_MM = 1000.0


def scene(couch_hu=0.0, axes=None):
    """Return CT, body and target: a cylinder on a plate of 10 mm below it (to the back)."""
    facts = {} if axes is None else {"axes": axes}
    grid = Grid(shape=(30, 60, 60), spacing_mm=(4.0, 2.5, 4.0), **facts)
    grid = Grid(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_mm=tuple((-grid.centre_mm).tolist()),
        **facts,
    )
    x, y, z = np.moveaxis(
        grid.to_patient(np.stack(np.indices(grid.shape), -1).astype(float)), -1, 0
    )
    body = (x / 80) ** 2 + (y / 40) ** 2 < 1
    target = np.hypot(np.hypot(x, y), z) < 15
    hu = np.where(body, 0.0, -1000.0)
    hu[(y > 50) & (y < 60)] = couch_hu
    ct = Volume(values=hu.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)
    outline = Structure.of("body", body, grid, type=StructureType.EXTERNAL)
    return ct, outline, Structure.of("PTV", target, grid, type=StructureType.TARGET)


OBLIQUE = ((0.6, 0.0, 0.8), (0.0, 1.0, 0.0), (0.8, 0.0, -0.6))


@pytest.mark.parametrize("axes", [None, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize(
    ("gantry", "expected_mm"),
    [
        (0.0, 0.0),
        (90.0, 0.0),
        (270.0, 0.0),
        (180.0, 10.0),
        # A plate is crossed aslant: 10 mm / cos 40°.
        (140.0, 13.05),
        (220.0, 13.05),
    ],
)
def test_a_plate_of_water_counts_with_its_slant(open_field, gantry, expected_mm, axes):
    beam = open_field(30, (0, 0, 0), gantry=gantry)

    (found_mm,) = couch_mm(*scene(axes=axes), (beam,), SAD_MM)

    assert found_mm == pytest.approx(expected_mm, abs=0.3)


def test_a_thin_couch_counts_by_its_density(open_field):
    # -545 HU lies midway between -1000 and -90 HU, where the table has 0.001 and 0.95.
    ct, body, target = scene(couch_hu=-544.5)

    (found_mm,) = couch_mm(ct, body, target, (open_field(30, (0, 0, 0), gantry=180.0),), SAD_MM)

    assert found_mm == pytest.approx(4.755, abs=0.2)


def test_foam_is_passed_over(open_field):
    ct, body, target = scene(couch_hu=-930.0)

    assert couch_mm(ct, body, target, (open_field(30, (0, 0, 0), gantry=180.0),), SAD_MM) == [0.0]


def test_beams_through_the_couch_are_named_with_what_they_lose(open_field):
    beams = [open_field(30, (0, 0, 0), gantry=angle) for angle in (0.0, 140.0, 180.0)]

    (text,) = through_couch(*scene(), beams, SAD_MM)

    # 1 - exp(-0.005 × 13.05) = 6.3 %.
    assert "Beams at gantry 140°, 180° pass" in str(text)
    assert "about 6 % (13 mm of water)" in str(text)
    assert through_couch(*scene(), beams[:1], SAD_MM) == ()
