import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

import aegle
from aegle.dicom import attributes, report, report_reading, segmentation
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, IdentityError
from aegle.domain.finding import (
    Diameters,
    Findings,
    Lesion,
    LesionKind,
    OrganMeasure,
    Statistics,
    Suggestion,
)
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.suggestion import Maker, MakerKind
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume

NOW = datetime(2024, 3, 1, 8, 30)
PATIENT = Patient(id="A 1", name="Made")
GRID = Grid(shape=(4, 8, 9), spacing_mm=(3.0, 1.5, 0.75), origin_mm=(-2.5, 3.5, 1.25))
LONG_AXIS, SHORT_AXIS, VOLUME = "103339001", "103340004", "118565006"
ATTENUATION, UPTAKE = "112031", "126401"
MEAN, DEVIATION, MINIMUM, MAXIMUM = "373098007", "386136009", "255605001", "56851009"


def image_called(name="CT", **changes):
    series = SeriesReference(
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.4{i}" for i in range(4)),
        study_date=datetime(2024, 2, 29),
    )
    volume = Volume(
        values=np.zeros(GRID.shape, np.float32), grid=GRID, quantity=Quantity.RADIODENSITY
    )
    return Image(name=name, volume=volume, series=replace(series, **changes))


def structures():
    mask = np.zeros(GRID.shape, bool)
    mask[1:3, 2:5, 3:7] = True
    return StructureSet(
        (
            Structure.of("heart", ~mask, GRID),
            Structure.of("nodule 1", mask, GRID, type=StructureType.LESION),
        )
    )


def statistics(image, unit, mean):
    return Statistics(
        image=image, unit=unit, mean=mean, deviation=3.5, minimum=mean - 9, maximum=mean + 11.25
    )


def findings():
    lesion = Lesion(
        id="L1",
        tracking_uid="2.25.77",
        structure=structures()["nodule 1"],
        image="CT",
        kind=LesionKind.NODULE,
        site="lung_left",
        diameters=Diameters(
            longest_mm=21.25,
            perpendicular_mm=40 / 3,
            longest_ends_mm=((0.0, 1.0, 4.25), (3.0, -4.0, 4.25)),
            perpendicular_ends_mm=((0.0, 0.0, 4.25), (1.0, 1.0, 4.25)),
            slice_index=1,
        ),
        volume_ml=1.234567890123,
        statistics=(statistics("CT", "HU", -33.3), statistics("PT", "g/mL", 12.5)),
    )
    elsewhere = replace(lesion, id="L2", tracking_uid="2.25.78", image="PT")
    organ = OrganMeasure(name="heart", volume_ml=512.5, statistics=statistics("CT", "HU", 41.0))
    return Findings(study_uid="2.25.1", organs=(organ,), lesions=(lesion, elsewhere))


LUNG_RADS = Maker(kind=MakerKind.RULE, id="lung-rads", version="2022", digest="ab" * 32)
SUGGESTIONS = (
    Suggestion(
        rule="Lung-RADS v2022",
        applies=True,
        category="4B",
        subject="L1",
        reason=Text("large"),
        made_by=LUNG_RADS,
    ),
    Suggestion(
        rule="Fleischner 2017", applies=False, category="", subject="L1", reason=Text("screening")
    ),
    Suggestion(
        rule="Any rule", applies=True, category="REVIEW", subject="examination", reason=Text("?")
    ),
)


@pytest.fixture
def written(tmp_path):
    def write(found=None, **options):
        path = tmp_path / "sr.dcm"
        found = findings() if found is None else found
        return report.write(found, image_called(), PATIENT, path, now=NOW, **options)

    return write


@pytest.fixture
def segments(tmp_path):
    return segmentation.write(structures(), image_called(), PATIENT, tmp_path / "seg", now=NOW)


