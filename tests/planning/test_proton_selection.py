"""Choice of protons against the worked case of the protocol and its thresholds."""

from dataclasses import replace

import pytest
from scipy.optimize import brentq
from scipy.special import expit

from aegle.domain.errors import InputError
from aegle.planning.proton_selection import (
    NO_DOSE,
    Complaint,
    Endpoint,
    HeadNeckDoses,
    HeadNeckPatient,
    Setting,
    Site,
    complication_probability,
    prescreen,
    select,
)

PATIENT = HeadNeckPatient(setting=Setting.PRIMARY, site=Site.PHARYNX)
PHOTONS = HeadNeckDoses(
    parotid_ipsilateral=32,
    parotid_contralateral=26,
    submandibular=50,
    oral_cavity=35,
    constrictor_superior=55,
    constrictor_middle=45,
    constrictor_inferior=30,
)
PROTONS = HeadNeckDoses(
    parotid_ipsilateral=24,
    parotid_contralateral=12,
    submandibular=40,
    oral_cavity=15,
    constrictor_superior=48,
    constrictor_middle=36,
    constrictor_inferior=22,
)


# The worked case of the rules, section 11, to its four digits.
def test_worked_case():
    found = select(PHOTONS, PROTONS, PATIENT)

    assert [found.photons[e] for e in Endpoint] == pytest.approx(
        [0.4222, 0.1162, 0.1814, 0.0403], abs=5e-5
    )
    assert [found.protons[e] for e in Endpoint] == pytest.approx(
        [0.3243, 0.0840, 0.0784, 0.0124], abs=5e-5
    )
    assert list(found.gains.values()) == pytest.approx([9.8, 3.2, 10.3, 2.8], abs=0.05)
    assert found.summed_gain == pytest.approx(20.1, abs=0.05)
    assert found.is_for_protons
    assert [str(r).split(":")[0] for r in found.reasons] == [
        "dysphagia of grade 2 or more",
        "both complications of grade 2 or more",
    ]


# S = a + b (√D + √D) + c D + complaint and its like, by hand with round doses.
@pytest.mark.parametrize(
    ("setting", "site", "complaint", "scores"),
    [
        (
            Setting.PRIMARY,
            Site.LARYNX,
            Complaint.MILD,
            (
                -2.2951 + 0.996 + 0.182 + 0.4950,
                -3.7286 + 0.855 + 0.156 + 0.4249,
                -4.0536 + 0.764 + 0.9382 - 0.7711,
                -7.6174 + 1.106 + 0.5738 - 0.5303,
            ),
        ),
        (
            Setting.POSTOPERATIVE,
            Site.ORAL_CAVITY,
            Complaint.MODERATE,
            (
                -1.6824 + 0.388 + 0.071 + 0.4695,
                -4.3613 + 1.054 + 0.193 + 1.2763,
                -2.4138 + 0.488 + 0.8227,
                -3.2594 + 0.271 + 0.3603,
            ),
        ),
    ],
)
def test_scores(setting, site, complaint, scores):
    patient = HeadNeckPatient(setting=setting, site=site, xerostomia=complaint, dysphagia=complaint)
    doses = HeadNeckDoses(
        parotid_ipsilateral=36,
        parotid_contralateral=16,
        submandibular=10,
        oral_cavity=10,
        constrictor_superior=10,
        constrictor_middle=10,
        constrictor_inferior=10,
    )

    found = [complication_probability(e, doses, patient) for e in Endpoint]

    assert found == pytest.approx(list(expit(scores)), abs=1e-9)


def test_a_complaint_before_treatment_can_change_the_choice():
    protons = replace(PHOTONS, oral_cavity=22, constrictor_superior=50, parotid_contralateral=20)

    fit = select(PHOTONS, protons, PATIENT)
    ill = select(PHOTONS, protons, replace(PATIENT, dysphagia=Complaint.MODERATE))

    assert not fit.is_for_protons
    assert ill.is_for_protons


def test_equal_plans_are_for_photons():
    found = select(PHOTONS, PHOTONS, PATIENT)

    assert not found.is_for_protons
    assert set(found.gains.values()) == {0.0}


def test_prescreen_takes_protons_at_their_very_best():
    low = replace(NO_DOSE, oral_cavity=5.0)

    assert prescreen(PHOTONS, PATIENT).is_for_protons
    assert not prescreen(low, PATIENT).is_for_protons
    assert prescreen(PHOTONS, PATIENT).summed_gain > select(PHOTONS, PROTONS, PATIENT).summed_gain


# Round trips through the oral cavity's coefficient find where the gain is just a threshold.
@pytest.mark.parametrize(("gain", "chosen"), [(9.99, False), (10.01, True)])
def test_ten_points_of_grade_2_are_enough(gain, chosen):
    def dysphagia_gain(oral_gy):
        protons = replace(PHOTONS, oral_cavity=oral_gy)
        return select(PHOTONS, protons, PATIENT).gains[Endpoint.DYSPHAGIA_2] - gain

    protons = replace(PHOTONS, oral_cavity=brentq(dysphagia_gain, 0, 35))

    assert select(PHOTONS, protons, PATIENT).is_for_protons is chosen


@pytest.mark.parametrize("dose_gy", [-1.0, float("nan"), float("inf")])
def test_refuses_doses_that_cannot_be(dose_gy):
    with pytest.raises(InputError, match="oral_cavity"):
        replace(PHOTONS, oral_cavity=dose_gy)
