"""What is said of a plan whose numbers hold only in part."""

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.plan import Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.notices import cut_off, lying_outside, other_fractions, single_lung

GRID = Grid(shape=(40, 60, 60), spacing_mm=(5.0, 5.0, 5.0), origin_mm=(-147.5, -147.5, -97.5))
SAD_MM = 1000.0


def structure(name, window, kind=StructureType.TARGET):
    mask = np.zeros(GRID.shape, bool)
    mask[window] = True
    return Structure.of(name, mask, GRID, type=kind)


def block(slices, rows, columns):
    return slice(*slices), slice(*rows), slice(*columns)


def body(rows=(10, 50), columns=(10, 50), slices=(0, 40)):
    return structure("body", block(slices, rows, columns), StructureType.EXTERNAL)


TARGET = structure("PTV", block((18, 22), (28, 32), (28, 32)))


@pytest.mark.parametrize(("dose_gy", "fractions", "each"), [(54, 3, "18.0"), (55, 20, "2.8")])
def test_other_doses_per_fraction_are_named(dose_gy, fractions, each):
    asked = Prescription(target="PTV", dose_gy=dose_gy, fractions=fractions)

    (said,) = other_fractions(asked)

    assert f"not applied at {each} Gy per fraction" in str(said)


def test_two_gy_per_fraction_needs_no_word():
    assert other_fractions(Prescription(target="PTV", dose_gy=60, fractions=30)) == ()


@pytest.mark.parametrize(("name", "side"), [("Lung_L", "left"), ("lung_right", "right")])
def test_the_lung_that_is_there_is_named(name, side):
    lung = structure(name, block((0, 9), (20, 30), (20, 30)), StructureType.ORGAN)

    (said,) = single_lung(StructureSet((lung,)))

    assert str(said).startswith(f"Only the {side} lung")


def test_both_lungs_or_none_need_no_word():
    pair = [
        structure(n, block((0, 9), (20, 30), (20, 30)), StructureType.ORGAN)
        for n in ("lung_left", "lung_right")
    ]

    assert single_lung(StructureSet(tuple(pair))) == ()
    assert single_lung(StructureSet(())) == ()


def outside(tumour_rows, target_rows):
    tumour = structure("GTV", block((18, 22), tumour_rows, (28, 32)), StructureType.LESION)
    target = structure("PTV", block((16, 24), target_rows, (26, 34)))
    known = StructureSet((tumour, target))
    return [str(text) for text in lying_outside(known, target, body())]


def test_a_tumour_inside_the_target_needs_no_word():
    assert outside((20, 24), (18, 26)) == []


def test_what_the_target_leaves_out_under_the_skin_is_counted():
    # Body from row 10 on; one row of 4 x 4 voxels of 0.125 mL lies in its first 5 mm.
    (said,) = outside((10, 14), (11, 16))

    assert said.startswith("2.00 mL of GTV lie outside PTV, in the layer of 5.0 mm under the skin")


def test_a_tumour_beyond_the_outline_receives_no_dose_there():
    skin, air = sorted(outside((8, 14), (11, 16)))

    assert skin.startswith("2.00 mL of GTV lie outside PTV")
    assert air == "4.00 mL of GTV lie outside the outline of the body and receive no dose."


@pytest.mark.parametrize(
    ("tumour_rows", "target_rows"),
    [
        pytest.param((24, 30), (26, 32), id="deep"),
        pytest.param((10, 14), (10, 12), id="the target reaches the skin"),
        pytest.param((12, 14), (30, 34), id="the target is elsewhere"),
    ],
)
def test_the_skin_is_not_blamed_for_what_a_target_misses_elsewhere(tumour_rows, target_rows):
    (said,) = outside(tumour_rows, target_rows)

    assert "4.00 mL of GTV lie outside PTV and may receive less" in said


def said_of(patient, *fields):
    return [str(text) for text in cut_off(patient, TARGET, fields, SAD_MM)]


def test_a_patient_inside_the_image_is_not_cut_off(open_field):
    assert said_of(body(), open_field(40, (0, 0, 0), gantry=90.0)) == []


@pytest.mark.parametrize(
    ("patient", "gantry"),
    [
        pytest.param(body(columns=(10, 60)), 90.0, id="left"),
        pytest.param(body(columns=(0, 50)), 270.0, id="right"),
        pytest.param(body(rows=(0, 50)), 0.0, id="front"),
        pytest.param(body(rows=(10, 60)), 180.0, id="back"),
    ],
)
def test_beams_that_enter_through_the_edge_are_named(open_field, patient, gantry):
    fields = [open_field(40, (0, 0, 0), gantry=g) for g in (0.0, 90.0, 180.0, 270.0)]

    (said,) = said_of(patient, *fields)

    assert f"Beams at gantry {gantry:g}° enter through what is missing" in said


def test_a_cut_where_no_beam_enters_is_still_said(open_field):
    (said,) = said_of(body(columns=(10, 60)), open_field(40, (0, 0, 0), gantry=270.0))

    assert "cut off by the edge of the image near PTV. No beam enters" in said


def test_beamlets_without_fluence_do_not_enter(open_field):
    closed = open_field(40, (0, 0, 0), gantry=90.0)
    closed = type(closed)(**{**vars(closed), "weights": np.zeros(len(closed.weights))})

    (said,) = said_of(body(columns=(10, 60)), closed)

    assert "No beam enters" in said


def test_a_cut_far_from_the_target_does_not_matter(open_field):
    head = block((0, 40), (10, 50), (10, 50))
    mask = np.zeros(GRID.shape, bool)
    mask[head] = True
    # Arms reach the edge 40 mm and more below the target.
    mask[:9, 20:40] = True
    arms = Structure.of("body", mask, GRID, type=StructureType.EXTERNAL)

    assert said_of(arms, open_field(40, (0, 0, 0), gantry=90.0)) == []


def test_a_turned_couch_brings_beams_to_other_slices(open_field):
    mask = body().mask.copy()
    mask[:9, 20:40] = True
    arms = Structure.of("body", mask, GRID, type=StructureType.EXTERNAL)
    couched = [open_field(40, (0, 0, 0), gantry=90.0, couch=c) for c in (30.0, -30.0)]

    said = [said_of(arms, field) for field in couched]

    assert sorted(len(s) for s in said) == [0, 1]
    assert "Beams at gantry 90°" in str(said)
