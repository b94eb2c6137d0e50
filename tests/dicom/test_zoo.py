"""Every file of a zoo of odd DICOM files is read rightly, listed, or refused with words."""

import csv
import io
import os
import time
import warnings
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_color_lut, apply_modality_lut

from aegle.dicom import images
from aegle.dicom.decoding import shared_decoder
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.scan import ScanOptions, scan
from aegle.domain.errors import AegleError
from aegle.domain.study import Image

LONGEST_S = 5.0
MEMORY_BYTES = 1 << 30
SPLIT = ImageOptions(mixed="split")

REFUSED = {
    "b22bdbab_chrJapMulti.dcm": "no pixel data",
    "9d98788c_chrJapMultiExplicitIR6.dcm": "no pixel data",
    "83c11fed_chrKoreanMulti.dcm": "no pixel data",
    "ed356fe8_JPEG2000-embedded-sequence-delimiter.dcm": "cannot be decoded as jpeg 2000",
    "051f76f2_MR_truncated.dcm": "cut off: 8130 of 8192 bytes",
}
"""The only images that are not read, and why."""


@pytest.fixture(scope="module")
def zoo(shared_data):
    """Name, content and what pydicom says of each file."""
    with shared_data("dicom_zoo", "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with zipfile.ZipFile(shared_data("dicom_zoo", "files.zip")) as archive:
        return [(row, archive.read(row["file"])) for row in rows]


@pytest.fixture(scope="module")
def bytes_before(zoo):
    """What this process holds besides: other tests may have run in it."""
    return resident_bytes(os.getpid())


@pytest.fixture(scope="module")
def outcomes(zoo, bytes_before, tmp_path_factory):
    """What becomes of each file, alone: readings, objects, reasons or an error; and how long."""
    path = tmp_path_factory.mktemp("zoo") / "one"
    return {row["file"]: _outcome(path, content) for row, content in zoo}


def _outcome(path, content):
    path.write_bytes(content)
    start = time.perf_counter()
    found = scan([path], options=ScanOptions())
    if not found.series:
        what = found.objects or found.set_aside
    else:
        try:
            what = images.read_all(found.series[0], options=SPLIT)
        except AegleError as error:
            what = error
    return what, time.perf_counter() - start


def resident_bytes(process_id):
    with open(f"/proc/{process_id}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_there_are_313_files(zoo):
    assert len(zoo) == 313


def test_every_file_ends_in_an_image_an_object_a_reason_or_a_typed_error(outcomes):
    for name, (what, _) in outcomes.items():
        assert what, name


def test_no_image_is_refused_but_the_known_ones(outcomes):
    refused = {
        name.rsplit("/", 1)[-1]: str(what)
        for name, (what, _) in outcomes.items()
        if isinstance(what, AegleError)
    }

    assert sorted(refused) == sorted(REFUSED)
    for name, finding in REFUSED.items():
        assert finding in refused[name]


def test_nothing_takes_longer_than_5_seconds_or_1_gb(outcomes, bytes_before):
    assert max(seconds for _, seconds in outcomes.values()) < LONGEST_S
    child = shared_decoder().process_id
    taken = resident_bytes(os.getpid()) - bytes_before
    assert taken + (resident_bytes(child) if child else 0) < MEMORY_BYTES


def test_values_equal_those_of_pydicom(zoo, outcomes):
    compared = 0
    for row, content in zoo:
        what = outcomes[row["file"]][0]
        is_one_image = isinstance(what, tuple) and isinstance(what[0], images.Reading)
        if not (is_one_image and len(what) == 1 and row["pydicom_decode"].startswith("ok")):
            continue
        expected = _by_pydicom(content, what[0])
        if expected is None:
            continue
        _compare(row["file"], what[0], expected)
        compared += 1
    assert compared > 140


def _by_pydicom(content, reading):
    """Rescaled values, colours from 0 to 255, bright for high; None without a codec."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        item = pydicom.dcmread(io.BytesIO(content), force=True)
        try:
            pixels = item.pixel_array
        except RuntimeError:
            return None
        if item.PhotometricInterpretation == "PALETTE COLOR":
            colours = apply_color_lut(pixels, item)
            return colours * (255.0 / np.iinfo(colours.dtype).max)
        if item.SamplesPerPixel == 3:
            return pixels * (255.0 / (2**item.BitsStored - 1))
        if item.PhotometricInterpretation == "MONOCHROME1" and not isinstance(reading.image, Image):
            pixels = 2**item.BitsStored - 1 - pixels
        return np.asarray(apply_modality_lut(pixels, item), np.float64)


def _compare(name, reading, expected):
    is_volume = isinstance(reading.image, Image)
    values = reading.image.volume.values if is_volume else reading.image.image.values
    expected = expected.reshape(values.shape)
    if any("Padding" in str(n) for n in reading.notices):
        # Padding darker than air is the one value that is meant to differ.
        assert np.all(expected[values != expected] < -1024), name
        expected = np.where(values == -1024, values, expected)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-3, err_msg=name)


def test_the_whole_zoo_is_scanned_at_once(shared_data):
    start = time.perf_counter()
    found = scan([shared_data("dicom_zoo", "files.zip")], options=ScanOptions())

    listed = sum(len(s.instances) for s in (*found.series, *found.objects))
    assert listed + len(found.set_aside) == 313
    assert {"Segmentation", "RT Dose", "RT Plan", "RT Structure Set", "Comprehensive SR"} <= {
        s.object_name for s in found.objects
    }
    assert time.perf_counter() - start < 30


def test_every_series_of_the_zoo_is_read_or_refused_with_words(shared_data):
    found = scan([shared_data("dicom_zoo", "files.zip")], options=ScanOptions())

    refusals = []
    for series in found.series:
        try:
            assert images.read_all(series, options=ImageOptions()), series.name
        except AegleError as error:
            refusals.append(str(error))
    assert refusals
    assert min(map(len, refusals)) > 40
