"""The walker finds what pydicom finds, and hostile files cost little."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from aegle.dicom import header, tags
from aegle.dicom.sources import Source
from aegle.domain.errors import FileError

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PREAMBLE = bytes(128) + b"DICM"


def meta(syntax):
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return PREAMBLE + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def read(path):
    return header.read(Source(str(path)))


@pytest.fixture
def saved(tmp_path, make_slice):
    def save(*, without_preamble=False, **changes):
        item = make_slice(7, **changes)
        path = tmp_path / "one.dcm"
        if without_preamble:
            content = io.BytesIO()
            syntax = item.file_meta.TransferSyntaxUID
            del item.file_meta
            pydicom.dcmwrite(
                content,
                item,
                implicit_vr=syntax == IMPLICIT,
                little_endian=syntax != BIG,
                enforce_file_format=False,
            )
            path.write_bytes(content.getvalue())
        else:
            pydicom.dcmwrite(path, item, enforce_file_format=True)
        return path

    return save


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_every_plain_syntax_gives_the_same_values(saved, syntax):
    found = read(saved(syntax=syntax))

    assert found.transfer_syntax_uid == syntax
    assert found.text(tags.PATIENT_NAME) == "Made^Patient"
    assert found.text(tags.SOP_INSTANCE_UID) == "1.2.3.4.8"
    assert found.numbers(tags.IMAGE_POSITION_PATIENT) == (-10.0, -20.0, 35.0)
    assert (found.unsigned(tags.ROWS), found.unsigned(tags.COLUMNS)) == (4, 5)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_a_file_without_preamble_is_read_as_it_looks(saved, syntax):
    found = read(saved(syntax=syntax, without_preamble=True))

    assert found.transfer_syntax_uid == syntax
    assert found.unsigned(tags.COLUMNS) == 5
    assert found.whole(tags.INSTANCE_NUMBER) == 8


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("is_undefined", [True, False])
def test_sequences_before_the_image_description_are_passed_over(saved, syntax, is_undefined):
    inner = Dataset()
    inner.PatientID = "not the patient"
    inner.ReferencedImageSequence = Sequence([Dataset(), Dataset()])
    inner.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "9.9"
    outer = Sequence([inner, inner])
    for sequence in (outer, inner.ReferencedImageSequence):
        sequence.is_undefined_length = is_undefined
        for item in sequence:
            item.is_undefined_length_sequence_item = is_undefined

    found = read(saved(syntax=syntax, ReferencedStudySequence=outer))

    assert found.text(tags.PATIENT_ID) == "P1"
    assert found.unsigned(tags.ROWS) == 4


@pytest.mark.parametrize("size", [20_000, 300_000, 5_000_000])
def test_a_long_header_is_read_on(tmp_path, make_slice, size):
    item = make_slice()
    item.private_block(0x0019, "MADE", create=True).add_new(1, "OB", bytes(size))
    item.save_as(tmp_path / "long.dcm", enforce_file_format=True)

    assert read(tmp_path / "long.dcm").unsigned(tags.ROWS) == 4


def test_unknown_elements_of_undefined_length_hold_implicit_items(tmp_path):
    inside = struct.pack("<HHI4s", 0x0010, 0x0020, 4, b"none")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inside
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    odd = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + item
    late = struct.pack("<HH2sH2s", 0x0010, 0x0020, b"LO", 2, b"P9")
    path = tmp_path / "odd.dcm"
    path.write_bytes(meta(EXPLICIT) + odd + late)

    assert read(path).text(tags.PATIENT_ID) == "P9"


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "王^小明"),
        ("GB18030", "王^小东"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_are_decoded_in_their_character_set(saved, character_set, name):
    found = read(saved(SpecificCharacterSet=character_set, PatientName=name))

    assert found.text(tags.PATIENT_NAME) == name


# pydicom warns about the odd files; that is what they are there for.
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_values_equal_those_of_pydicom_in_all_files_of_the_zoo(shared_data, tmp_path):
    keywords = {
        tags.PATIENT_ID: "PatientID",
        tags.STUDY_INSTANCE_UID: "StudyInstanceUID",
        tags.SERIES_INSTANCE_UID: "SeriesInstanceUID",
        tags.SOP_INSTANCE_UID: "SOPInstanceUID",
        tags.MODALITY: "Modality",
        tags.STUDY_DATE: "StudyDate",
    }
    compared = 0
    with zipfile.ZipFile(shared_data("dicom_zoo", "files.zip")) as archive:
        for name in archive.namelist():
            path = tmp_path / "one"
            path.write_bytes(archive.read(name))
            try:
                found = read(path)
            except header.NotDicom:
                continue
            expected = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            for tag, keyword in keywords.items():
                assert found.text(tag) == str(expected.get(keyword) or ""), (name, keyword)
            assert (found.unsigned(tags.ROWS) or 0) == (expected.get("Rows") or 0), name
            compared += 1
    assert compared > 300


def test_other_files_are_not_taken_for_dicom(tmp_path):
    path = tmp_path / "text"
    path.write_text("This is no medical image, but long enough to hold a preamble. " * 4)

    with pytest.raises(header.NotDicom):
        read(path)


class TestHostileFiles:
    @pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
    def test_a_length_of_4_gb_in_a_tiny_file_is_refused(self, tmp_path, syntax):
        element = (
            struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0)
            if syntax == EXPLICIT
            else struct.pack("<HHI", 0x0009, 0x1001, 0xFFFFFFF0)
        )
        path = tmp_path / "tiny.dcm"
        path.write_bytes(meta(syntax) + element + bytes(200))

        with pytest.raises(FileError, match="ends inside its header in element"):
            read(path)

    @pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
    def test_deep_nesting_is_refused(self, tmp_path, syntax):
        if syntax == EXPLICIT:
            sequence = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF)
        else:
            sequence = struct.pack("<HHI", 0x0008, 0x1110, 0xFFFFFFFF)
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        path = tmp_path / "deep.dcm"
        path.write_bytes(meta(syntax) + (sequence + item) * 20_000)

        start = time.perf_counter()
        with pytest.raises(FileError):
            read(path)
        assert time.perf_counter() - start < 5

    def test_deep_nesting_is_refused_even_if_it_ends_properly(self, tmp_path):
        start = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF)
        start += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        late = struct.pack("<HH2sH2s", 0x0010, 0x0020, b"LO", 2, b"P9")
        path = tmp_path / "deep.dcm"
        path.write_bytes(meta(EXPLICIT) + start * 1000 + end * 1000 + late)

        with pytest.raises(FileError, match="not laid out"):
            read(path)

    def test_many_empty_items_are_passed_over_quickly(self, tmp_path):
        items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 300_000
        sequence = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF) + items
        sequence += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        late = struct.pack("<HH2sH2s", 0x0010, 0x0020, b"LO", 2, b"P9")
        path = tmp_path / "items.dcm"
        path.write_bytes(meta(EXPLICIT) + sequence + late)

        start = time.perf_counter()
        assert read(path).text(tags.PATIENT_ID) == "P9"
        assert time.perf_counter() - start < 5

    def test_a_deflated_file_may_not_inflate_without_bound(self, tmp_path):
        # 0.3 MB that inflate to 300 MB: an element of zeros before anything else.
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        block = bytes(1 << 20)
        element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 290 << 20)
        packed = packer.compress(element) + b"".join(packer.compress(block) for _ in range(300))
        path = tmp_path / "bomb.dcm"
        path.write_bytes(meta(DEFLATED) + packed + packer.flush())
        assert path.stat().st_size < 1_000_000

        tracemalloc.start()
        try:
            with pytest.raises(FileError, match="inflates to more than"):
                header.open_file(Source(str(path)), max_bytes=1 << 30)
            with pytest.raises(FileError):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 700e6
        finally:
            tracemalloc.stop()

    def test_a_file_cut_off_in_its_header_is_refused(self, saved, tmp_path):
        whole = saved().read_bytes()
        path = tmp_path / "cut.dcm"
        path.write_bytes(whole[: whole.index(b"Made^Patient") + 5])

        with pytest.raises(FileError, match=r"0010,0010.*Ask for the file again"):
            read(path)

    def test_numbers_that_are_none_name_file_and_element(self, tmp_path, make_slice):
        item = make_slice()
        path = tmp_path / "nan.dcm"
        item.save_as(path, enforce_file_format=True)
        path.write_bytes(path.read_bytes().replace(b"0.75\\0.5", b"nan\\0.50"))

        with pytest.raises(FileError, match=r"nan\.dcm.*0028,0030"):
            read(path).numbers(tags.PIXEL_SPACING)


def test_binary_numbers_follow_the_byte_order_of_the_file(saved):
    for syntax in (EXPLICIT, BIG):
        path = saved(syntax=syntax, pixels=np.zeros((258, 3), np.uint16))
        assert read(path).unsigned(tags.ROWS) == 258
