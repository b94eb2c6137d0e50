"""A plan from files, from a phantom and from a case: what comes out, and what is refused."""

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from scipy.io import savemat

from aegle import api, cli
from aegle.dicom import image_series, radiotherapy, segmentation, structure_set
from aegle.dicom.ion_beams import read_ion_beams
from aegle.dicom.plan_beams import read_beams
from aegle.domain.case import (
    AllFindings,
    Examinations,
    ImageStructures,
    Segmentations,
    VisitStructures,
)
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, IdentityError, InputError, OptionError
from aegle.domain.finding import Findings
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.phantoms.pelvis import PelvisOptions, make_pelvis
from aegle.planning.dose_volume import evaluate
from aegle.workflow.case_folder import opened

NOW = datetime(2026, 1, 2, 3, 4, 5)
QUICK = {
    "photons": {"dose_grid_mm": 10, "iterations": 3, "gantry_deg": [0, 120, 240]},
    "choice": {"target": "prostate"},
}
PLAIN = {"photons": QUICK["photons"]}
WATER_PRESCRIPTION = """
[prescription]
target = "PTV"
dose_gy = 50
fractions = 25
[[goal]]
structure = "Cord"
metric = "max"
at_most = 45
"""


@pytest.fixture(scope="module")
def pelvis():
    return make_pelvis(options=PelvisOptions(shape=(30, 64, 64)))


@pytest.fixture(scope="module")
def planning_ct(pelvis):
    series = image_series.reference(
        pelvis.ct, pelvis.patient.id, modality="CT", study="pelvis", time=pelvis.acquired
    )
    return Image(name="CT", volume=pelvis.ct, series=series)


@pytest.fixture(scope="module")
def files(pelvis, planning_ct, tmp_path_factory):
    """The made pelvis as DICOM: CT, RTSTRUCT and SEG."""
    folder = tmp_path_factory.mktemp("pelvis")
    image_series.write(planning_ct, pelvis.patient, folder / "ct", now=NOW)
    structure_set.write(pelvis.structures, planning_ct, pelvis.patient, folder / "rs.dcm", now=NOW)
    segmentation.write(pelvis.structures, planning_ct, pelvis.patient, folder / "seg.dcm", now=NOW)
    return folder


