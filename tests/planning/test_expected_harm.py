"""What a plan is expected to do, from doses whose effect is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aegle.domain.codes import StructureType
from aegle.domain.plan import Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.expected_harm import PatientFacts, harms
from aegle.planning.proton_selection import (
    Complaint,
    Endpoint,
    HeadNeckDoses,
    HeadNeckPatient,
    Setting,
    Site,
    complication_probability,
)

GLANDS = {
    "parotid_left": 26.0,
    "parotid_right": 12.0,
    "submandibular_left": 40.0,
    "submandibular_right": 20.0,
    "oral_cavity": 30.0,
    "constrictor_superior": 50.0,
    "constrictor_middle": 45.0,
    "constrictor_inferior": 35.0,
}
PATIENT = HeadNeckPatient(setting=Setting.PRIMARY, site=Site.PHARYNX, xerostomia=Complaint.MILD)


@pytest.fixture(scope="module")
def row(grid_of):
    """One organ per column, each with the same dose everywhere, and a target on the left."""
    names = [*GLANDS, "Rectum", "lungs", "PTV"]
    grid = grid_of((4, 4, len(names)), (5.0, 5.0, 5.0))
    structures, dose = [], np.zeros(grid.shape, np.float32)
    for column, name in enumerate(names):
        mask = np.zeros(grid.shape, bool)
        mask[:, :, column] = True
        kind = StructureType.TARGET if name == "PTV" else StructureType.ORGAN
        structures.append(Structure.of(name, mask, grid, type=kind))
        dose[mask] = GLANDS.get(name, 60.0 if name in {"Rectum", "PTV"} else 15.0)
    return StructureSet(tuple(structures)), Volume(
        values=dose, grid=grid, quantity=Quantity.ABSORBED_DOSE
    )


def plan_of(dose, structures, fractions=35):
    return Plan(
        prescription=Prescription(target="PTV", dose_gy=70, fractions=fractions),
        machine="",
        beams=(),
        dose=dose,
        structures=structures,
        curves=(),
        goals=(),
    )


def named(found):
    return {str(expected.name): expected for expected in found}


def test_head_and_neck_is_judged_as_the_protocol_does(row):
    structures, dose = row
    # The target lies nearest the last columns, so the second parotid is on its side.
    (harm,) = [
        h
        for h in harms(structures, structures["PTV"], PatientFacts(head_neck=PATIENT))
        if len(h.organs) > 1
    ]
    doses = HeadNeckDoses(
        parotid_ipsilateral=12,
        parotid_contralateral=26,
        submandibular=30,
        oral_cavity=30,
        constrictor_superior=50,
        constrictor_middle=45,
        constrictor_inferior=35,
    )

    found = harm.expected(plan_of(dose, structures))

    expected = [complication_probability(endpoint, doses, PATIENT) for endpoint in Endpoint]
    assert [one.estimate.value for one in found] == pytest.approx(expected, rel=1e-5)
    assert all(one.estimate.low is None for one in found)


def test_penalty_is_the_sum_of_the_probabilities_and_its_gradient_is_right(row):
    structures, dose = row
    plan = plan_of(dose, structures)
    for harm in harms(structures, structures["PTV"], PatientFacts(head_neck=PATIENT)):
        doses = {
            organ.name: torch.tensor(dose.values[organ.mask], dtype=torch.float64)
            for organ in harm.organs
        }

        likely = harm.penalty(doses, 35)

        total = sum(one.estimate.value for one in harm.expected(plan))
        assert float(likely) == pytest.approx(total, rel=1e-6)
        first = harm.organs[0].name
        assert torch.autograd.gradcheck(
            lambda d, harm=harm, first=first, doses=doses: harm.penalty({**doses, first: d}, 35),
            doses[first].clone().requires_grad_(),
        )


def test_a_model_with_factors_is_asked_where_the_patient_has_some(row):
    structures, dose = row
    plan = plan_of(dose, structures)

    plain = named(
        e for h in harms(structures, structures["PTV"], PatientFacts()) for e in h.expected(plan)
    )
    smoking = named(
        e
        for h in harms(structures, structures["PTV"], PatientFacts(factors=("current_smoker",)))
        for e in h.expected(plan)
    )

    (one,) = [e for name, e in plain.items() if "pneumonitis" in name]
    (other,) = [e for name, e in smoking.items() if "pneumonitis" in name]
    assert one.source == "10.1016/j.ijrobp.2009.06.091"
    assert other.source == "10.3109/0284186X.2013.820341"
    assert one.estimate.low < one.estimate.value < one.estimate.high


def test_gain_is_the_difference_with_an_interval_and_a_threshold(row):
    structures, dose = row
    (rectum,) = [
        h
        for h in harms(structures, structures["PTV"], PatientFacts())
        if h.organs[0].name == "Rectum"
    ]
    first = plan_of(replace(dose, values=dose.values * np.float32(1.4)), structures)
    second = plan_of(dose, structures)

    (gain,) = rectum.gains(first, second)

    (one,), (other,) = rectum.expected(first), rectum.expected(second)
    assert gain.estimate.value == pytest.approx(one.estimate.value - other.estimate.value)
    assert gain.estimate.value > 0.1
    assert gain.estimate.low < gain.estimate.value < gain.estimate.high
    (reason,) = rectum.reasons(first, second)
    assert "95 % interval" in str(reason)
    assert rectum.reasons(second, first) == ()
    assert "60.0 Gy instead of 84.0 Gy" in str(rectum.causes(first, second)[0])
