"""Which goals a patient's organs call for, against QUANTEC's summary table."""

import numpy as np
import pytest

from aegle.domain.codes import BODY_PARTS, StructureType
from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.domain.plan import Metric
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.prescription import (
    PrescriptionOptions,
    lung_alone,
    lungs_of,
    prescribe,
    recognised,
)

GRID = Grid(shape=(2, 2, 2), spacing_mm=(1.0, 1.0, 1.0))


def structure(name, kind=StructureType.ORGAN, *, filled=True):
    return Structure.of(name, np.full(GRID.shape, filled), GRID, type=kind)


def organs(*names):
    return StructureSet(tuple(structure(n) for n in names))


TARGETS = StructureSet(
    (structure("GTV", StructureType.LESION), structure("PTV", StructureType.TARGET))
)


def limits(prescription, name):
    return {
        (g.metric, g.at): g.at_most if g.at_least is None else g.at_least
        for g in prescription.goals
        if g.structure == name
    }


def test_published_limits_of_the_thorax():
    made = prescribe(
        TARGETS,
        organs("spinal_cord", "lung_left", "lung_right", "heart", "oesophagus", "aorta"),
        options=PrescriptionOptions(),
    )

    assert limits(made, "spinal_cord") == {(Metric.MAXIMUM_DOSE, None): 50}
    assert limits(made, "lungs_minus_gtv") == {
        (Metric.VOLUME_AT_DOSE, 20): 30,
        (Metric.MEAN_DOSE, None): 20,
    }
    assert limits(made, "heart") == {
        (Metric.VOLUME_AT_DOSE, 25): 10,
        (Metric.MEAN_DOSE, None): 26,
    }
    assert limits(made, "oesophagus") == {(Metric.MEAN_DOSE, None): 34}
    assert {g.structure for g in made.goals} == {
        "GTV",
        "PTV",
        "spinal_cord",
        "lungs_minus_gtv",
        "heart",
        "oesophagus",
    }
    assert all(g.source for g in made.goals)


def test_target_goals_follow_the_prescribed_dose():
    made = prescribe(TARGETS, organs(), options=PrescriptionOptions(dose_gy=50, fractions=25))

    assert (made.target, made.dose_gy, made.fractions) == ("PTV", 50, 25)
    wanted = {(Metric.DOSE_AT_VOLUME, 95): 50, (Metric.DOSE_AT_VOLUME, 2): 57.5}
    assert limits(made, "PTV") == pytest.approx(wanted)


def test_gtv_and_ctv_need_95_percent_of_the_dose_in_98_percent_of_their_volume():
    ctv = structure("CTV", StructureType.TARGET)

    made = prescribe(StructureSet((*TARGETS, ctv)), organs(), options=PrescriptionOptions())

    near_minimum = {(Metric.DOSE_AT_VOLUME, 98): pytest.approx(57.0)}
    assert limits(made, "GTV") == limits(made, "CTV") == near_minimum
    assert all(g.at_least for g in made.goals if g.structure in ("GTV", "CTV"))


@pytest.mark.parametrize(
    ("dose_gy", "fractions", "holds"),
    [
        pytest.param(54.0, 3, False, id="18 Gy"),
        pytest.param(55.0, 20, False, id="2.75 Gy"),
        pytest.param(66.3, 30, False, id="just above 2.2 Gy"),
        pytest.param(66.0, 30, True, id="2.2 Gy"),
        pytest.param(60.0, 30, True, id="2 Gy"),
        # 46.8 / 26 is 1.7999999999999998 in floating point.
        pytest.param(46.8, 26, True, id="1.8 Gy"),
        pytest.param(53.7, 30, False, id="just below 1.8 Gy"),
        pytest.param(60.0, 50, False, id="1.2 Gy"),
    ],
)
def test_limits_of_organs_hold_for_1_8_to_2_2_gy_per_fraction(dose_gy, fractions, holds):
    options = PrescriptionOptions(dose_gy=dose_gy, fractions=fractions)

    made = prescribe(TARGETS, organs("spinal_cord", "lungs"), options=options)

    judged = {g.structure for g in made.goals}
    assert judged >= {"PTV", "GTV"}
    assert (judged >= {"spinal_cord", "lungs_minus_gtv"}) is holds
    assert holds or judged == {"PTV", "GTV"}


@pytest.mark.parametrize(
    ("delineated", "organ"),
    [
        ("Spinal-Cord", "spinal_cord"),
        ("SpinalCord", "spinal_cord"),
        ("Lung-Left", "lung_left"),
        ("Lung_L", "lung_left"),
        ("LUNG RIGHT", "lung_right"),
        ("Esophagus", "oesophagus"),
        ("Heart", "heart"),
        ("Bladder", "bladder"),
    ],
)
def test_common_names_are_recognised_and_kept(delineated, organ):
    assert recognised(organs(delineated)) == {organ: delineated}
    if organ in ("spinal_cord", "heart"):
        made = prescribe(TARGETS, organs(delineated), options=PrescriptionOptions())
        assert limits(made, delineated)


def test_every_organ_of_the_table_has_a_name_that_aegle_gives():
    assert set(recognised(organs(*BODY_PARTS))) <= set(BODY_PARTS)
    assert recognised(organs("lungs_minus_gtv")) == {"lungs_minus_gtv": "lungs_minus_gtv"}


def test_empty_structures_and_targets_are_no_organs():
    given = StructureSet(
        (structure("Heart", filled=False), structure("liver", StructureType.TARGET))
    )

    assert recognised(given) == {}


def test_one_lung_alone_gives_no_goal_for_both():
    made = prescribe(TARGETS, organs("lung_left"), options=PrescriptionOptions())

    assert {g.structure for g in made.goals} == {"GTV", "PTV"}
    assert lungs_of(organs("lung_left")) == ()
    assert len(lungs_of(organs("Lungs"))) == 1


def test_a_lung_is_alone_without_the_other():
    right = lung_alone(organs("heart", "Lung_R"))
    emptied = structure("Lung_L", filled=False)

    assert right is not None
    assert right.name == "Lung_R"
    assert lung_alone(StructureSet((emptied, right))) is right
    assert lung_alone(organs("Lung_R", "Lung_L")) is None
    assert lung_alone(organs("lungs", "Lung_L")) is None
    assert lung_alone(organs("heart")) is None


def test_a_missing_target_is_named():
    with pytest.raises(InputError, match="'PTV'"):
        prescribe(StructureSet(()), organs("heart"), options=PrescriptionOptions())