@pytest.fixture(scope="module")
def planned(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("planned") / "plan"
    inputs = api.PlanInputs(
        ct=files / "ct", structures=files / "rs.dcm", prescription="prostate_conventional"
    )
    options = QUICK | {"photons": QUICK["photons"] | {"delivery": "step-and-shoot"}}
    return api.plan(inputs, out, options=options, now=NOW)


def test_the_made_pelvis_gives_every_file(planned):
    assert {path.name for path in planned.folder.iterdir()} == {
        *("case.json", "dicom", "plan.html", "plan.json", "plan.pdf", "stages"),
    }
    assert {path.name for path in (planned.folder / "dicom").iterdir()} == {
        *("rtdose.dcm", "rtplan.dcm", "rtstruct.dcm"),
    }
    assert not list(planned.folder.rglob("*.part-*"))


def test_the_validator_finds_no_error(planned, require_program):
    program = require_program("dciodvfy", "dicom3tools")

    for path in (planned.folder / "dicom").iterdir():
        found = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_the_files_hold_the_numbers_of_the_plan(planned):
    plan, dicom = planned.results.planning.plan, planned.folder / "dicom"
    told = json.loads((planned.folder / "plan.json").read_text("utf-8"))

    assert (told["target"], told["dose_gy"], told["fractions"]) == ("PTV", 73.8, 41)
    assert [goal["value"] for goal in told["goals"]] == [r.value for r in plan.goals]
    for said, beam, read in zip(
        told["beams"], plan.beams, read_beams(dicom / "rtplan.dcm"), strict=True
    ):
        assert said["gantry_deg"] == beam.gantry_deg == read.gantry_deg
        assert said["isocentre_mm"] == pytest.approx(read.isocentre_mm, abs=1e-9)
        units = sum(one.monitor_units for one in read.apertures)
        assert said["monitor_units_per_fraction"] * 41 == pytest.approx(units, rel=1e-9)
        assert len(said["apertures"]) == len(read.apertures)
    # The goals, judged again on what other programs read from the files.
    dose = radiotherapy.read_dose(dicom / "rtdose.dcm")
    again = evaluate(plan.prescription.goals, dose, plan.structures)
    step_gy = float(dose.values.max()) / 65534
    for one, known in zip(again, plan.goals, strict=True):
        assert one.value == pytest.approx(known.value, abs=max(step_gy, 0.5))


def test_the_objects_refer_to_the_ct_that_was_given(planned, planning_ct):
    found = pydicom.dcmread(planned.folder / "dicom" / "rtstruct.dcm")
    (frame,) = found.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence

    assert frame.FrameOfReferenceUID == planning_ct.series.frame_of_reference_uid
    (series,) = study.RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == planning_ct.series.series_uid
    assert found.PatientID == "MADE-PELVIS-1"


def test_the_page_says_what_a_physicist_checks(planned):
    page = (planned.folder / "plan.html").read_text("utf-8")

    for words in ("73.8 Gy in 41 fractions", "rectum", "V65Gy", "QUANTEC", "generic table"):
        assert words in page
    assert "RECIST" not in page
    assert (planned.folder / "plan.pdf").read_bytes().startswith(b"%PDF")


def test_what_was_made_is_kept_and_what_changed_is_made_anew(planned, files):
    seen = []

    def announce(stage, reused):
        seen.append((stage.name, reused))
        return lambda done, of: None

    inputs = api.PlanInputs(
        ct=files / "ct", structures=files / "rs.dcm", prescription="prostate_conventional"
    )
    options = QUICK | {"photons": QUICK["photons"] | {"delivery": "step-and-shoot"}}
    before = {p: p.read_bytes() for p in planned.folder.rglob("*") if p.is_file()}

    api.plan(inputs, planned.folder, options=options, now=NOW, announce=announce)

    assert seen == [("images", False), ("plan", True), ("report", False)]
    after = {p: p.read_bytes() for p in planned.folder.rglob("*") if p.is_file()}
    assert after == before


def plan_of(tmp_path, options=QUICK, out="plan", **inputs):
    made = api.plan(api.PlanInputs(**inputs), tmp_path / out, options=options, now=NOW)
    return made.results.planning.plan


def said(plan):
    return " ".join(map(str, plan.notices))


def write_volume(path, values, grid):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([float(s) for s in grid.spacing_mm[::-1]])
    image.SetOrigin([float(v) for v in grid.origin_mm])
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def nifti(pelvis, tmp_path_factory):
    """The made pelvis as NIfTI: CT, a label map and a folder of masks."""
    folder = tmp_path_factory.mktemp("nifti")
    grid = pelvis.ct.grid
    # Its name says another modality; it is planned on because it is given as the CT.
    write_volume(folder / "t1.nii.gz", pelvis.ct.values, grid)
    labels = np.zeros(grid.shape, np.uint8)
    (folder / "masks").mkdir()
    for number, structure in enumerate(pelvis.structures, 1):
        labels[structure.mask] = number
        mask = structure.mask.astype(np.uint8)
        write_volume(folder / "masks" / f"{structure.name}.nii.gz", mask, grid)
    write_volume(folder / "contours.nii.gz", labels, grid)
    names = {str(n): s.name for n, s in enumerate(pelvis.structures, 1)}
    (folder / "contours.nii.gz.labels.json").write_text(json.dumps({"labels": names}))
    return folder


def test_structures_may_come_in_any_form(files, nifti, pelvis, tmp_path):
    given = {
        "RTSTRUCT": (files / "ct", files / "rs.dcm"),
        "SEG": (files / "ct", files / "seg.dcm"),
        "masks": (nifti / "t1.nii.gz", nifti / "masks"),
    }
    plans = {}
    for kind, (ct, structures) in given.items():
        plans[kind] = plan_of(tmp_path, out=kind, ct=ct, structures=structures)

    # The NIfTI has its place in single precision, which moves borders between voxels.
    reference = plans["RTSTRUCT"]
    assert reference.structures["GTV"].volume_ml == pelvis.structures["prostate"].volume_ml
    for kind, plan in plans.items():
        np.testing.assert_array_equal(
            plan.structures["PTV"].mask, reference.structures["PTV"].mask, err_msg=kind
        )
        np.testing.assert_allclose(plan.dose.values, reference.dose.values, atol=0.5, err_msg=kind)


def test_structures_that_lie_with_the_ct_need_not_be_named(files, tmp_path):
    shutil.copytree(files / "ct", tmp_path / "both")
    shutil.copy(files / "rs.dcm", tmp_path / "both")

    assert "GTV" in plan_of(tmp_path, ct=tmp_path / "both").structures


def test_a_label_map_is_read_with_its_names(nifti, pelvis, tmp_path):
    plan = plan_of(tmp_path, ct=nifti / "t1.nii.gz", structures=nifti / "contours.nii.gz")

    # A voxel bears one label, so the body's own lack all organs in it.
    np.testing.assert_array_equal(plan.structures["body"].mask, pelvis.structures["body"].mask)
    assert "PTV" in plan.structures
    assert "does not say which scanner" in said(plan)
    written = tmp_path / "plan" / "dicom"
    assert len(list((written / "ct").iterdir())) == 30
    first = pydicom.dcmread(written / "ct" / "0001.dcm")
    assert first.Modality == "CT"
    frame = pydicom.dcmread(written / "rtstruct.dcm").FrameOfReferenceUID
    assert frame == first.FrameOfReferenceUID


GRID = Grid(shape=(20, 30, 36), spacing_mm=(6.0, 5.0, 5.0), origin_mm=(-87.5, -72.5, -57.0))


def water(**windows):
    """Return HU and masks of a block of water in air, and further boxes."""
    hu = np.full(GRID.shape, -1000, np.int16)
    body = (slice(0, 20), slice(4, 26), slice(4, 32))
    hu[body] = 0
    masks = {"BODY": body, "PTV": (slice(8, 12), slice(12, 18), slice(15, 21)), **windows}
    found = {}
    for name, window in masks.items():
        if window is not None:
            found[name] = np.zeros(GRID.shape, bool)
            found[name][window] = True
    return hu, found


def npz(folder, name="water.npz", **windows):
    hu, masks = water(**windows)
    path = folder / name
    np.savez(
        path,
        hu=hu,
        spacing_xyz=np.array(GRID.spacing_mm[::-1]),
        origin_xyz=np.array(GRID.origin_mm),
        **{f"mask_{name}": mask for name, mask in masks.items()},
    )
    return path


CORD = (slice(0, 20), slice(20, 22), slice(17, 19))


@pytest.fixture
def prescription(tmp_path):
    path = tmp_path / "clinic.toml"
    path.write_text(WATER_PRESCRIPTION)
    return path


def test_a_phantom_needs_no_structures_of_its_own(tmp_path, prescription):
    phantom = npz(tmp_path, Cord=CORD)

    plan = plan_of(tmp_path, PLAIN, ct=phantom, prescription=prescription)

    assert plan.prescription.dose_gy == 50
    assert [r.goal.structure for r in plan.goals] == ["Cord"]
    assert plan.structures["PTV"].type is StructureType.TARGET


def test_a_prescription_of_matrad_is_taken_over(tmp_path):
    hu, masks = water(Cord=CORD)
    cell = np.empty(1, dtype=object)
    cell[0] = 54.0
    aim = {"className": "DoseObjectives.matRad_SquaredDeviation", "parameters": cell, "penalty": 1}
    table = np.empty((3, 6), dtype=object)
    for number, (name, mask) in enumerate(masks.items()):
        voxels = np.empty(1, dtype=object)
        voxels[0] = 1.0 + np.flatnonzero(mask.transpose(1, 2, 0).ravel(order="F"))[:, None]
        kind = "TARGET" if name == "PTV" else "OAR"
        table[number] = [number, name, kind, voxels, {}, aim if name == "PTV" else np.zeros((0, 0))]
    cubes = np.empty(1, dtype=object)
    cubes[0] = hu.transpose(1, 2, 0).astype(float)
    sides = {"x": 5.0, "y": 5.0, "z": 6.0}
    path = tmp_path / "water.mat"
    savemat(
        path, {"ct": {"cubeHU": cubes, "cubeDim": [30, 36, 20], "resolution": sides}, "cst": table}
    )

    plan = plan_of(tmp_path, PLAIN, ct=path)

    assert (plan.prescription.target, plan.prescription.dose_gy) == ("PTV", 54.0)
    np.testing.assert_array_equal(plan.structures["PTV"].mask, masks["PTV"])
    assert plan.goals[0].value == pytest.approx(54.0, rel=1e-3)


def test_a_table_of_densities_changes_the_dose_and_silences_the_caution(tmp_path, prescription):
    phantom = npz(tmp_path, Cord=CORD)
    table = tmp_path / "dense.csv"
    table.write_text("-1000 0.001\n0 1.08\n1000 1.7\n")
    asked = {"ct": phantom, "prescription": prescription}

    generic = plan_of(tmp_path, PLAIN, out="generic", **asked)
    dense = plan_of(tmp_path, PLAIN | {"density": {"table": str(table)}}, out="dense", **asked)

    assert "generic table" in said(generic)
    assert "generic table" not in said(dense)
    # Denser water attenuates more, so more monitor units give the same dose.
    units = [sum(beam.weights.sum() for beam in plan.beams) for plan in (generic, dense)]
    assert units[1] > 1.01 * units[0]


def test_a_body_that_is_not_delineated_is_found_and_said(tmp_path, prescription):
    plan = plan_of(
        tmp_path, PLAIN, ct=npz(tmp_path, BODY=None, Cord=CORD), prescription=prescription
    )

    outline = plan.structures["body"].mask
    _, masks = water()
    assert np.count_nonzero(outline ^ masks["BODY"]) < 0.02 * np.count_nonzero(masks["BODY"])
    assert "was found automatically" in said(plan)


def test_names_of_a_prescription_may_be_told(tmp_path, prescription):
    phantom = npz(tmp_path, PTV=None, Boost=(slice(8, 12), slice(12, 18), slice(15, 21)))

    plan = plan_of(tmp_path, PLAIN, ct=phantom, prescription=prescription, names={"PTV": "Boost"})

    assert plan.prescription.target == "Boost"
    assert "Goals for Cord were left out" in said(plan)


def case_with(pelvis, planning_ct, root, structures=None):
    """Keep the stages of a case as ``aegle run`` leaves them."""
    visit = Examination(
        patient=pelvis.patient,
        study_uid=planning_ct.series.study_uid,
        time=pelvis.acquired,
        images=(planning_ct,),
    )
    known = VisitStructures(
        images=(ImageStructures(image="CT", structures=structures or pelvis.structures),)
    )
    with opened(root) as folder:
        folder.keep("images", "a", Examinations(pelvis.patient, (visit,)))
        folder.keep("structures", "b", Segmentations((known,)))
        folder.keep("findings", "c", AllFindings((Findings(study_uid=visit.study_uid),)))
    return root


def test_a_case_is_planned_in_its_own_folder(pelvis, planning_ct, tmp_path):
    case = case_with(pelvis, planning_ct, tmp_path / "case")

    made = api.plan(case, options=QUICK, now=NOW)

    assert made.folder == case / "plan"
    assert (case / "plan" / "dicom" / "rtplan.dcm").is_file()
    assert str(made.results.planning.reason) == "prostate was chosen."
    assert {g.goal.structure for g in made.results.planning.plan.goals} >= {"PTV", "rectum"}


def test_a_folder_that_is_no_case_is_refused(tmp_path, pelvis, planning_ct):
    with pytest.raises(OptionError, match="no case of Aegle with finished stages images"):
        api.plan(tmp_path)
    with pytest.raises(OptionError, match="a CT with --ct; one of them"):
        api.plan(api.PlanInputs(), tmp_path / "out")
    with pytest.raises(OptionError, match="one of them"):
        api.plan(api.PlanInputs(case=tmp_path, ct=tmp_path), tmp_path / "out")
    with pytest.raises(OptionError, match="A case has its own structures"):
        api.plan(api.PlanInputs(case=tmp_path, structures=tmp_path))
    with pytest.raises(OptionError, match="folder for the plan"):
        api.plan(api.PlanInputs(ct=tmp_path))


def test_what_cannot_be_planned_is_refused_and_leaves_nothing(tmp_path, prescription):
    in_air = npz(tmp_path, "air.npz", PTV=(slice(8, 12), slice(27, 30), slice(15, 21)))
    nowhere = npz(tmp_path, "nowhere.npz", PTV=None)
    flat = tmp_path / "flat.npz"
    np.savez(
        flat,
        hu=np.zeros((1, 30, 36)),
        spacing_xyz=np.ones(3),
        origin_xyz=np.zeros(3),
        mask_BODY=np.ones((1, 30, 36), bool),
        mask_PTV=np.ones((1, 30, 36), bool),
    )
    sides = {"ct": npz(tmp_path), "prescription": prescription}

    def attempt(kind, words, options=PLAIN, **inputs):
        with pytest.raises(kind, match=words):
            plan_of(tmp_path, options, out="refused", **(sides | inputs))
        assert not (tmp_path / "refused").exists()

    attempt(InputError, "100 % of 'PTV' are air", ct=in_air)
    attempt(InputError, "'PTV' is not delineated; there: BODY.*--name 'PTV=", ct=nowhere)
    attempt(GeometryError, "1 × 30 × 36 voxels", ct=flat)
    attempt(FileError, "none.npz: there is no such file", ct=tmp_path / "none.npz")
    attempt(OptionError, "No protocol 'brain'", prescription="brain")
    attempt(OptionError, "density table cannot be read", {"density": {"table": "none.csv"}})
    attempt(OptionError, "'Cord' cannot be 'Rind'", names={"Cord": "Rind"})


def test_overlapping_targets_that_contradict_each_other_are_said(tmp_path):
    low = (slice(8, 12), slice(12, 18), slice(18, 25))
    path = tmp_path / "two.toml"
    path.write_text(
        WATER_PRESCRIPTION
        + '[[goal]]\nstructure = "PTV"\nmetric = "D"\nat = 95\nat_least = 50\n'
        + '[[goal]]\nstructure = "PTV40"\nmetric = "D"\nat = 2\nat_most = 43\n'
    )

    plan = plan_of(tmp_path, PLAIN, ct=npz(tmp_path, PTV40=low), prescription=path)

    # 4 × 6 × 3 voxels of 0.15 mL are shared, 5 % of PTV's 144 voxels may be cold.
    assert (
        "goals D95% ≥ 50 Gy of PTV and D2% ≤ 43 Gy of PTV40 cannot both be met: they share "
        "10.80 mL, of which at least 9.72 mL must receive 50.0 Gy, and 0.50 mL may"
    ) in said(plan)


def test_structures_outside_the_ct_are_said_and_a_target_there_is_refused(
    files, pelvis, planning_ct, tmp_path
):
    grid = pelvis.ct.grid
    larger = replace(grid, shape=(30, 64, 120))
    outside = np.zeros(larger.shape, bool)
    outside[10:14, 20:24, 80:90] = True
    image = replace(
        planning_ct,
        volume=Volume(
            values=np.zeros(larger.shape, np.float32), grid=larger, quantity=Quantity.RADIODENSITY
        ),
    )
    grown = [
        Structure.of(s.name, np.pad(s.mask, ((0, 0), (0, 0), (0, 56))), larger, type=s.type)
        for s in pelvis.structures
    ]
    known = StructureSet((*grown, Structure.of("node", outside, larger)))
    path = structure_set.write(known, image, pelvis.patient, tmp_path / "rs.dcm", now=NOW)
    asked = {"ct": files / "ct", "structures": path}

    plan = plan_of(tmp_path, **asked)

    assert "Structure 'node' encloses no voxel of the image." in said(plan)
    with pytest.raises(InputError, match="target 'node' lies outside the CT"):
        plan_of(tmp_path, PLAIN | {"prescription": {"target": "node"}}, out="refused", **asked)
    assert not (tmp_path / "refused").exists()


def test_files_that_do_not_belong_together_are_refused(files, nifti, pelvis, planning_ct, tmp_path):
    other = Patient(id="SOMEONE-ELSE")
    structure_set.write(pelvis.structures, planning_ct, other, tmp_path / "rs.dcm", now=NOW)
    small = np.zeros((3, 4, 5), np.uint8)
    small[1, 1, 1] = 1
    write_volume(tmp_path / "PTV.nii.gz", small, GRID)
    (tmp_path / "twice").mkdir()
    for name in ("rs.dcm", "seg.dcm"):
        (tmp_path / "twice" / name).write_bytes((files / name).read_bytes())
    (tmp_path / "letter.txt").write_text("Dear colleague")

    def attempt(kind, words, **inputs):
        with pytest.raises(kind, match=words):
            plan_of(tmp_path, out="refused", **inputs)
        assert not (tmp_path / "refused").exists()

    attempt(
        IdentityError,
        "belongs to patient 'MADE-PELVIS-1', the structures to 'SOMEONE-ELSE'",
        ct=files / "ct",
        structures=tmp_path / "rs.dcm",
    )
    attempt(
        GeometryError,
        "'PTV' has .* resample it",
        ct=files / "ct",
        structures=tmp_path / "PTV.nii.gz",
    )
    attempt(
        InputError, "Several structures are called", ct=files / "ct", structures=tmp_path / "twice"
    )
    attempt(FileError, "no structures", ct=files / "ct", structures=tmp_path / "letter.txt")
    attempt(InputError, "there are no structures on the CT", ct=files / "ct")


def test_two_cts_are_told_apart_by_the_structures_or_refused(files, pelvis, planning_ct, tmp_path):
    both = tmp_path / "both"
    series = image_series.reference(
        Volume(values=pelvis.ct.values + 1, grid=pelvis.ct.grid, quantity=pelvis.ct.quantity),
        pelvis.patient.id,
        modality="CT",
        study="pelvis",
        time=pelvis.acquired,
    )
    other = replace(planning_ct, series=series)
    image_series.write(other, pelvis.patient, both / "other", now=NOW)
    image_series.write(planning_ct, pelvis.patient, both / "planning", now=NOW)

    with pytest.raises(InputError, match="there are 2 CTs, and it is not said which"):
        plan_of(tmp_path, out="refused", ct=both)

    made = api.plan(
        api.PlanInputs(ct=both, structures=files / "rs.dcm"), tmp_path / "plan", options=QUICK
    )
    chosen = made.results.examinations.visits[0].images[0].series
    assert chosen.series_uid == planning_ct.series.series_uid


def test_a_folder_of_another_patient_is_not_written_over(planned, tmp_path, prescription):
    with pytest.raises(IdentityError, match="holds a plan of patient 'MADE-PELVIS-1'"):
        api.plan(
            api.PlanInputs(ct=npz(tmp_path), prescription=prescription),
            planned.folder,
            options=PLAIN,
        )


def run(*arguments):
    return cli.main(["plan", *map(str, arguments)])


FAST = [
    argument
    for setting in ("dose_grid_mm=10", "iterations=2", "gantry_deg=0,180")
    for argument in ("--set", f"photons.{setting}")
]


def test_the_command_makes_a_plan_and_speaks_json(tmp_path, prescription, capsys):
    phantom = npz(tmp_path, Cord=CORD)
    place = ["--ct", phantom, "--prescription", prescription, "--out", tmp_path / "plan"]

    assert run(*place, *FAST) == 0
    shown = capsys.readouterr()
    assert "50 Gy in 25 fractions to PTV, 2 beams" in shown.out
    assert "plan.html" in shown.out
    assert "plan ..." in shown.err

    assert run(*place, *FAST, "--json") == 0
    shown = capsys.readouterr()
    assert "plan (kept) ..." in shown.err
    told = json.loads(shown.out)
    assert told["files"]["plan.json"] == str(tmp_path / "plan" / "plan.json")
    written = json.loads((tmp_path / "plan" / "plan.json").read_text("utf-8"))
    assert {**told, "files": None} == {**written, "files": None}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "Give the folder of a case, or a CT"),
        (["--ct", "none.npz", "--out", "plan"], 1, "none.npz: there is no such file"),
        (["--ct", "none.npz"], 2, "Give a folder for the plan"),
        (["none"], 2, "no case of Aegle"),
        (["--ct", "x.npz", "--out", "p", "--name", "PTV"], 2, "write NAME=STRUCTURE"),
        (["--ct", "x.npz", "--out", "p", "--prescription", "brain"], 2, "No protocol 'brain'"),
        (["--ct", "x.npz", "--out", "p", "--set", "photons.beamz=3"], 2, "Unknown option"),
    ],
)
def test_mistakes_end_with_words_and_a_status(
    arguments, status, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    assert run(*arguments) == status

    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_protocols_are_listed(capsys):
    assert run("--list-protocols", "--json") == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}

    assert found["lung_conventional"]["dose_gy"] == 60
    assert all(goal["source"] for one in found.values() for goal in one["goals"])

    assert run("--list-protocols") == 0
    assert "prostate_conventional" in "".join(capsys.readouterr().out.split())