def test_every_number_is_in_the_report_with_its_unit(written):
    lesion, organ = report_reading.read(written())

    assert (lesion.tracking_id, lesion.tracking_uid) == ("L1", "2.25.77")
    assert (lesion.finding, lesion.site) == ("27925004", "44029006")
    assert lesion.time_point == "2024-02-29"
    assert lesion.value(LONG_AXIS) == 21.25
    assert lesion.value(SHORT_AXIS) == pytest.approx(40 / 3, rel=1e-12)
    assert lesion.value(VOLUME) == pytest.approx(1.234567890123, rel=1e-12)
    derived = [lesion.value(ATTENUATION, d) for d in (MEAN, DEVIATION, MINIMUM, MAXIMUM)]
    assert derived == pytest.approx([-33.3, 3.5, -42.3, -22.05])
    assert lesion.value(UPTAKE, MAXIMUM) == 23.75
    assert {(m.name, m.unit) for m in lesion.measurements} == {
        (LONG_AXIS, "mm"),
        (SHORT_AXIS, "mm"),
        (VOLUME, "ml"),
        (ATTENUATION, "[hnsf'U]"),
        (UPTAKE, "g/ml{SUVbw}"),
    }
    assert (organ.tracking_id, organ.finding, organ.value(VOLUME)) == ("heart", "80891009", 512.5)


def test_diameters_carry_their_end_points_in_the_patient(written):
    lesion, _ = report_reading.read(written())

    (longest,) = (m for m in lesion.measurements if m.name == LONG_AXIS)

    assert longest.points_mm == (0, 1, 4.25, 3, -4, 4.25)
    assert b"2.25.3" in written().read_bytes()


def test_another_library_reads_the_same_numbers(tmp_path, segments):
    path = attributes.save(
        report.compose(
            findings(), image_called(), PATIENT, now=NOW, context=report.Context(segments=segments)
        ),
        tmp_path / "sr.dcm",
    )

    content = highdicom.sr.srread(path).content
    (lesion,) = content.get_volumetric_roi_measurement_groups(tracking_uid="2.25.77")
    (longest,) = lesion.get_measurements(codes.SCT.LongAxis)
    (mean,) = [
        m
        for m in lesion.get_measurements(codes.DCM.AttenuationCoefficient)
        if m.derivation == codes.SCT.Mean
    ]

    assert lesion.finding_type == codes.SCT.Nodule
    assert (longest.value, longest.unit) == (21.25, codes.UCUM.Millimeter)
    assert mean.value == pytest.approx(-33.3)
    assert lesion.referenced_segment.referenced_segment_numbers == [2]


def test_groups_refer_to_their_segments(segments):
    made = report.compose(
        findings(), image_called(), PATIENT, now=NOW, context=report.Context(segments=segments)
    )
    path = attributes.save(made, segments.with_name("sr.dcm"))
    uid = str(pydicom.dcmread(segments).SOPInstanceUID)

    lesion, organ = report_reading.read(path)

    assert (lesion.segment, organ.segment) == ((uid, 2), (uid, 1))


def test_a_segmentation_of_another_series_is_refused(segments):
    other = image_called(series_uid="2.25.99")

    with pytest.raises(IdentityError, match="not made on image 'CT'"):
        report.compose(
            findings(), other, PATIENT, now=NOW, context=report.Context(segments=segments)
        )


def test_only_rules_that_apply_are_reported_each_with_its_subject(written):
    lesion, organ, examination = report_reading.read(written(suggestions=SUGGESTIONS))

    assert lesion.evaluations == (("Lung-RADS v2022", "4B"),)
    assert organ.evaluations == ()
    assert examination.tracking_id == "examination"
    assert examination.evaluations == (("Any rule", "REVIEW"),)


