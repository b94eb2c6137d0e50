"""What cannot be compared is not evaluable, and the reason is said."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.case import AllFindings, Examinations
from aegle.domain.codes import StructureType
from aegle.domain.finding import (
    Diameters,
    Findings,
    Lesion,
    LesionKind,
    OrganMeasure,
    Statistics,
)
from aegle.domain.grid import Grid
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure
from aegle.domain.study import Examination, Image, Patient, SeriesReference
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.response.matching import MatchOptions, match
from aegle.response.recist_1_1 import Recist11Options, assess
from aegle.workflow.comparability import corrected, followed, not_compared

PATIENT = Patient(id="P1")
GRID = Grid(shape=(20, 30, 30), spacing_mm=(5.0, 3.0, 3.0))
LOW = Grid(shape=(8, 30, 30), spacing_mm=(5.0, 3.0, 3.0))
"""The lower 40 mm of the same patient."""
HIGH_MM, LOW_MM = (45.0, 45.0, 80.0), (30.0, 60.0, 20.0)


def image_on(grid, visit, modality="CT", thickness_mm=None):
    series = SeriesReference(
        study_uid=f"2.25.{visit + 1}",
        series_uid=f"2.25.1{visit}",
        frame_of_reference_uid="2.25.3",
        modality=modality,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=("2.25.4",),
        slice_thickness_mm=thickness_mm,
    )
    values = np.zeros(grid.shape, np.float32)
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return Image(name=modality, volume=volume, series=series)


def lesion(grid, name, centre_mm, longest_mm):
    mask = np.zeros(grid.shape, bool)
    z, y, x = grid.to_indices(np.asarray(centre_mm)).round().astype(int)
    mask[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = True
    ends = (tuple(centre_mm), tuple(centre_mm))
    return Lesion(
        id=name,
        tracking_uid=f"2.25.9{name[1:]}",
        structure=Structure.of(name, mask, grid, type=StructureType.LESION),
        image="CT",
        kind=LesionKind.NODULE,
        site="lungs",
        diameters=Diameters(
            longest_mm=longest_mm,
            perpendicular_mm=longest_mm,
            longest_ends_mm=ends,
            perpendicular_ends_mm=ends,
            slice_index=int(z),
        ),
        volume_ml=longest_mm**3 / 2000,
    )


def heart(mean_hu):
    inside = Statistics(
        image="CT", unit="HU", mean=mean_hu, deviation=9, minimum=-20, maximum=mean_hu + 80
    )
    return OrganMeasure(name="heart", volume_ml=500.0, statistics=inside)


def aligned(verdict=Verdict.GOOD):
    return Registration(
        matrix=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
        correlation_before=0.9,
        correlation_after=0.9,
        verdict=verdict,
        reason=Text("made"),
    )


def compared(images, findings):
    """Follow visits as the stage does, without aligning images."""
    visits = tuple(
        Examination(patient=PATIENT, study_uid=f"2.25.{n + 1}", time=None, images=own)
        for n, own in enumerate(images)
    )
    found = followed(Examinations(PATIENT, visits), AllFindings(findings))
    registrations = tuple(aligned() if v.image else not_compared(v) for v in found[1:])
    timeline = match(tuple(v.findings for v in found), registrations, options=MatchOptions())
    timeline, cautions = corrected(timeline, found)
    responses = assess(timeline, options=Recist11Options())
    return timeline, responses, [str(c) for c in cautions]


def findings(visit, *lesions, organs=()):
    return Findings(study_uid=f"2.25.{visit + 1}", lesions=lesions, organs=organs)


@pytest.mark.parametrize("others", [0, 1], ids=["nothing else is seen", "another is seen"])
def test_a_lesion_outside_of_a_later_image_has_not_vanished(others):
    """At 80 mm; the later image ends at 37.5 mm."""
    low = [lesion(LOW, "L9", LOW_MM, 14.0)][:others]
    before = [lesion(GRID, "L1", HIGH_MM, 20.0), lesion(GRID, "L2", LOW_MM, 14.0)][: 1 + others]
    images = ((image_on(GRID, 0),), (image_on(LOW, 1),))

    timeline, (response,), cautions = compared(images, (findings(0, *before), findings(1, *low)))

    assert response.category.value == "NE"
    assert "T1" not in {e.track for e in timeline.at(1)}
    assert [c for c in cautions if "T1 is not evaluable at visit 2" in c] == cautions
    assert len(cautions) == 1


def test_a_lesion_within_a_later_image_that_is_not_seen_is_gone():
    images = ((image_on(GRID, 0),), (image_on(GRID, 1),))

    timeline, (response,), cautions = compared(
        images, (findings(0, lesion(GRID, "L1", HIGH_MM, 20.0)), findings(1))
    )

    assert response.category.value == "CR"
    assert [e.status.value for e in timeline.at(1)] == ["gone"]
    assert cautions == []


def test_a_visit_of_another_modality_is_not_evaluable_and_the_next_is():
    images = ((image_on(GRID, 0),), (image_on(GRID, 1, "MR"),), (image_on(GRID, 2),))
    one = lesion(GRID, "L1", HIGH_MM, 20.0)
    later = lesion(GRID, "L1", HIGH_MM, 30.0)

    _, responses, cautions = compared(images, (findings(0, one), findings(1), findings(2, later)))

    assert [r.category.value for r in responses] == ["NE", "PD"]
    assert cautions == ["Visit 2 has no CT (MR), so it cannot be compared with the baseline's one."]


@pytest.mark.parametrize(("later_hu", "is_said"), [(101.0, False), (101.5, True)])
def test_another_contrast_phase_is_told_by_the_blood(later_hu, is_said):
    """60 HU apart is still one phase; more is not (41 to 101 HU, and beside it)."""
    images = ((image_on(GRID, 0),), (image_on(GRID, 1),))
    one = lesion(GRID, "L1", HIGH_MM, 20.0)

    _, _, cautions = compared(
        images,
        (findings(0, one, organs=(heart(41.0),)), findings(1, one, organs=(heart(later_hu),))),
    )

    assert any("another contrast phase" in c for c in cautions) is is_said


@pytest.mark.parametrize(
    ("thickness_mm", "size_mm", "is_target"),
    [
        pytest.param(5.0, 12.0, True, id="5 mm slices measure 10 mm and more"),
        pytest.param(8.0, 16.0, True, id="twice the thickness is measurable"),
        pytest.param(8.0, 15.9, False, id="just under twice is not"),
    ],
)
def test_lesions_too_small_for_the_slices_are_no_targets(thickness_mm, size_mm, is_target):
    images = ((image_on(GRID, 0, thickness_mm=thickness_mm),), (image_on(GRID, 1),))
    one = lesion(GRID, "L1", HIGH_MM, size_mm)

    timeline, (response,), cautions = compared(images, (findings(0, one), findings(1, one)))

    assert all(e.is_target is is_target for e in timeline.entries)
    assert bool(cautions) is not is_target
    if not is_target:
        assert response.category.value == "NON-CR/NON-PD"
        assert "slices of 8.0 mm measure lesions of 16 mm" in cautions[0]


def test_a_baseline_without_a_ct_is_passed_over():
    images = ((image_on(GRID, 0, "MR"),), (image_on(GRID, 1),), (image_on(GRID, 2),))
    one = lesion(GRID, "L1", HIGH_MM, 20.0)

    timeline, responses, _ = compared(images, (findings(0), findings(1, one), findings(2, one)))

    assert timeline.study_uids == ("2.25.2", "2.25.3")
    assert [r.category.value for r in responses] == ["SD"]


def test_one_ct_alone_is_no_follow_up():
    visits = (
        Examination(patient=PATIENT, study_uid="2.25.1", time=None, images=(image_on(GRID, 0),)),
        Examination(
            patient=PATIENT, study_uid="2.25.2", time=None, images=(image_on(GRID, 1, "MR"),)
        ),
    )

    found = followed(Examinations(PATIENT, visits), AllFindings((findings(0), findings(1))))

    assert found == ()


def test_lesions_on_other_images_of_a_visit_do_not_count():
    images = ((image_on(GRID, 0),), (image_on(GRID, 1),))
    one = lesion(GRID, "L1", HIGH_MM, 20.0)
    on_pet = replace(one, id="L2", image="PT")

    timeline, _, _ = compared(images, (findings(0, one, on_pet), findings(1, one)))

    assert len(timeline.at(0)) == 1


def test_a_lesion_that_appears_where_none_was_is_progression():
    """RECIST 1.1, 4.3.5: a new lesion is progression, also without disease at baseline."""
    images = ((image_on(GRID, 0),), (image_on(GRID, 1),), (image_on(GRID, 2),))

    timeline, responses, _ = compared(
        images, (findings(0), findings(1), findings(2, lesion(GRID, "L1", HIGH_MM, 20.0)))
    )

    assert timeline.at(0) == timeline.at(1) == ()
    assert [r.category.value for r in responses] == ["NE", "PD"]
    assert "Nothing was diseased at baseline" in str(responses[0].reason)
