"""What cannot be planned is refused, and what holds only in part is said."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.plan import Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.checks import cautions, require_plannable, unknown_density

GRID = Grid(shape=(20, 40, 40), spacing_mm=(5.0, 5.0, 5.0), origin_mm=(-97.5, -97.5, -47.5))
ASKED = Prescription(target="PTV", dose_gy=60, fractions=30)
BODY = (slice(0, 20), slice(5, 35), slice(5, 35))
SAD_MM = 1000.0


def structure(name, window, kind=StructureType.TARGET, grid=GRID):
    mask = np.zeros(grid.shape, bool)
    mask[window] = True
    return Structure.of(name, mask, grid, type=kind)


def patient(target=(slice(8, 12), slice(18, 22), slice(18, 22)), grid=GRID):
    hu = np.full(grid.shape, -1000.0, np.float32)
    hu[BODY] = 0.0
    ct = Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY)
    body = structure("body", BODY, StructureType.EXTERNAL, grid)
    return ct, StructureSet((body, structure("PTV", target, grid=grid)))


def said(ct, structures, beams=()):
    return " ".join(str(text) for text in cautions(ct, structures, ASKED, beams, SAD_MM))


def test_a_plain_patient_needs_no_word():
    ct, structures = patient()

    require_plannable(ct, structures, ASKED)

    assert said(ct, structures) == ""


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ct_of_one_slice_is_refused(axis):
    shape = tuple(1 if number == axis else 20 for number in range(3))
    grid = replace(GRID, shape=shape)
    ct = Volume(values=np.zeros(shape, np.float32), grid=grid, quantity=Quantity.RADIODENSITY)
    whole = StructureSet((Structure.of("PTV", np.ones(shape, bool), grid),))

    with pytest.raises(GeometryError, match="at least 2 along each"):
        require_plannable(ct, whole, ASKED)


def test_a_grid_without_slices_does_not_exist():
    with pytest.raises(GeometryError, match="positive shape"):
        replace(GRID, shape=(0, 40, 40))


def test_other_values_than_hu_are_refused():
    ct, structures = patient()
    dose = Volume(values=ct.values, grid=GRID, quantity=Quantity.ABSORBED_DOSE)

    with pytest.raises(QuantityError):
        require_plannable(dose, structures, ASKED)


def test_a_structure_on_another_grid_is_refused():
    ct, structures = patient()
    moved = replace(structures["PTV"], grid=replace(GRID, origin_mm=(0.0, 0.0, 0.0)))

    with pytest.raises(GeometryError, match="'PTV' and the CT lie on different grids"):
        require_plannable(ct, StructureSet((structures["body"], moved)), ASKED)


def test_a_target_without_a_voxel_is_refused():
    ct, structures = patient()
    empty = structure("PTV", (slice(0, 0),) * 3)

    with pytest.raises(InputError, match="'PTV' holds no voxel of the CT"):
        require_plannable(ct, StructureSet((structures["body"], empty)), ASKED)
    with pytest.raises(InputError, match="No structure 'PTV'"):
        require_plannable(ct, StructureSet((structures["body"],)), ASKED)


def test_a_target_in_air_is_refused_and_one_that_touches_it_is_said():
    # The body ends before row 35: 4 of these 4 rows are air, then 1 of 4.
    in_air, touching = (
        patient((slice(8, 12), slice(first, first + 4), slice(18, 22))) for first in (36, 32)
    )

    with pytest.raises(InputError, match="100 % of 'PTV' are air"):
        require_plannable(*in_air, ASKED)
    require_plannable(*touching, ASKED)
    # 4 slices × 1 row × 4 columns of 0.125 mL.
    assert "2.00 mL of PTV (25 %) are air" in said(*touching)


def test_a_target_in_lung_is_not_in_air():
    ct, structures = patient()
    values = np.where(structures["PTV"].mask, np.float32(-900), ct.values)

    lung = replace(ct, values=values)

    require_plannable(lung, structures, ASKED)
    assert "air" not in said(lung, structures)


@pytest.mark.parametrize(
    ("first", "last", "speaks"), [(0, 5, True), (15, 20, True), (1, 19, False)]
)
def test_a_target_at_the_last_slice_is_said(first, last, speaks):
    ct, structures = patient((slice(first, last), slice(18, 22), slice(18, 22)))

    assert ("PTV reaches the first or last slice" in said(ct, structures)) is speaks


def test_other_targets_at_the_last_slice_are_said_too():
    ct, structures = patient()
    nodes = structure("CTV nodes", (slice(0, 2), slice(18, 22), slice(18, 22)))

    assert "CTV nodes reaches the first" in said(ct, StructureSet((*structures, nodes)))


def test_the_scanner_is_named_where_its_densities_were_not_used():
    assert "does not say which scanner" in str(unknown_density(""))
    assert "measured for SIEMENS Force, 120 kV;" in str(unknown_density("SIEMENS Force, 120 kV"))


def test_a_couch_is_said(open_field):
    ct, structures = patient()
    values = ct.values.copy()
    values[:, 36:38] = 0.0
    beams = (open_field(20, (0, 0, 0), gantry=180.0),)

    found = said(replace(ct, values=values), structures, beams)

    assert "Beams at gantry 180° pass through the couch" in found