def test_the_report_names_the_images_and_says_that_nobody_has_verified_it(written):
    found = pydicom.dcmread(written())
    (evidence,) = found.CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence

    assert [i.ReferencedSOPInstanceUID for i in series.ReferencedSOPSequence] == [
        "2.25.40",
        "2.25.41",
        "2.25.42",
        "2.25.43",
    ]
    assert (found.VerificationFlag, found.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert (found.PatientName, found.ContentDate, found.StudyDate) == (
        "Made",
        "20240301",
        "20240229",
    )


def test_what_is_no_report_is_refused(segments):
    with pytest.raises(FileError, match="not a structured report"):
        report_reading.read(segments)


def test_the_algorithm_of_a_suggestion_is_identified(written):
    """TID 4019: name 111001, parameters 111002, version 111003."""
    found = _texts(pydicom.dcmread(written(suggestions=SUGGESTIONS)))

    assert found["111001"] == {"Aegle"}
    assert found["111003"] == {aegle.__version__}
    assert found["111002"] == {f"published rule lung-rads 2022, SHA-256 {'ab' * 32}"}
    assert "111001" not in _texts(pydicom.dcmread(written()))


def _texts(node):
    """Return every text within, by the code of its concept."""
    found = {}
    for item in node.get("ContentSequence", ()):
        if item.ValueType == "TEXT":
            code = item.ConceptNameCodeSequence[0].CodeValue
            found.setdefault(code, set()).add(item.TextValue)
        for code, texts in _texts(item).items():
            found.setdefault(code, set()).update(texts)
    return found


def test_the_validator_finds_no_error(tmp_path, require_program, segments):
    program = require_program("dciodvfy", "dicom3tools")
    image = image_called()
    whole = report.compose(
        findings(),
        image,
        PATIENT,
        now=NOW,
        suggestions=SUGGESTIONS,
        context=report.Context(segments=segments),
    )
    paths = [
        attributes.save(whole, tmp_path / "whole"),
        report.write(
            findings(), image, PATIENT, tmp_path / "plain", now=NOW, suggestions=SUGGESTIONS
        ),
        report.write(Findings(study_uid="2.25.1"), image, PATIENT, tmp_path / "empty", now=NOW),
    ]

    for path in paths:
        found = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert "Comprehensive3DSR" in found.stderr
        assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


WRITE_EVERYTHING = """
import sys, importlib.util
from pathlib import Path
def module(name):
    path = Path(sys.argv[1], f"test_{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
out = Path(sys.argv[2])
series, sr, rt = module("image_series"), module("report"), module("radiotherapy")
series.image_series.write(
    series.image_of("PT"), series.PATIENT, out / "pt", now=series.NOW, pet=series.facts()
)
image, tracking = sr.image_called(), {"nodule 1": "2.25.77"}
sr.segmentation.write(
    sr.structures(), image, sr.PATIENT, out / "seg.dcm", now=sr.NOW, tracking=tracking
)
rt.structure_set.write(sr.structures(), image, sr.PATIENT, out / "rs.dcm", now=sr.NOW)
made = sr.report.compose(
    sr.findings(), image, sr.PATIENT, now=sr.NOW, suggestions=sr.SUGGESTIONS,
    context=sr.report.Context(segments=out / "seg.dcm"),
)
sr.attributes.save(made, out / "sr.dcm")
plan = rt.plan_on(rt.grid_of())
image = rt.image_on(plan.dose.grid)
rt.radiotherapy.write_plan(plan, image, rt.PATIENT, out / "plan.dcm", now=rt.NOW)
rt.radiotherapy.write_dose(plan, image, rt.PATIENT, out / "dose.dcm", now=rt.NOW)
"""


def test_every_object_is_the_same_in_another_process_at_another_second(tmp_path):
    contents = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        out.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(
            [sys.executable, "-c", WRITE_EVERYTHING, Path(__file__).parent, out],
            check=True,
            env=environment,
        )
        files = sorted(p for p in out.rglob("*") if p.is_file())
        contents.append({p.relative_to(out): p.read_bytes() for p in files})
        time.sleep(1.1)

    first, second = contents
    assert len(first) == 4 + 5
    assert [name for name in first if first[name] != second[name]] == []
