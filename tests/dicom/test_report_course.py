"""The same lesion over three visits, written and read back by another library."""

import subprocess
from dataclasses import replace
from datetime import datetime

import numpy as np
import pydicom
import pytest
from highdicom import sr
from pydicom.sr.codedict import codes

from aegle.dicom import attributes, report, report_reading
from aegle.dicom.report_course import TimePoint, TrackedLesion
from aegle.domain.codes import StructureType
from aegle.domain.finding import Diameters, Findings, Lesion, LesionKind
from aegle.domain.grid import Grid
from aegle.domain.response import Response, ResponseCategory
from aegle.domain.structure import Structure
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume

NOW = datetime(2026, 7, 1, 8, 30)
PATIENT = Patient(id="A 1", name="Made^Follow")
GRID = Grid(shape=(4, 8, 9), spacing_mm=(3.0, 1.5, 0.75))
DATES = (datetime(2026, 1, 5, 9), datetime(2026, 3, 9, 23), datetime(2026, 6, 15, 1))
TARGET, NODE, NEW = "2.25.1001", "2.25.1002", "2.25.1003"
LONG_MM = (34.2, 20.4, 0.0)
CATEGORIES = (None, ResponseCategory.PARTIAL_RESPONSE, ResponseCategory.PROGRESSIVE_DISEASE)


def image_at(visit):
    series = SeriesReference(
        study_uid=f"2.25.9{visit}1",
        series_uid=f"2.25.9{visit}2",
        frame_of_reference_uid=f"2.25.9{visit}3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.9{visit}4{i}" for i in range(4)),
        study_date=DATES[visit],
    )
    values = np.zeros(GRID.shape, np.float32)
    volume = Volume(values=values, grid=GRID, quantity=Quantity.RADIODENSITY)
    return Image(name="CT", volume=volume, series=series)


def lesion(name, uid, longest_mm, short_mm, kind=LesionKind.NODULE):
    mask = np.zeros(GRID.shape, bool)
    mask[1:3, 2:5, 3:7] = True
    return Lesion(
        id=name,
        tracking_uid=uid,
        structure=Structure.of(name, mask, GRID, type=StructureType.LESION),
        image="CT",
        kind=kind,
        site="lung_left",
        diameters=Diameters(
            longest_mm=longest_mm,
            perpendicular_mm=short_mm,
            longest_ends_mm=((0.0, 1.0, 3.0), (3.0, -4.0, 3.0)),
            perpendicular_ends_mm=((0.0, 0.0, 3.0), (1.0, 1.0, 3.0)),
            slice_index=1,
        ),
        volume_ml=longest_mm / 10,
    )


NODE_ROLE = {"tracking_uid": NODE, "is_target": False, "is_lymph_node": True}


def visit(number):
    """Return findings and time point: the target shrinks and goes, at last one is new."""
    node = lesion("L2", NODE, 18.0, 12.5, LesionKind.LYMPH_NODE)
    seen = [TrackedLesion(id="L2", **NODE_ROLE)]
    lesions, gone = [node], ()
    if number < 2:
        lesions.insert(0, lesion("L1", TARGET, LONG_MM[number], LONG_MM[number] / 2))
        seen.append(TrackedLesion(id="L1", tracking_uid=TARGET, is_target=True))
    else:
        lesions.append(lesion("L3", NEW, 16.6, 11.0))
        seen.append(TrackedLesion(id="L3", tracking_uid=NEW, is_target=False, is_new=True))
        gone = (TrackedLesion(id="T1", tracking_uid=TARGET, is_target=True),)
    category = CATEGORIES[number]
    response = Response(
        visit=number,
        category=category or ResponseCategory.NOT_EVALUABLE,
        criterion="RECIST 1.1",
        sum_mm=LONG_MM[number],
        baseline_mm=34.2,
        nadir_mm=float("nan") if number == 1 else 20.4,
        reason=Text("made"),
    )
    point = TimePoint(
        order=number + 1,
        baseline=DATES[0],
        lesions=tuple(seen),
        gone=gone,
        responses=(response,) if category else (),
    )
    return Findings(study_uid=f"2.25.9{number}1", lesions=tuple(lesions)), point


def composed(number):
    findings, point = visit(number)
    return report.compose(
        findings, image_at(number), PATIENT, now=NOW, context=report.Context(time_point=point)
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    return [attributes.save(composed(n), folder / f"visit-{n + 1}.dcm") for n in range(3)]


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory):
    """T1 has fallen into L1 and L2; T2 has grown into T3, which is L3 now."""
    named = (("L1", TARGET), ("L2", "2.25.1011"), ("L3", NODE))
    lesions = tuple(lesion(name, uid, 12.0, 8.0) for name, uid in named)
    point = TimePoint(
        order=2,
        baseline=DATES[0],
        lesions=(
            TrackedLesion(id="L1", tracking_uid=TARGET, is_target=True, part_of="T1"),
            TrackedLesion(id="L2", tracking_uid="2.25.1011", is_target=True, part_of="T1"),
            TrackedLesion(id="L3", tracking_uid=NODE, is_target=False),
        ),
        merged=(TrackedLesion(id="T2", tracking_uid=NEW, is_target=True, merged_into="T3"),),
    )
    findings = Findings(study_uid="2.25.911", lesions=lesions)

    made = report.compose(
        findings, image_at(1), PATIENT, now=NOW, context=report.Context(time_point=point)
    )
    return attributes.save(made, tmp_path_factory.mktemp("parts") / "parts.dcm")


