"""DICOM files made for one test, written by pydicom."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from aegle.dicom import images
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.scan import ScanOptions, scan

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="session")
def make_slice():
    """Return a function that gives one CT slice, with elements replaced by keyword."""
    return _slice


@pytest.fixture
def write_series():
    """Return a function that writes data sets into a folder and gives the folder."""

    def write(folder, slices):
        folder.mkdir(parents=True, exist_ok=True)
        for index, item in enumerate(slices):
            item.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)
        return folder

    return write


@pytest.fixture
def only_series():
    """Return a function that scans a path and gives its only image series."""

    def find(path):
        found = scan([Path(path)], options=ScanOptions())
        assert found.set_aside == ()
        (series,) = found.series
        return series

    return find


@pytest.fixture
def read_series(only_series):
    """Return a function that reads the only series of a path with some options."""

    def read(path, **options):
        return images.read(only_series(path), options=ImageOptions(**options))

    return read


def _slice(index=0, *, pixels=None, syntax=ExplicitVRLittleEndian, **changes):
    pixels = np.full((4, 5), index, np.int16) if pixels is None else pixels
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = syntax
    item.SOPClassUID = changes.pop("SOPClassUID", CT_IMAGE)
    item.SOPInstanceUID = changes.pop("SOPInstanceUID", f"1.2.3.4.{index + 1}")
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.PatientID, item.PatientName = "P1", "Made^Patient"
    item.StudyInstanceUID, item.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    item.StudyDate, item.StudyTime = "20260102", "101112"
    item.FrameOfReferenceUID = "1.2.9"
    item.Modality, item.SeriesNumber, item.InstanceNumber = "CT", 3, index + 1
    item.ImagePositionPatient = [-10.0, -20.0, 5.0 * index]
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    item.PixelSpacing, item.SliceThickness = [0.75, 0.5], 5
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = pixels.shape[:2]
    item.BitsAllocated = item.BitsStored = 8 * pixels.dtype.itemsize
    item.HighBit = item.BitsStored - 1
    item.PixelRepresentation = int(pixels.dtype.kind == "i")
    item.RescaleSlope, item.RescaleIntercept = 1, 0
    for keyword, value in changes.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    item.PixelData = pixels.tobytes()
    item["PixelData"].VR = "OW" if item.BitsAllocated > 8 else "OB"
    return item
