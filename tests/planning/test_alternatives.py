"""Two made patients who are best served by different plans, and why."""

import pytest

from aegle.domain.errors import InputError
from aegle.domain.plan import Prescription, ProtonBeam
from aegle.phantoms.head_neck import HeadNeckOptions, make_head_neck
from aegle.planning.alternatives import Choice, compare, in_fractions, usual_choices
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume
from aegle.planning.equivalent_dose import biologically_effective_dose
from aegle.planning.expected_harm import PatientFacts
from aegle.planning.photon_plan import PhotonPlanOptions, PrescriptionOptions, prescribe
from aegle.planning.proton_plan import ProtonPlanOptions
from aegle.planning.proton_selection import Complaint, HeadNeckPatient, Setting, Site

PHOTONS = PhotonPlanOptions(delivery="fluence", dose_grid_mm=4.0, iterations=60)
PROTONS = ProtonPlanOptions(dose_grid_mm=4.0, iterations=60, gantry_deg=(60.0, 180.0, 300.0))


def compared(tumour, complaint):
    made = make_head_neck(options=HeadNeckOptions(tumour=tumour, shape=(65, 65, 65)))
    asked = prescribe(
        made.structures,
        made.structures,
        options=PrescriptionOptions(dose_gy=70.0, fractions=35),
    )
    photons, _, protons = usual_choices(asked, photons=PHOTONS, protons=PROTONS)
    facts = PatientFacts(
        head_neck=HeadNeckPatient(
            setting=Setting.PRIMARY,
            site=Site.ORAL_CAVITY,
            xerostomia=complaint,
            dysphagia=complaint,
        )
    )
    return compare(made.ct, made.structures, (photons, protons), facts)


@pytest.fixture(scope="module")
def healthy_and_lateral():
    return compared("tonsil", Complaint.NONE)


@pytest.fixture(scope="module")
def complaining_and_bilateral():
    return compared("pharynx", Complaint.MODERATE)


def names(comparison):
    return [str(one.name) for one in comparison.alternatives]


def test_alike_but_for_anatomy_and_complaints_they_get_different_first_choices(
    healthy_and_lateral, complaining_and_bilateral
):
    assert names(healthy_and_lateral) == ["photons, 7 beams", "protons, 3 beams"]
    assert names(complaining_and_bilateral) == ["protons, 3 beams", "photons, 7 beams"]
    assert isinstance(complaining_and_bilateral.alternatives[0].plan.beams[0], ProtonBeam)


def test_cause_and_interval_are_named(healthy_and_lateral, complaining_and_bilateral):
    kept, changed = (
        " ".join(map(str, found.reasons))
        for found in (healthy_and_lateral, complaining_and_bilateral)
    )

    assert "protons, 3 beams rather than photons, 7 beams" in changed
    assert "dysphagia of grade 2 or more" in changed
    assert "interval not published" in changed
    assert "Mean dose of oral_cavity" in changed
    assert "dry mouth moderate, swallowing moderate" in changed
    assert "No alternative makes a complication less likely by enough" in kept
    assert "Complaints before treatment" not in kept


def test_alternatives_cover_the_target_alike(complaining_and_bilateral):
    for one in complaining_and_bilateral.alternatives:
        target = one.plan.structures["PTV"]
        covered = dose_at_volume(one.plan.dose, target, options=DoseAtVolumeOptions())
        assert covered == pytest.approx(70, rel=1e-4)
        assert len(one.estimates) == 4
        assert all(0 < e.probability < 1 and e.interval is None for e in one.estimates)


def test_other_fractions_do_the_same_to_the_tumour():
    asked = Prescription(target="PTV", dose_gy=60, fractions=30)

    fewer = in_fractions(asked, 15)

    # BED of 60 Gy in 30 fractions at an alpha/beta of 10 Gy: 72 Gy.
    each = fewer.dose_gy / 15
    assert biologically_effective_dose(fewer.dose_gy, each, 10.0) == pytest.approx(72)
    assert fewer.dose_gy < 60
    same = in_fractions(asked, 30)
    assert (same.dose_gy, same.fractions) == (pytest.approx(60), 30)


def test_goals_of_the_target_follow_the_dose():
    made = make_head_neck(options=HeadNeckOptions(shape=(33, 33, 33)))
    asked = prescribe(
        made.structures, made.structures, options=PrescriptionOptions(dose_gy=70.0, fractions=35)
    )

    fewer = in_fractions(asked, 20)

    ((before, after),) = [
        (a, b)
        for a, b in zip(asked.goals, fewer.goals, strict=True)
        if a.structure == "PTV" and a.at_least
    ]
    assert after.at_least == pytest.approx(before.at_least * fewer.dose_gy / 70)


def test_nothing_to_compare_is_refused():
    made = make_head_neck(options=HeadNeckOptions(shape=(33, 33, 33)))

    with pytest.raises(InputError, match="at least one choice"):
        compare(made.ct, made.structures, (), PatientFacts())


def test_choices_come_in_the_order_of_their_effort():
    asked = Prescription(target="PTV", dose_gy=60, fractions=30)

    found = usual_choices(asked, photons=PHOTONS, protons=PROTONS, fractions=(20,))

    assert [str(choice.name) for choice in found] == [
        "photons, 7 beams",
        "photons, 9 beams",
        "photons, 20 fractions of 2.81 Gy",
        "protons, 3 beams",
    ]
    assert all(isinstance(choice, Choice) for choice in found)