def test_alternatives_are_planned_and_weighed_where_they_are_asked_for(files, tmp_path):
    options = QUICK | {
        "protons": {
            "dose_grid_mm": 10, "iterations": 3, "gantry_deg": [90, 270],
            "spacing_mm": 12, "layer_mm": 12,
        },
        "alternatives": {"compared": True, "fractions": [20]},
    }  # fmt: skip
    inputs = api.PlanInputs(ct=files / "ct", structures=files / "rs.dcm")

    made = api.plan(inputs, tmp_path / "plan", options=options, now=NOW)

    said = json.loads((made.folder / "plan.json").read_text())
    assert len(said["alternatives"]) == 4
    assert any("protons" in one["name"] for one in said["alternatives"])
    (bleeding,) = said["alternatives"][0]["expected"]
    assert "rectal bleeding" in bleeding["name"]
    low, high = bleeding["interval"]
    assert low <= bleeding["probability"] <= high
    assert said["reasons"]
    page = (made.folder / "plan.html").read_text()
    assert "Alternatives" in page
    assert said["reasons"][0].split("(")[0].strip()[:40] in page
    # The plan that is written is the preferred one.
    kind = pydicom.dcmread(made.folder / "dicom" / "rtplan.dcm").SOPClassUID.name
    is_of_protons = "protons" in said["alternatives"][0]["name"]
    assert kind == ("RT Ion Plan Storage" if is_of_protons else "RT Plan Storage")
    assert said["machine"] == ("Generic protons" if is_of_protons else "Generic 6 MV")