def contents(path):
    return sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(path)).content


def measured(group):
    """Leave out what highdicom also lists: numbers of the time point (HAS OBS CONTEXT)."""
    context = {"126073", "128740"}
    return [m for m in group.get_measurements() if m.name.value not in context]


def evaluated(group):
    """Leave out the type of the time point, as above."""
    return [e for e in group.get_qualitative_evaluations() if e.name.value != "126072"]


def number_named(group, name):
    (found,) = group.get_measurements(name=name)
    return found.value


def test_highdicom_finds_a_lesion_by_its_tracking_uid_at_all_three_visits(reports):
    found = [contents(p).get_image_measurement_groups(tracking_uid=TARGET) for p in reports]

    assert [len(groups) for groups in found] == [1, 1, 1]
    for number, (group,) in enumerate(found):
        assert group.tracking_uid == TARGET
        assert number_named(group, codes.SCT.LongAxis) == pytest.approx(LONG_MM[number])
    # Where it is gone there is nothing but the diameter of 0.
    (last,) = found[2]
    assert [m.value for m in measured(last)] == [0.0]
    assert [len(g.get_measurements(name=codes.SCT.Volume)) for (g,) in found] == [1, 1, 0]
    assert number_named(found[0][0], codes.SCT.ShortAxis) == pytest.approx(17.1)


def test_time_points_are_in_order_and_counted_in_days_from_baseline(reports):
    """TID 1502: 126073 order, 126070 subject's time point, 128740 offset; 5 January to 9 March."""
    orders, offsets, names, types = [], [], [], []
    for path in reports:
        (group,) = contents(path).get_image_measurement_groups(tracking_uid=NODE)
        items = {i.name.value: i for i in group[0].ContentSequence}
        orders.append(float(items["126073"].value))
        offsets.append((float(items["128740"].value), items["128740"].unit.value))
        names.append(items["126070"].value)
        types.append(items["126072"].value.value if "126072" in items else None)

    assert orders == [1, 2, 3]
    assert offsets == [(0, "d"), (63, "d"), (161, "d")]
    assert names == ["Visit 1", "Visit 2", "Visit 3"]
    assert types == ["C1442488", None, None]


def test_target_and_non_target_lesions_carry_their_codes(reports):
    """CID 6145; what was not there at baseline is neither."""
    said = {}
    for path in reports:
        for group in contents(path).get_image_measurement_groups():
            values = [e.value.value for e in evaluated(group)]
            said.setdefault(group.tracking_uid, []).append(values)

    assert said[TARGET] == [["112074"]] * 3
    assert said[NODE] == [["112075"]] * 3
    assert said[NEW] == [[]]


def test_the_response_names_its_criterion_and_its_sums(reports):
    assert not _responses(reports[0])
    (second,), (third,) = _responses(reports[1]), _responses(reports[2])

    assert second.method == codes.DCM.RECIST1Point1
    assert [e.value.value for e in second.get_qualitative_evaluations()] == ["PR"]
    assert [e.value.value for e in third.get_qualitative_evaluations()] == ["PD"]
    # A sum that is not known is left out.
    assert [m.value for m in measured(second)] == pytest.approx([20.4, 34.2])
    assert [m.value for m in measured(third)] == pytest.approx([0.0, 34.2, 20.4])


def _responses(path):
    groups = contents(path).get_image_measurement_groups()
    return [
        g
        for g in groups
        if any(e.name == codes.DCM.CurrentResponse for e in g.get_qualitative_evaluations())
    ]


def test_our_own_reader_sees_the_same(reports):
    found = [{g.tracking_uid: g for g in report_reading.read(p)} for p in reports]

    assert [groups[TARGET].value("103339001") for groups in found] == [34.2, 20.4, 0.0]
    assert found[2][NODE].time_point == "2026-06-15"
    assert [(g[NODE].order, g[NODE].days) for g in found] == [(1, 0), (2, 63), (3, 161)]
    # Nothing of the time point is taken for a measurement.
    assert {m.name for m in found[2][NODE].measurements} == {"103339001", "103340004", "118565006"}
    assert found[0][TARGET].evaluations == (("Baseline Category", "Target Lesion at Baseline"),)


def test_another_course_is_another_object():
    findings, point = visit(1)
    later = replace(point, order=7)
    other = report.compose(
        findings, image_at(1), PATIENT, now=NOW, context=report.Context(time_point=later)
    )

    assert other.SOPInstanceUID != composed(1).SOPInstanceUID


def test_the_validator_finds_no_error(reports, in_parts, require_program):
    program = require_program("dciodvfy", "dicom3tools")
    for path in (*reports, in_parts):
        found = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert "Comprehensive3DSR" in found.stderr
        assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_parts_and_lesions_grown_together_name_the_lesion_they_belong_to(in_parts):
    content = contents(in_parts)

    said = {}
    for uid in (TARGET, "2.25.1011", NODE, NEW):
        (group,) = content.get_image_measurement_groups(tracking_uid=uid)
        said[uid] = {e.name.value: e.value.value for e in evaluated(group)}
    assert said[TARGET]["part-of"] == said["2.25.1011"]["part-of"] == "T1"
    assert said[NEW]["merged-into"] == "T3"
    assert not {"part-of", "merged-into"} & set(said[NODE])
    # What has grown into another lesion has no size of its own, and is not gone.
    (merged,) = content.get_image_measurement_groups(tracking_uid=NEW)
    assert measured(merged) == []
