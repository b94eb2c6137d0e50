"""Visits given one by one: whose they are, when they were, and what is refused."""

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from aegle import api, cli
from aegle.dicom import image_series
from aegle.dicom.listing import ScanOptions
from aegle.domain.errors import FileError, IdentityError, InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.workflow.given_visits import visits_in_order
from aegle.workflow.reading import ReadingOptions, gather_visits, read_images
from aegle.workflow.stage import silent

from .conftest import NOW

PATIENT = Patient(id="P1", name="Made^Follow", birth_date=date(1960, 2, 3))
GRID = Grid(shape=(6, 12, 12), spacing_mm=(5.0, 2.0, 2.0))


@pytest.fixture
def visit(tmp_path):
    """Return a function that writes a CT of a day and gives its folder."""

    def write(name, day, patient=PATIENT, brightness=0):
        values = np.full(GRID.shape, brightness, np.float32)
        volume = Volume(values=values, grid=GRID, quantity=Quantity.RADIODENSITY)
        series = image_series.reference(
            volume, patient.id, modality="CT", study=name, time=datetime(2026, *day)
        )
        image = Image(name="CT", volume=volume, series=series)
        image_series.write(image, patient, tmp_path / name, now=NOW)
        return tmp_path / name

    return write


def ordered(*paths, structures=()):
    return visits_in_order(paths, structures, options=ScanOptions())


def test_visits_are_put_in_the_order_of_their_dates_and_it_is_said(visit):
    march, january, june = visit("b", (3, 1)), visit("a", (1, 1)), visit("c", (6, 1))

    found = ordered(march, june, january)

    assert [v.path.name for v in found.visits] == ["a", "b", "c"]
    (notice,) = found.notices
    assert "the baseline is a of 2026-01-01, not b" in str(notice)


def test_visits_given_in_order_need_no_word(visit):
    assert ordered(visit("a", (1, 1)), visit("b", (3, 1))).notices == ()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id": "P2"}, "patient ID"),
        ({"name": "Other^Person"}, "name"),
        ({"birth_date": date(1961, 2, 3)}, "birth date"),
    ],
)
def test_different_patients_are_refused_and_both_are_named(visit, change, what):
    first = visit("a", (1, 1))
    second = visit("b", (3, 1), replace(PATIENT, **change))

    with pytest.raises(IdentityError, match=f"by their {what}") as error:
        ordered(first, second)

    assert str(first) in str(error.value)
    assert str(second) in str(error.value)


@pytest.mark.parametrize("name", ["MADE^FOLLOW", "Made^Follow^^", " made ^follow"])
def test_spelling_of_a_name_does_not_make_another_patient(visit, name):
    second = visit("b", (3, 1), replace(PATIENT, name=name, birth_date=None))

    assert len(ordered(visit("a", (1, 1)), second).visits) == 2


def test_a_folder_without_images_is_named_as_what_is_missing(visit, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "letter.txt").write_text("Dear colleague")

    with pytest.raises(FileError, match=r"empty: The baseline holds no image.*letter.txt"):
        ordered(tmp_path / "empty", visit("b", (3, 1)))
    with pytest.raises(FileError, match="Follow-up 1 holds no image"):
        ordered(visit("a", (1, 1)), tmp_path / "empty")
    with pytest.raises(FileError, match="no such file"):
        ordered(visit("a", (1, 1)), tmp_path / "nowhere")


def test_one_visit_is_no_follow_up(visit):
    with pytest.raises(OptionError, match="at least two visits, got 1"):
        ordered(visit("a", (1, 1)))


def test_the_same_examination_twice_is_refused(visit, tmp_path):
    first = visit("a", (1, 1))
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in first.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())

    with pytest.raises(InputError, match="the same examination"):
        ordered(first, copied)


def test_a_folder_with_several_days_is_no_visit(visit, tmp_path):
    visit("all/a", (1, 1))
    visit("all/b", (3, 1))

    with pytest.raises(InputError, match=r"2 days \(2026-01-01 to 2026-03-01\)"):
        ordered(tmp_path / "all", visit("c", (6, 1)))