FEW_SPOTS = {
    "dose_grid_mm": 10, "iterations": 8, "gantry_deg": [90, 270], "spacing_mm": 12, "layer_mm": 12,
}  # fmt: skip


@pytest.fixture(scope="module")
def planned_with_protons(files, tmp_path_factory):
    inputs = api.PlanInputs(ct=files / "ct", structures=files / "rs.dcm")
    options = {"choice": {"target": "prostate", "radiation": "protons"}, "protons": FEW_SPOTS}
    return api.plan(inputs, tmp_path_factory.mktemp("p") / "plan", options=options, now=NOW)


def test_protons_leave_as_an_ion_plan_with_weighted_dose(planned_with_protons):
    made = planned_with_protons
    plan, dicom = made.results.planning.plan, made.folder / "dicom"

    for beam, read in zip(plan.beams, read_ion_beams(dicom / "rtplan.dcm"), strict=True):
        used = beam.weights > 0
        assert read.gantry_deg == beam.gantry_deg
        np.testing.assert_array_equal(read.energies_mev, beam.energies_mev[used])
        np.testing.assert_array_equal(read.positions_mm, beam.positions_mm[used])
        np.testing.assert_allclose(read.weights, beam.weights[used], rtol=2e-7)
    assert pydicom.dcmread(dicom / "rtdose.dcm").DoseType == "EFFECTIVE"


