"""Which DICOM objects are images, and what the others are called (DICOM PS3.6 table A-1)."""

from aegle.dicom import tags
from aegle.dicom.elements import Elements

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_OBJECTS = {
    _STORAGE + "9": "Waveform",
    _STORAGE + "11": "Presentation State",
    _STORAGE + "66": "Raw Data",
    _STORAGE + "66.1": "Spatial Registration",
    _STORAGE + "66.2": "Spatial Fiducials",
    _STORAGE + "66.3": "Deformable Spatial Registration",
    _STORAGE + "66.4": "Segmentation",
    _STORAGE + "66.5": "Surface Segmentation",
    _STORAGE + "66.6": "Tractography Results",
    _STORAGE + "66.7": "Label Map Segmentation",
    _STORAGE + "67": "Real World Value Mapping",
    _STORAGE + "68": "Surface Scan",
    _STORAGE + "77.1.5.3": "Stereometric Relationship",
    _STORAGE + "78": "Ophthalmic Measurements",
    _STORAGE + "79": "Intraocular Lens Calculations",
    _STORAGE + "80": "Visual Field Measurements",
    _STORAGE + "88": "Structured Report",
    _STORAGE + "88.11": "Basic Text SR",
    _STORAGE + "88.22": "Enhanced SR",
    _STORAGE + "88.33": "Comprehensive SR",
    _STORAGE + "88.34": "Comprehensive 3D SR",
    _STORAGE + "88.59": "Key Object Selection",
    _STORAGE + "88.67": "X-Ray Radiation Dose SR",
    _STORAGE + "91": "Microscopy Annotations",
    _STORAGE + "104": "Encapsulated Document",
    _STORAGE + "201": "Inventory",
    _STORAGE + "481.2": "RT Dose",
    _STORAGE + "481.3": "RT Structure Set",
    _STORAGE + "481.4": "RT Beams Treatment Record",
    _STORAGE + "481.5": "RT Plan",
    _STORAGE + "481.6": "RT Brachy Treatment Record",
    _STORAGE + "481.7": "RT Treatment Summary Record",
    _STORAGE + "481.8": "RT Ion Plan",
    _STORAGE + "481.9": "RT Ion Beams Treatment Record",
    "1.2.840.10008.5.1.4.34": "RT Worklist Object",
    "1.2.840.10008.5.1.4.38": "Hanging Protocol",
    "1.2.840.10008.5.1.4.39": "Color Palette",
    "1.2.840.10008.5.1.4.43": "Implant Template",
    "1.2.840.10008.5.1.4.45": "Implant Template Group",
}


def object_name(sop_class_uid: str) -> str | None:
    """Return what a non-image class is called; None for images and unknown classes."""
    family = sop_class_uid
    while family.count(".") >= 7:
        if family in _OBJECTS:
            return _OBJECTS[family]
        family = family.rpartition(".")[0]
    return None


def is_image(header: Elements) -> bool:
    """Return whether a file is meant to be looked at: it has rows and columns of its own."""
    if object_name(header.text(tags.SOP_CLASS_UID)) is not None:
        return False
    return bool(header.unsigned(tags.ROWS) and header.unsigned(tags.COLUMNS))
