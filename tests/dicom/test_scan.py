"""What is found does not depend on how files are named, packed or ordered."""

import hashlib
import os
import random
import struct
import zipfile
from datetime import date, datetime

import pydicom
import pytest

from aegle.dicom.scan import Scan, ScanOptions, scan
from aegle.domain.errors import FileError
from aegle.domain.study import Patient

RTSTRUCT, SR = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.88.33"


def reasons(found: Scan):
    return {os.path.basename(a.source_name): str(a.reason) for a in found.set_aside}  # noqa: PTH119


def shape_of(found: Scan):
    """Everything a scan says, without where files lie."""
    return [
        (p.patient, [(s.uid, s.time, [x.name for x in s.series + s.objects]) for s in p.studies])
        for p in found.patients
    ] + [[i.sop_instance_uid for i in s.instances] for s in found.series + found.objects]


@pytest.fixture
def folder(tmp_path, make_slice, write_series):
    """Two patients; the first has two visits, the later one with a structure set."""
    slices = [make_slice(i) for i in range(5)]
    slices += [
        make_slice(
            i,
            StudyInstanceUID="1.2.1",
            SeriesInstanceUID="1.2.1.1",
            SOPInstanceUID=f"1.2.1.1.{i}",
            StudyDate="20240101",
        )
        for i in range(3)
    ]
    slices.append(
        make_slice(
            0,
            PatientID="P0",
            PatientName="Other^Patient",
            PatientBirthDate="19700228",
            PatientSex="F",
            StudyInstanceUID="1.2.5",
            SeriesInstanceUID="1.2.5.1",
            SOPInstanceUID="1.2.5.1.1",
        )
    )
    structures = make_slice(
        0, SOPClassUID=RTSTRUCT, SOPInstanceUID="1.2.3.7.1", SeriesInstanceUID="1.2.3.7", Rows=None
    )
    structures.Modality = "RTSTRUCT"
    slices.append(structures)
    random.Random(3).shuffle(slices)
    return write_series(tmp_path / "all", slices)


def test_patients_studies_and_series_are_found_in_order(folder):
    found = scan([folder], options=ScanOptions())

    assert [p.patient.id for p in found.patients] == ["P0", "P1"]
    assert found.patients[0].patient == Patient(
        id="P0", name="Other^Patient", birth_date=date(1970, 2, 28), sex="F"
    )
    assert [s.uid for s in found.patients[1].studies] == ["1.2.1", "1.2.3"]
    assert found.patients[1].studies[1].time == datetime(2026, 1, 2, 10, 11, 12)
    (ct,) = found.patients[1].studies[1].series
    assert [i.sop_instance_uid for i in ct.instances] == [f"1.2.3.4.{i}" for i in range(1, 6)]
    (structures,) = found.objects
    assert structures.object_name == "RT Structure Set"


def test_order_of_paths_and_names_does_not_matter(folder, tmp_path):
    expected = shape_of(scan([folder], options=ScanOptions()))
    files = sorted(folder.iterdir())
    for seed in range(3):
        random.Random(seed).shuffle(files)
        assert shape_of(scan(files, options=ScanOptions())) == expected


