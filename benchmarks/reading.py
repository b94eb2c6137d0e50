"""Reading headers against pydicom, and a CT series against SimpleITK and MONAI."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from aegle.dicom import images
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions
from aegle.dicom.scan import scan
from benchmarks.line import Line, best
from benchmarks.series import write_series

SLICES = 200


def processors() -> int:
    """Return how many processors there are."""
    return os.cpu_count() or 1


def header_scan() -> Iterator[Line]:
    """Measure files per processor second of finding out what 1,000 files are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(5):
            write_series(folder / str(index), slices=SLICES, size=256, seed=index)
        paths = sorted(folder.rglob("*.dcm"))
        ours_s = best(lambda: scan([folder], options=ScanOptions()), clock=time.process_time)
        peer_s = best(lambda: _pydicom_scan(paths), clock=time.process_time)
    yield Line(
        what=f"headers of {len(paths)} CT files",
        ours=len(paths) / ours_s,
        unit="files/CPU-s",
        peer="pydicom, 26 values",
        theirs=len(paths) / peer_s,
        higher_is_better=True,
    )


KEYWORDS = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "SliceThickness",
    "NumberOfFrames",
    "AcquisitionNumber",
)


def _pydicom_scan(paths: list[Path]) -> list[list[object]]:
    rows = []
    for path in paths:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        rows.append([dataset.get(keyword) for keyword in KEYWORDS])
    return rows


def series_read() -> Iterator[Line]:
    """Measure the wall time from a folder to voxel values, 200 slices of 512 by 512."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder, slices=SLICES, size=512, seed=0)
        np.testing.assert_array_equal(_ours(folder), _simpleitk(folder))
        ours_s = best(lambda: _ours(folder))
        what = f"CT series, {SLICES} × 512 × 512, folder to array"
        for peer, work in (("SimpleITK", _simpleitk), ("MONAI PydicomReader", _monai)):
            theirs_s = best(lambda work=work: work(folder))
            yield Line(what=what, ours=ours_s, unit="s", peer=peer, theirs=theirs_s)


def _ours(folder: Path) -> np.ndarray:
    (series,) = scan([folder], options=ScanOptions()).series
    return images.read(series, options=ImageOptions()).image.volume.values


def _simpleitk(folder: Path) -> np.ndarray:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return sitk.GetArrayFromImage(reader.Execute())


def _monai(folder: Path) -> np.ndarray:
    from monai.data import PydicomReader

    reader = PydicomReader()
    values, _ = reader.get_data(reader.read(str(folder)))
    return values
