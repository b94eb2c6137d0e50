"""Images as DICOM series: CT, MR and PET slices, and projection radiographs.

Slices are written in grid order on the grid as it is, axial or not. Values become 16-bit
integers with a rescale slope that uses the whole range where values are not integers; CT is
kept in whole Hounsfield units as scanners do.

Sources: DICOM PS3.3 A.2 (CR), A.3 (CT), A.4 (MR), A.8 (secondary capture), A.21 (PET),
C.7.6.2 (image plane), C.8.9 (PET series, isotope and image).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from aegle.dicom import attributes
from aegle.dicom.attributes import ObjectIdentity, decimal, decimals, fill, item
from aegle.dicom.stored_values import as_bytes, as_unsigned, quantise
from aegle.domain.codes import Code
from aegle.domain.errors import InputError
from aegle.domain.study import Image, Patient, Projection, SeriesReference
from aegle.domain.volume import PlanarImage, Quantity, Volume
from aegle.record.identity import derive_uid, digest

SLICE_CLASSES = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
}
"""SOP class of the slices of each modality; any other becomes secondary capture."""

FLUORINE_18_HALF_LIFE_S = 6586.2
"""109.77 min (National Nuclear Data Center, Brookhaven)."""

_FLUORINE_18 = Code("77004003", "SCT", "^18^Fluorine")
_PET_UNITS = {
    Quantity.ACTIVITY_CONCENTRATION: "BQML",
    Quantity.STANDARDISED_UPTAKE: "GML",
}
_SERIES_NUMBERS = {"CT": 1, "PT": 2, "MR": 3}


@dataclass(frozen=True, kw_only=True)
class PetFacts:
    """What turns activity concentration into standardised uptake (F-18 unless said otherwise).

    Given for values that are corrected for attenuation and decay, as the file then says.
    SUV [g/mL] = concentration [Bq/mL] · weight [g] / (injected activity, decayed to the scan).
    """

    weight_kg: float
    injected_bq: float
    injected_at: datetime
    acquired_at: datetime
    """Start of the scan, to which the voxel values are decay-corrected."""
    half_life_s: float = FLUORINE_18_HALF_LIFE_S
    frame_duration_s: float = 120.0


def reference(
    image: Volume | PlanarImage,
    patient_id: str,
    *,
    modality: str,
    study: str,
    time: datetime | None = None,
    description: str = "",
) -> SeriesReference:
    """Return the DICOM identity of an image that did not come from DICOM.

    Args:
        image: What will be written.
        patient_id: Whose it is.
        modality: DICOM modality: CT, MR, PT, CR, ...
        study: Any text that tells this visit of the patient from others. Images of one study
            share its UID and its frame of reference: they must be aligned.
        time: When the examination took place.
        description: Of study and series.

    Returns:
        UIDs derived from content: the same image of the same study gives the same ones.
    """
    study_uid = derive_uid("study", patient_id, study)
    place = attributes.grid_content(image.grid) if isinstance(image, Volume) else ""
    series_uid = derive_uid(
        "series", study_uid, modality, place, digest(np.ascontiguousarray(image.values).tobytes())
    )
    count = image.values.shape[0] if isinstance(image, Volume) else 1
    return SeriesReference(
        study_uid=study_uid,
        series_uid=series_uid,
        frame_of_reference_uid=derive_uid("frame of reference", study_uid),
        modality=modality,
        sop_class_uid=_sop_class(image, modality),
        sop_instance_uids=tuple(derive_uid(series_uid, str(index)) for index in range(count)),
        description=description,
        study_date=time,
        study_description=description,
        slice_thickness_mm=image.grid.spacing_mm[0] if isinstance(image, Volume) else None,
        is_from_dicom=False,
    )


def write(
    image: Image,
    patient: Patient,
    folder: Path,
    *,
    now: datetime,
    body_part: str = "",
    pet: PetFacts | None = None,
) -> tuple[Path, ...]:
    """Write a volume as a DICOM series, one file per slice.

    Args:
        image: The volume, with the UIDs to write in ``image.series``.
        patient: Who was examined.
        folder: Where the files go (``0001.dcm`` ...); it is made if it does not exist.
        now: Time of creation.
        body_part: Body Part Examined, e.g. ``CHEST``.
        pet: Weight, activity and times, for a PET.

    Returns:
        The files in the order of the slices.

    Raises:
        InputError: Slices and UIDs do not correspond, values are not numbers, or a PET is
            neither activity concentration nor standardised uptake.
    """
    _require_writable(image)
    stored, slope = quantise(image.volume, is_ct=image.series.modality == "CT")
    dataset = _series_header(image, patient, now=now, body_part=body_part)
    fill(dataset, _modality_attributes(image, decimal(slope), now, pet))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, uid in enumerate(image.series.sop_instance_uids):
        fill(
            dataset,
            {
                "SOPInstanceUID": uid,
                "InstanceNumber": index + 1,
                "ImagePositionPatient": attributes.position(image.volume.grid, index),
                "PixelData": stored[index].astype("<i2").tobytes(),
            },
        )
        if image.series.modality == "PT":
            dataset.ImageIndex = index + 1
        paths.append(attributes.save(dataset, folder / f"{index + 1:04d}.dcm"))
    return tuple(paths)


def write_projection(
    projection: Projection, patient: Patient, path: Path, *, now: datetime, body_part: str = ""
) -> Path:
    """Write a single radiograph as Computed Radiography, or a colour picture as capture.

    Args:
        projection: One frame, grey or red-green-blue.
        patient: Who was examined.
        path: The file to write.
        now: Time of creation.
        body_part: Body Part Examined, e.g. ``CHEST``.

    Raises:
        InputError: There is more than one frame, or values are not numbers.
    """
    series, values = projection.series, projection.image.values
    if values.shape[0] != 1:
        raise InputError(
            f"'{projection.name}' has {values.shape[0]} frames; a radiograph has one. "
            "Write each frame on its own."
        )
    identity = _identity(series, _sop_class(projection.image, series.modality))
    dataset = attributes.begin(identity, series, patient, now=now)
    is_colour = values.ndim == 4
    stored, slope = as_bytes(values[0]) if is_colour else as_unsigned(values[0])
    fill(dataset, _common_attributes(series, patient, now, body_part) | _layout(stored))
    fill(dataset, {"PatientOrientation": "", "ImageType": ["DERIVED", "PRIMARY"]})
    if is_colour:
        fill(dataset, {"ConversionType": "SYN", "PlanarConfiguration": 0})
    else:
        fill(dataset, _radiograph_attributes(decimal(slope)))
    if projection.image.spacing_mm is not None:
        keyword = "PixelSpacing" if is_colour else "ImagerPixelSpacing"
        setattr(dataset, keyword, decimals(projection.image.spacing_mm))
    dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    return attributes.save(dataset, path)


def _sop_class(image: Volume | PlanarImage, modality: str) -> str:
    if isinstance(image, Volume):
        return SLICE_CLASSES.get(modality, SecondaryCaptureImageStorage)
    is_radiograph = image.values.ndim == 3 and modality in ("CR", "DX")
    return ComputedRadiographyImageStorage if is_radiograph else SecondaryCaptureImageStorage


def _identity(series: SeriesReference, sop_class_uid: str) -> ObjectIdentity:
    is_radiograph = sop_class_uid == ComputedRadiographyImageStorage
    return ObjectIdentity(
        sop_class_uid=sop_class_uid,
        uid=series.sop_instance_uids[0],
        series_uid=series.series_uid,
        modality="CR" if is_radiograph else series.modality,
        series_number=_SERIES_NUMBERS.get(series.modality, 9),
        description=series.description,
    )


def _require_writable(image: Image) -> None:
    slices, uids = image.volume.grid.shape[0], len(image.series.sop_instance_uids)
    if slices != uids:
        raise InputError(
            f"'{image.name}' has {slices} slices but {uids} SOP instance UIDs, so it cannot be "
            "written slice by slice. Derive a new series reference for it first."
        )
    if image.series.modality == "PT" and image.volume.quantity not in _PET_UNITS:
        raise InputError(
            f"'{image.name}' is a PET in {image.volume.quantity.value}; only Bq/mL and g/mL can "
            "be written. Convert it first."
        )


def _series_header(image: Image, patient: Patient, *, now: datetime, body_part: str) -> Dataset:
    series, grid = image.series, image.volume.grid
    identity = _identity(series, _sop_class(image.volume, series.modality))
    dataset = attributes.begin(identity, series, patient, now=now)
    fill(dataset, _common_attributes(series, patient, now, body_part))
    fill(dataset, _layout(np.empty(grid.shape[1:], np.int16)))
    thickness_mm = series.slice_thickness_mm or grid.spacing_mm[0]
    return fill(
        dataset,
        {
            "FrameOfReferenceUID": series.frame_of_reference_uid,
            "PositionReferenceIndicator": "",
            "ImageOrientationPatient": attributes.orientation(grid),
            "PixelSpacing": decimals(grid.spacing_mm[1:]),
            "SliceThickness": decimal(thickness_mm),
            "SpacingBetweenSlices": decimal(grid.spacing_mm[0]),
        },
    )


def _common_attributes(
    series: SeriesReference, patient: Patient, now: datetime, body_part: str
) -> dict[str, Any]:
    moment = series.study_date or now
    common = {
        "SeriesDate": attributes.day(moment),
        "SeriesTime": attributes.clock(moment),
        "AcquisitionDate": attributes.day(moment),
        "AcquisitionTime": attributes.clock(moment),
        "ContentDate": attributes.day(moment),
        "ContentTime": attributes.clock(moment),
        "AcquisitionNumber": 1,
        "BodyPartExamined": attributes.printable(body_part, attributes.SHORT_STRING).upper(),
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
    }
    if not body_part:
        # A part of the body that is not named may be one of a pair.
        common["Laterality"] = ""
    age = attributes.age(patient, series.study_date)
    return common | ({"PatientAge": age} if age else {})


def _layout(stored: NDArray[Any]) -> dict[str, Any]:
    is_colour = stored.ndim == 3
    bits = stored.dtype.itemsize * 8
    return {
        "SamplesPerPixel": 3 if is_colour else 1,
        "PhotometricInterpretation": "RGB" if is_colour else "MONOCHROME2",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(np.issubdtype(stored.dtype, np.signedinteger)),
    }


def _modality_attributes(
    image: Image, slope: str, now: datetime, pet: PetFacts | None
) -> dict[str, Any]:
    rescale = {"RescaleIntercept": "0", "RescaleSlope": slope}
    modality = image.series.modality
    if modality == "CT":
        return rescale | {
            "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
            "RescaleType": "HU",
            "KVP": None,
            "PatientPosition": "",
        }
    if modality == "PT":
        return rescale | _pet_attributes(image, now, pet)
    rescaled = {} if slope == "1.0" else rescale | {"RescaleType": "US"}
    if modality == "MR":
        return rescaled | {
            "ImageType": ["DERIVED", "PRIMARY", "OTHER"],
            "PatientPosition": "",
            "ScanningSequence": "RM",
            "SequenceVariant": "NONE",
            "ScanOptions": "",
            "MRAcquisitionType": "",
            "EchoTime": None,
            "EchoTrainLength": None,
            "RepetitionTime": None,
        }
    return rescaled | {
        "ImageType": ["DERIVED", "PRIMARY"],
        "ConversionType": "SYN",
        "PatientOrientation": "",
    }


def _pet_attributes(image: Image, now: datetime, pet: PetFacts | None) -> dict[str, Any]:
    units = _PET_UNITS[image.volume.quantity]
    moment = pet.acquired_at if pet else image.series.study_date or now
    duration_s = pet.frame_duration_s if pet else 0.0
    values: dict[str, Any] = {
        "ImageType": ["DERIVED", "PRIMARY"],
        "Units": units,
        "CountsSource": "EMISSION",
        "SeriesType": ["STATIC", "IMAGE"],
        "NumberOfSlices": image.volume.grid.shape[0],
        "CorrectedImage": ["DECY", "ATTN"] if pet else "",
        "DecayCorrection": "START" if pet else "NONE",
        "CollimatorType": "NONE",
        "PatientOrientationCodeSequence": Sequence(),
        "PatientGantryRelationshipCodeSequence": Sequence(),
        "FrameReferenceTime": "0",
        "ActualFrameDuration": str(round(duration_s * 1000)),
        "RadiopharmaceuticalInformationSequence": Sequence([_isotope(pet)] if pet else []),
    }
    for keyword in ("Series", "Acquisition", "Content"):
        values[f"{keyword}Date"] = attributes.day(moment)
        values[f"{keyword}Time"] = attributes.clock(moment)
    if units == "GML":
        values["SUVType"] = "BW"
    if pet:
        values["PatientWeight"] = decimal(pet.weight_kg)
        values["DecayFactor"] = "1"
    return values


def _isotope(pet: PetFacts) -> Dataset:
    is_fluorine = pet.half_life_s == FLUORINE_18_HALF_LIFE_S
    return item(
        RadiopharmaceuticalStartTime=attributes.clock(pet.injected_at),
        RadiopharmaceuticalStartDateTime=f"{pet.injected_at:%Y%m%d%H%M%S.%f}",
        RadionuclideTotalDose=decimal(pet.injected_bq),
        RadionuclideHalfLife=decimal(pet.half_life_s),
        RadionuclideCodeSequence=attributes.coded(_FLUORINE_18) if is_fluorine else Sequence(),
    )


def _radiograph_attributes(slope: str) -> dict[str, Any]:
    return {
        "RescaleIntercept": "0",
        "RescaleSlope": slope,
        "RescaleType": "US",
        "ViewPosition": "",
        "KVP": None,
        "PlateID": "",
    }
