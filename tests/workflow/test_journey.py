"""A made patient goes through every stage, and the numbers agree with the truth."""

import contextlib
import hashlib
import json
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
from PIL import Image

from aegle.domain.errors import IdentityError
from aegle.workflow import demo

from .conftest import NOW

pytestmark = pytest.mark.xdist_group("journey")


def contents(folder):
    """Return every file below a folder with its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_number_agrees_with_the_truth(journey):
    wrong = [row for row in journey.agreement if not row.agrees]

    assert not wrong
    assert {row.what for row in journey.agreement} >= {
        "lung_right",
        "lung_left",
        "tumour",
        "Lung-RADS",
        "RECIST 1.1",
    }


def test_screening_rule_applies_to_the_screening_visit_only(journey):
    first, *later = journey.results.suggestions.visits

    assert {s.rule for s in first if s.applies} == {"Lung-RADS v2022"}
    for visit in later:
        not_for_it, *others = visit
        assert str(not_for_it.reason) == "not applicable: not a screening CT"
        # An image says nothing of risk, so the table for incidental nodules is not read.
        assert {(s.rule, s.category) for s in others} == {("Fleischner 2017", "REVIEW")}


def test_plan_covers_the_target(journey):
    plan = journey.results.planning.plan

    covered = [g for g in plan.goals if g.goal.structure == plan.prescription.target]
    assert covered
    assert all(g.is_met for g in covered)


def test_same_lesion_has_the_same_identity_at_every_visit(journey):
    entries = journey.results.following.follow_up.timeline.entries
    lesions = [{o.id: o for o in f.lesions} for f in journey.results.findings.visits]

    tracks = {}
    for entry in entries:
        if entry.lesion_id is not None:
            lesion = lesions[entry.visit][entry.lesion_id]
            tracks.setdefault(entry.track, set()).add(lesion.tracking_uid)
    assert all(len(uids) == 1 for uids in tracks.values())
    assert len({uid for uids in tracks.values() for uid in uids}) == len(tracks)


def test_case_folder_holds_everything_that_leaves(journey):
    names = {str(p.relative_to(journey.case)) for p in journey.case.rglob("*") if p.is_file()}

    assert {
        "report.html",
        "report.pdf",
        "timeline.html",
        "overview.png",
        "results.json",
        "fhir.json",
        "case.json",
        "dicom/visit-1/ct-seg.dcm",
        "dicom/visit-1/ct-sr.dcm",
        "dicom/visit-1/ct-rtstruct.dcm",
        "dicom/alignments/visit-2.dcm",
        "dicom/alignments/visit-3.dcm",
        "dicom/plan/rtdose.dcm",
        "dicom/plan/rtplan.dcm",
        "dicom/plan/rtstruct.dcm",
    } <= names
    assert not [n for n in names if ".part-" in n]


def test_written_dose_is_the_planned_dose(journey):
    written = pydicom.dcmread(journey.case / "dicom" / "plan" / "rtdose.dcm")
    dose = journey.results.planning.plan.dose

    np.testing.assert_allclose(
        written.pixel_array * float(written.DoseGridScaling), dose.values, atol=1e-3
    )
    np.testing.assert_allclose(
        [float(v) for v in written.ImagePositionPatient], dose.grid.origin_mm, atol=1e-4
    )


def test_dciodvfy_finds_no_error_in_anything_written(journey, require_program):
    program = require_program("dciodvfy", "dicom3tools")
    objects = sorted((journey.case / "dicom").rglob("*.dcm"))

    assert len(objects) >= 12
    for path in objects:
        said = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
        assert not errors, f"{path.name}: {errors}"


def test_second_run_repeats_nothing_and_changes_nothing(journey):
    before = contents(journey.case)
    repeated = []

    def announce(stage, reused):
        if not reused:
            repeated.append(stage.name)
        return lambda done, total: None

    demo.run(journey.case.parent, now=NOW, announce=announce)

    assert repeated == ["scan", "report"]
    assert contents(journey.case) == before


def test_another_patient_is_refused(journey, tmp_path):
    from aegle import api

    other = tmp_path / "other.dcm"
    dataset = pydicom.dcmread(next((journey.case.parent / "images").rglob("*.dcm")))
    dataset.PatientID = "SOMEONE-ELSE"
    dataset.save_as(other)

    with pytest.raises(IdentityError, match="holds the case of patient 'MADE"):
        api.run([other], journey.case, now=NOW)


def test_case_stays_the_patients_while_its_report_is_written_anew(coarse_images, tmp_path):
    from aegle import api

    class StopWritingError(Exception):
        pass

    def stop_while_writing(stage, reused):
        def progress(done, total):
            if stage.name == "report" and done > 1:
                raise StopWritingError

        return progress

    with pytest.raises(StopWritingError):
        api.run([coarse_images], tmp_path / "case", now=NOW, announce=stop_while_writing)

    dataset = pydicom.dcmread(next(coarse_images.rglob("*.dcm")))
    dataset.PatientID = "SOMEONE-ELSE"
    dataset.save_as(tmp_path / "other.dcm")
    with pytest.raises(IdentityError, match="holds the case of patient 'MADE"):
        api.run([tmp_path / "other.dcm"], tmp_path / "case", now=NOW)


def test_killed_run_goes_on_and_ends_in_the_same_bytes(coarse_images, tmp_path):
    def command(case):
        program = [sys.executable, "-m", "aegle", "run", str(coarse_images)]
        return [*program, "--out", str(tmp_path / case), "--now", NOW.isoformat()]

    start = time.perf_counter()
    subprocess.run(command("whole"), check=True, capture_output=True)
    whole_s = time.perf_counter() - start
    for share in (0.3, 0.45, 0.6, 0.75, 0.9):
        process = subprocess.Popen(
            command("killed"), stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=share * whole_s)
        process.kill()
        process.communicate()
    subprocess.run(command("killed"), check=True, capture_output=True)

    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_stages_kept_before_a_kill_are_not_repeated(coarse_images, tmp_path):
    program = [sys.executable, "-m", "aegle", "run", str(coarse_images), "--out", "case"]
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    for line in process.stderr:
        if line.startswith("findings"):
            process.kill()
            break
    process.communicate()

    again = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=True)

    assert "images (kept)" in again.stderr
    assert "structures (kept)" in again.stderr
    assert "findings (kept)" not in again.stderr


def test_results_are_the_same_as_the_summary(journey):
    written = json.loads((journey.case / "results.json").read_text())

    assert written["visits"][0]["lesions"][0]["id"] == "L1"
    assert written["follow_up"]["responses"][0]["category"] == "PR"
    assert time.strptime(written["now"], "%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("width", [1300, 500])
def test_report_opens_in_a_browser_without_a_complaint(journey, require_program, tmp_path, width):
    program = require_program("chromium", "chromium")
    picture = tmp_path / "report.png"
    command = [
        *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={tmp_path}", "--enable-logging=stderr"),
        *("--hide-scrollbars", f"--window-size={width},1600", f"--screenshot={picture}"),
        (journey.case / "report.html").as_uri(),
    ]

    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert "CONSOLE" not in said.stderr
    with Image.open(picture) as shown:
        grey = np.asarray(shown.convert("L"))
    assert grey.shape == (1600, width)
    # Text, pictures and their frames: neither an empty page nor an error page.
    assert len(np.unique(grey)) > 200


def test_pdf_pages_are_drawn(journey, require_program, tmp_path):
    program = require_program("pdftoppm", "poppler-utils")
    command = [program, "-r", "30", "-png", str(journey.case / "report.pdf"), str(tmp_path / "p")]

    said = subprocess.run(command, capture_output=True, text=True, check=True)

    assert said.stderr == ""
    pages = sorted(tmp_path.glob("p-*.png"))
    assert len(pages) >= 6
    for page in pages:
        with Image.open(page) as drawn:
            assert np.asarray(drawn.convert("L")).min() < 100
