"""Structures keep a tight box, give back their mask and are found by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from aegle.domain.codes import StructureType, body_part, structure_type
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet

GRID = Grid(shape=(2, 2, 2), spacing_mm=(10.0, 5.0, 2.0))


@pytest.fixture
def liver():
    mask = np.zeros(GRID.shape, bool)
    mask[0] = True
    return Structure.of("liver", mask, GRID)


def test_volume_counts_voxels_in_millilitres(liver):
    assert liver.volume_ml == pytest.approx(4 * 0.1)


def test_centre_is_the_mean_position_in_the_patient(liver):
    assert liver.centroid_mm == pytest.approx((1.0, 2.5, 0.0))


@given(arrays(np.bool_, (3, 4, 5)))
def test_mask_comes_back_from_the_box(mask):
    grid = Grid(shape=(3, 4, 5), spacing_mm=(1.0, 1.0, 1.0))

    np.testing.assert_array_equal(Structure.of("any", mask, grid).mask, mask)


def test_box_is_as_small_as_the_structure():
    mask = np.zeros((9, 9, 9), bool)
    mask[2:4, 5, 1:8] = True

    structure = Structure.of("cord", mask, Grid(shape=mask.shape, spacing_mm=(1.0, 1.0, 1.0)))

    assert structure.box.shape == (2, 1, 7)
    assert structure.start == (2, 5, 1)


def test_box_cannot_be_written_through_the_structure(liver):
    with pytest.raises(ValueError, match="read-only"):
        liver.box[0, 0, 0] = False


def test_box_beyond_the_grid_is_refused():
    with pytest.raises(GeometryError, match="outside its grid"):
        Structure(name="liver", box=np.ones((1, 1, 3), bool), start=(0, 0, 0), grid=GRID)


def test_empty_structure_has_no_centre():
    empty = Structure.of("none", np.zeros(GRID.shape, bool), GRID)

    assert empty.is_empty
    assert empty.volume_ml == 0
    with pytest.raises(InputError, match="'none' is empty"):
        _ = empty.centroid_mm


def test_missing_structure_lists_those_delineated(liver):
    with pytest.raises(InputError, match="No structure 'spleen'; delineated: liver"):
        StructureSet((liver,))["spleen"]


def test_structures_are_selected_by_type(liver):
    lesion = Structure.of("L1", liver.mask, GRID, type=StructureType.LESION)

    assert StructureSet((liver, lesion)).of_type(StructureType.LESION) == (lesion,)


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 2)])
def test_mask_of_another_shape_is_refused(shape):
    with pytest.raises(GeometryError, match="its grid"):
        Structure.of("liver", np.ones(shape, bool), GRID)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Lung-Left", "lung_left"),
        ("lung_left", "lung_left"),
        ("SpinalCord", "spinal_cord"),
        ("Esophagus", "oesophagus"),
        ("BODY", "body"),
        ("GTV-1", None),
        ("Lung", None),
    ],
)
def test_names_in_common_use_are_known(name, part):
    assert body_part(name) == part


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("GTV-1", StructureType.LESION),
        ("GTV_Mass_CT", StructureType.LESION),
        ("PTV60", StructureType.TARGET),
        ("lung nodule", StructureType.LESION),
        ("Skin", StructureType.EXTERNAL),
        ("Heart", StructureType.ORGAN),
        ("Masseter_L", StructureType.ORGAN),
        ("masses", StructureType.LESION),
        ("lung cancer", StructureType.LESION),
    ],
)
def test_names_say_what_a_delineation_is_for(name, kind):
    assert structure_type(name) is kind