def test_an_archive_gives_the_same_as_the_folder(folder, tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for index, file in enumerate(sorted(folder.iterdir())):
            method = zipfile.ZIP_DEFLATED if index % 2 else zipfile.ZIP_STORED
            archive.write(file, f"deep/er/{file.name}", compress_type=method)

    packed = scan([path], options=ScanOptions())

    plain = scan([folder], options=ScanOptions())
    assert shape_of(packed) == shape_of(plain)
    for one, other in zip(packed.series, plain.series, strict=True):
        for a, b in zip(one.instances, other.instances, strict=True):
            assert a.source.read() == b.source.path.read_bytes()


def test_the_same_file_twice_counts_once(folder, tmp_path):
    path = tmp_path / "again.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "0000.dcm", "copy.dcm")

    found = scan([folder, path, folder], options=ScanOptions())

    assert shape_of(found) == shape_of(scan([folder], options=ScanOptions()))
    (copy,) = found.set_aside
    assert copy.source_name == f"{path}:copy.dcm"
    assert "same file as" in str(copy.reason)


def test_different_files_with_one_uid_both_stay(tmp_path, make_slice, write_series):
    pair = [make_slice(0), make_slice(0, ImagePositionPatient=[0, 0, 9])]

    (series,) = scan([write_series(tmp_path / "s", pair)], options=ScanOptions()).series

    assert len(series.instances) == 2


def test_the_digest_is_that_of_the_bytes(folder):
    instance = scan([folder], options=ScanOptions()).series[0].instances[0]

    expected = hashlib.sha256(instance.source.path.read_bytes()).hexdigest()
    assert instance.digest == expected


def test_progress_counts_every_file(folder):
    steps = []

    scan([folder], options=ScanOptions(), progress=lambda done, total: steps.append((done, total)))

    assert steps == [(n, 10) for n in range(1, 11)]


def test_images_that_are_not_dicom_are_listed_by_themselves(tmp_path):
    for name in ("a.nii.gz", "b.NRRD", "c.png", "d.mhd", "d.raw", "labels.json", "notes.txt"):
        (tmp_path / name).write_bytes(b"something of more than twelve bytes")

    found = scan([tmp_path], options=ScanOptions())

    assert [p.name for p in found.image_files] == ["a.nii.gz", "b.NRRD", "c.png", "d.mhd"]
    assert list(reasons(found)) == ["notes.txt"]


def test_series_without_uids_keep_apart_and_get_the_same_names_again(
    tmp_path, make_slice, write_series
):
    loose = [make_slice(i, SeriesInstanceUID=None) for i in range(2)]
    path = write_series(tmp_path / "s", loose)

    first, second = (scan([path], options=ScanOptions()) for _ in range(2))

    assert len(first.series) == 2
    assert [s.uid for s in first.series] == [s.uid for s in second.series]


def test_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(FileError, match="no such file or folder"):
        scan([tmp_path / "nothing"], options=ScanOptions())


def test_damaged_files_are_set_aside_with_their_reason(folder):
    whole = (folder / "0000.dcm").read_bytes()
    (folder / "0000.dcm").write_bytes(whole[:400])

    found = scan([folder], options=ScanOptions())

    assert "ends inside its header" in reasons(found)["0000.dcm"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert reasons(scan([tmp_path], options=ScanOptions())) == {"pipe": "It is not a file."}


def test_reports_are_objects_even_with_rows(tmp_path, make_slice, write_series):
    report = make_slice(0, SOPClassUID=SR, Modality="SR")

    found = scan([write_series(tmp_path / "s", [report])], options=ScanOptions())

    assert found.series == ()
    assert found.objects[0].object_name == "Comprehensive SR"


class TestArchives:
    @pytest.fixture
    def one_file(self, folder):
        return (folder / "0000.dcm").read_bytes()

    def test_hostile_member_names_write_nothing(self, tmp_path, one_file):
        inside = tmp_path / "in"
        inside.mkdir()
        with zipfile.ZipFile(inside / "slip.zip", "w") as archive:
            archive.writestr("../../evil.dcm", one_file)
            archive.writestr("/etc/evil.dcm", one_file + bytes(2))
        before = sorted(tmp_path.rglob("*"))

        found = scan([inside], options=ScanOptions())

        assert found.patients
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_bomb_is_set_aside_unread(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros.dcm", bytes(100 << 20))

        (aside,) = scan([tmp_path], options=ScanOptions()).set_aside

        assert "inflates to" in str(aside.reason)

    def test_an_archive_may_not_declare_more_than_allowed(self, tmp_path, one_file):
        path = tmp_path / "large.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for index in range(20):
                archive.writestr(str(index), one_file)

        (aside,) = scan([path], options=ScanOptions(max_archive_members=10)).set_aside

        assert "declares 20 files" in str(aside.reason)

    def test_a_member_that_lies_about_its_size_is_refused_when_read(self, tmp_path, one_file):
        path = tmp_path / "lie.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("one.dcm", one_file)
        content = path.read_bytes()
        place = content.rindex(b"PK\x01\x02") + 24
        (size,) = struct.unpack_from("<I", content, place)
        path.write_bytes(content[:place] + struct.pack("<I", size - 10) + content[place + 4 :])
        (series,) = scan([path], options=ScanOptions()).series

        with pytest.raises(FileError, match="checksum or size"):
            series.instances[0].source.read()

    def test_archives_inside_archives_are_not_opened(self, tmp_path, one_file):
        with zipfile.ZipFile(tmp_path / "inner", "w") as archive:
            archive.writestr("one.dcm", one_file)
        with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
            archive.write(tmp_path / "inner", "inner.zip")

        found = scan([tmp_path / "outer.zip"], options=ScanOptions())

        assert found.patients == ()
        assert "archive inside an archive" in str(found.set_aside[0].reason)

    def test_an_archive_without_its_usual_name_is_recognised(self, tmp_path, one_file):
        inside = tmp_path / "in"
        inside.mkdir()
        with zipfile.ZipFile(inside / "export", "w") as archive:
            archive.writestr("one.dcm", one_file)

        assert len(scan([inside], options=ScanOptions()).series) == 1

    def test_a_damaged_archive_is_set_aside(self, tmp_path):
        (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(100))

        assert (
            "archive cannot be read"
            in reasons(scan([tmp_path], options=ScanOptions()))["broken.zip"]
        )

    def test_encrypted_members_are_set_aside(self, tmp_path, one_file):
        path = tmp_path / "locked.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("one.dcm", one_file)
        content = bytearray(path.read_bytes())
        content[content.rindex(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)

        (aside,) = scan([path], options=ScanOptions()).set_aside

        assert "encrypted" in str(aside.reason)


def test_the_given_series_are_found(shared_data):
    path = shared_data("dicom_series", "sts_025_ct_pet_mr_rtstruct.zip")

    found = scan([path], options=ScanOptions())

    assert sorted((s.modality, len(s.instances)) for s in found.series) == [
        ("CT", 47),
        ("MR", 25),
        ("PT", 47),
    ]
    assert [s.object_name for s in found.objects] == ["RT Structure Set"] * 3
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        expected = pydicom.dcmread(file, stop_before_pixels=True)
    assert [p.patient.id for p in found.patients] == [expected.PatientID]