def read(given):
    options = api.CaseOptions()
    inputs = gather_visits(given, options=options.scan, progress=silent)
    reading = ReadingOptions(images=options.images, files=options.files)
    return read_images(inputs, options=reading, progress=silent)


def nifti(path, values):
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    return path


def lesion_at(column):
    labels = np.zeros((6, 12, 12), np.uint8)
    labels[2:4, 4:7, column : column + 3] = 1
    return labels


def test_files_without_dates_stay_in_the_order_given_and_keep_their_own_labels(tmp_path):
    """All four files lie in one folder and on one grid, so only the order tells them apart."""
    later = nifti(tmp_path / "f" / "a_ct.nii.gz", np.full((6, 12, 12), 7, np.int16))
    first = nifti(tmp_path / "f" / "z_ct.nii.gz", np.full((6, 12, 12), 3, np.int16))
    masks = [nifti(tmp_path / "f" / f"m{c}.nii.gz", lesion_at(c)) for c in (1, 5)]

    found = read(ordered(first, later, structures=masks))

    assert [v.images[0].volume.values[0, 0, 0] for v in found.visits] == [3, 7]
    assert [len(v.images[0].structures) for v in found.visits] == [1, 1]
    columns = [v.images[0].structures["m1" if n == 0 else "m5"] for n, v in enumerate(found.visits)]
    assert [s.start[2] for s in columns] == [1, 5]
    # Given for follow-up, a label without an organ's name is a lesion.
    assert [s.type.value for s in columns] == ["GTV", "GTV"]
    assert "the order given is taken" in str(found.visits[0].notices[0])


def test_label_maps_must_be_one_for_each_visit(tmp_path, capsys):
    status = cli.main(
        ["follow", "a", "b", "--structures", "m.nii.gz", "--out", str(tmp_path / "case")]
    )

    assert status == 2
    assert "1 label map(s) for 2 visits" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(OptionError, match="one for each, or none"):
        api.follow([("a", "m"), "b"], tmp_path / "case")


def test_a_label_that_does_not_fit_its_file_is_refused(tmp_path):
    """300 in an 8-bit file was stored as 300 - 256 = 44."""
    first = nifti(tmp_path / "a" / "ct.nii.gz", np.zeros((6, 12, 12), np.int16))
    later = nifti(tmp_path / "b" / "ct.nii.gz", np.ones((6, 12, 12), np.int16))
    masks = [nifti(tmp_path / n / "labels.nii.gz", 44 * lesion_at(2)) for n in ("a", "b")]
    (tmp_path / "a" / "labels.json").write_text('{"labels": {"300": "GTV"}}')

    with pytest.raises(FileError, match=r"label 300 \(GTV\).*8-bit voxels.*stored as 44"):
        read(ordered(first, later, structures=masks))


def test_visits_of_a_made_patient_give_the_case_of_run(coarse_images, tmp_path):
    """Given in the wrong order; both folders are called alike, so their paths are told."""
    visits = [coarse_images / f"visit-{n}" / "CT" for n in (2, 1)]

    results = api.follow(visits, tmp_path / "case", now=NOW)

    assert [v.time for v in results.examinations.visits] == sorted(
        v.time for v in results.examinations.visits
    )
    said = str(results.examinations.visits[0].notices[0])
    assert f"the baseline is {visits[1]} of" in said
    (response,) = results.following.follow_up.responses
    assert response.category.value == "PR"
    written = {p.name for p in (tmp_path / "case").iterdir()}
    assert {"timeline.html", "report.html", "results.json", "dicom"} <= written
    alignment = pydicom.dcmread(tmp_path / "case" / "dicom" / "alignments" / "visit-2.dcm")
    first = results.examinations.visits[0].ct.series
    assert alignment.FrameOfReferenceUID == first.frame_of_reference_uid