def test_the_validator_finds_no_error_in_a_plan_of_protons(planned_with_protons, require_program):
    program = require_program("dciodvfy", "dicom3tools")

    for path in (planned_with_protons.folder / "dicom").iterdir():
        found = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_the_page_of_protons_names_machine_and_unit(planned_with_protons):
    page = (planned_with_protons.folder / "plan.html").read_text("utf-8")

    assert "Gy (RBE)" in page
    assert "constant RBE of 1.1" in page
    # Of the proton machine, not of the linear accelerator.
    assert "millions of protons" in page
    assert "MU gives" not in page


def test_two_plans_are_put_beside_each_other(
    planned, planned_with_protons, files, tmp_path, capsys
):
    out = tmp_path / "both"
    arguments = [
        *("compare", str(planned.folder), str(planned_with_protons.folder), "--out", str(out)),
        *("--ct", str(files / "ct"), "--names", "photons", "protons", "--json"),
        *("--now", NOW.isoformat(), "--set", "gamma.most_points=500"),
    ]

    assert cli.main(arguments) == 0

    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((out / "comparison.json").read_text("utf-8"))
    for one, made in zip(found["plans"], (planned, planned_with_protons), strict=True):
        plan = made.results.planning.plan
        assert [goal["value"] for goal in one["goals"]] == [r.value for r in plan.goals]
    assert (out / "comparison.pdf").read_bytes().startswith(b"%PDF")
    page = (out / "comparison.html").read_text("utf-8")
    assert "photons solid, protons dashed" in page
    assert "Gamma index of protons at the voxels of photons" in page


