"""A made CT series with headers as a scanner writes them, for timing readers."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from aegle.record.identity import derive_uid

PRIVATE_BYTES = 14_000
"""What scanners add in private elements, per file."""


def write_series(folder: Path, *, slices: int, size: int, seed: int) -> None:
    """Write an axial CT series of ``slices`` files, ``size`` by ``size`` pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 2000, (slices, size, size), dtype=np.int16)
    for index in range(slices):
        _dataset(index, pixels[index], seed).save_as(
            folder / f"{index:04d}.dcm", enforce_file_format=True
        )


def _dataset(index: int, pixels: np.ndarray, seed: int) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    facts = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": derive_uid("instance", str(seed), str(index)),
        "StudyInstanceUID": derive_uid("study", str(seed)),
        "SeriesInstanceUID": derive_uid("series", str(seed)),
        "FrameOfReferenceUID": derive_uid("frame", str(seed)),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "StudyDate": "20250114",
        "StudyTime": "093000",
        "StudyID": "1",
        "StudyDescription": "CT chest",
        "SeriesNumber": 2,
        "SeriesDescription": "axial",
        "AccessionNumber": "A1",
        "Modality": "CT",
        "Manufacturer": "made",
        "PatientID": "bench",
        "PatientName": "Made^Bench",
        "PatientBirthDate": "19610314",
        "PatientSex": "F",
        "InstanceNumber": index + 1,
        "AcquisitionNumber": 1,
        "SliceThickness": "1.25",
        "ImagePositionPatient": [-180, -180, 1.25 * index],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.703125, 0.703125],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in facts.items():
        setattr(dataset, keyword, value)
    block = dataset.private_block(0x0009, "AEGLE BENCH", create=True)
    block.add_new(0x01, "OB", bytes(PRIVATE_BYTES))
    return dataset
