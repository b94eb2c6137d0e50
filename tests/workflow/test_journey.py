"""A made patient goes through every stage, and the numbers agree with the truth."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest

from aegle.domain.errors import IdentityError
from aegle.workflow import demo

from .conftest import NOW, SMALL


def contents(folder):
    """Return every file below a folder with its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_number_agrees_with_the_truth(small_demo):
    wrong = [row for row in small_demo.agreement if not row.agrees]

    assert not wrong
    assert {row.what for row in small_demo.agreement} >= {
        "lung_right",
        "lung_left",
        "tumour",
        "Lung-RADS",
        "RECIST 1.1",
    }


def test_screening_rule_applies_to_the_screening_visit_only(small_demo):
    first, *later = small_demo.results.suggestions.visits

    assert any(s.applies for s in first)
    for visit in later:
        assert [str(s.reason) for s in visit] == ["not applicable: not a screening CT"]


def test_plan_covers_the_target(small_demo):
    plan = small_demo.results.planning.plan

    covered = [g for g in plan.goals if g.goal.structure == plan.prescription.target]
    assert covered
    assert all(g.is_met for g in covered)


def test_same_lesion_has_the_same_identity_at_every_visit(small_demo):
    entries = small_demo.results.following.follow_up.timeline.entries
    lesions = [{o.id: o for o in f.lesions} for f in small_demo.results.findings.visits]

    tracks = {}
    for entry in entries:
        if entry.lesion_id is not None:
            lesion = lesions[entry.visit][entry.lesion_id]
            tracks.setdefault(entry.track, set()).add(lesion.tracking_uid)
    assert all(len(uids) == 1 for uids in tracks.values())
    assert len({uid for uids in tracks.values() for uid in uids}) == len(tracks)


def test_case_folder_holds_everything_that_leaves(small_demo):
    names = {str(p.relative_to(small_demo.case)) for p in small_demo.case.rglob("*") if p.is_file()}

    assert {
        "report.html",
        "report.pdf",
        "overview.png",
        "results.json",
        "fhir.json",
        "case.json",
        "dicom/visit-1/ct-seg.dcm",
        "dicom/visit-1/ct-sr.dcm",
        "dicom/visit-1/ct-rtstruct.dcm",
        "dicom/plan/rtdose.dcm",
        "dicom/plan/rtplan.dcm",
        "dicom/plan/rtstruct.dcm",
    } <= names
    assert not [n for n in names if ".part-" in n]


def test_written_dose_is_the_planned_dose(small_demo):
    written = pydicom.dcmread(small_demo.case / "dicom" / "plan" / "rtdose.dcm")
    dose = small_demo.results.planning.plan.dose

    np.testing.assert_allclose(
        written.pixel_array * float(written.DoseGridScaling), dose.values, atol=1e-3
    )
    np.testing.assert_allclose(
        [float(v) for v in written.ImagePositionPatient], dose.grid.origin_mm, atol=1e-4
    )


def test_dciodvfy_finds_no_error_in_anything_written(small_demo, require_program):
    program = require_program("dciodvfy", "dicom3tools")
    objects = sorted((small_demo.case / "dicom").rglob("*.dcm"))

    assert len(objects) >= 12
    for path in objects:
        said = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
        assert not errors, f"{path.name}: {errors}"


def test_second_run_repeats_nothing_and_changes_nothing(small_demo):
    before = contents(small_demo.case)
    repeated = []

    def announce(stage, reused):
        if not reused:
            repeated.append(stage.name)
        return lambda done, total: None

    demo.run(small_demo.case.parent, now=NOW, options=SMALL, announce=announce)

    assert repeated == ["scan", "report"]
    assert contents(small_demo.case) == before


def test_another_patient_is_refused(small_demo, tmp_path):
    from aegle import api

    other = tmp_path / "other.dcm"
    dataset = pydicom.dcmread(next((small_demo.case.parent / "images").rglob("*.dcm")))
    dataset.PatientID = "SOMEONE-ELSE"
    dataset.save_as(other)

    with pytest.raises(IdentityError, match="holds the case of patient 'MADE"):
        api.run([other], small_demo.case, now=NOW)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_run_goes_on_and_ends_in_the_same_bytes(small_demo, tmp_path, seed):
    random = np.random.default_rng(seed)
    case = tmp_path / "case"
    command = [sys.executable, "-m", "aegle", "run", str(small_demo.case.parent / "images")]
    command += ["--out", str(case), "--now", NOW.isoformat(), "--set", "choice.visit=first"]

    kills = 0
    while kills < 12:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=float(random.uniform(1.5, 5.0)))
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run(command, check=True, capture_output=True)

    assert kills > 0
    assert contents(case) == contents(small_demo.case)


def test_results_are_the_same_as_the_summary(small_demo):
    written = json.loads((small_demo.case / "results.json").read_text())

    assert written["visits"][0]["lesions"][0]["id"] == "L1"
    assert written["follow_up"]["responses"][0]["category"] == "PR"
    assert time.strptime(written["now"], "%Y-%m-%dT%H:%M:%S")