def test_a_dose_from_files_agrees_with_the_plan_that_wrote_them(planned, files, tmp_path):
    given = tmp_path / "files"
    given.mkdir()
    for name in ("rtdose.dcm", "rtstruct.dcm", "rtplan.dcm"):
        shutil.copy(planned.folder / "dicom" / name, given / name)
    inputs = api.ComparisonInputs(first=planned.folder, second=given, ct=files / "ct")

    made = api.compare(inputs, tmp_path / "out", now=NOW, options={"gamma": {"most_points": 500}})

    assert made.pair.gamma.pass_percent == 100
    one, two = made.pair.first, made.pair.second
    step_gy = float(one.dose.values.max()) / 65534
    np.testing.assert_allclose(two.dose.values, one.dose.values, atol=step_gy)
    known = {r.goal: r.value for r in one.goals}
    for result in two.goals:
        assert result.value == pytest.approx(known[result.goal], abs=max(0.5, step_gy))
    units = [sum(a.monitor_units for a in beam.apertures) for beam in two.beams]
    assert units == pytest.approx(
        [sum(a.monitor_units for a in beam.apertures) for beam in one.beams]
    )


def test_what_cannot_be_compared_is_refused(planned, files, tmp_path):
    given = tmp_path / "files"
    given.mkdir()
    shutil.copy(planned.folder / "dicom" / "rtdose.dcm", given)
    both = {"first": planned.folder, "second": given}

    with pytest.raises(FileError, match="neither a plan of Aegle nor an RT Dose"):
        api.compare(api.ComparisonInputs(**both), tmp_path / "out", now=NOW)
    shutil.copy(planned.folder / "dicom" / "rtstruct.dcm", given)
    with pytest.raises(OptionError, match="give the CT"):
        api.compare(api.ComparisonInputs(**both), tmp_path / "out", now=NOW)
    inputs = api.ComparisonInputs(first=given, second=given, ct=files / "ct")
    with pytest.raises(OptionError, match="give --prescription"):
        api.compare(inputs, tmp_path / "out", now=NOW)


def test_contours_on_a_ct_without_a_frame_are_taken_where_they_lie_inside_it(
    pelvis, files, tmp_path
):
    def as_nifti(name, first):
        grid = pelvis.ct.grid
        image = sitk.GetImageFromArray(pelvis.ct.values[first:])
        image.SetSpacing(grid.spacing_mm[::-1])
        image.SetOrigin(tuple(map(float, grid.to_patient(np.array([float(first), 0, 0])))))
        sitk.WriteImage(image, str(tmp_path / name))
        return api.PlanInputs(ct=tmp_path / name, structures=files / "rs.dcm")

    made = api.plan(as_nifti("ct.nii.gz", 0), tmp_path / "plan", options=QUICK, now=NOW)

    plan = made.results.planning.plan
    assert any("lie inside it" in str(text) for text in plan.notices)
    np.testing.assert_array_equal(plan.structures["rectum"].mask, pelvis.structures["rectum"].mask)
    with pytest.raises(GeometryError, match="frame of reference"):
        api.plan(as_nifti("half.nii.gz", 15), tmp_path / "half", options=QUICK, now=NOW)
