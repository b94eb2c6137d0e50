"""Coded names of body parts and findings.

Codes are SNOMED CT as listed in DICOM PS3.16 (CID 4031, 6303, 7151, 9231) for anatomy and
segmented properties; the RT ROI interpreted type is DICOM PS3.3 C.8.8.8.1.
"""

import re
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM PS3.3 section 8)."""

    value: str
    scheme: str
    meaning: str


class StructureType(Enum):
    """What a structure is for; the value is the DICOM RT ROI interpreted type."""

    EXTERNAL = "EXTERNAL"
    ORGAN = "ORGAN"
    LESION = "GTV"
    TARGET = "PTV"
    AVOIDANCE = "AVOIDANCE"


ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
TISSUE = Code("85756007", "SCT", "Tissue")

LESION = Code("52988006", "SCT", "Lesion")
NODULE = Code("27925004", "SCT", "Nodule")
MASS = Code("4147007", "SCT", "Mass")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
LYMPH_NODE = Code("59441001", "SCT", "Lymph node")

BODY_PARTS: dict[str, Code] = {
    "body": Code("38266002", "SCT", "Entire body"),
    "lung_right": Code("3341006", "SCT", "Right lung"),
    "lung_left": Code("44029006", "SCT", "Left lung"),
    "lungs": Code("39607008", "SCT", "Lung"),
    "airways": Code("44567001", "SCT", "Trachea"),
    "bone": Code("272673000", "SCT", "Bone"),
    "heart": Code("80891009", "SCT", "Heart"),
    "oesophagus": Code("32849002", "SCT", "Esophagus"),
    "spinal_cord": Code("2748008", "SCT", "Spinal cord"),
    "spine": Code("421060004", "SCT", "Vertebral column"),
    "ribs": Code("113197003", "SCT", "Rib"),
    "aorta": Code("15825003", "SCT", "Aorta"),
    "liver": Code("10200004", "SCT", "Liver"),
    "bladder": Code("89837001", "SCT", "Bladder"),
    "rectum": Code("34402009", "SCT", "Rectum"),
    "prostate": Code("41216001", "SCT", "Prostate"),
    "femoral_head_right": Code("24136001", "SCT", "Hip joint"),
    "femoral_head_left": Code("24136001", "SCT", "Hip joint"),
    "parotid_right": Code("45289007", "SCT", "Parotid gland"),
    "parotid_left": Code("45289007", "SCT", "Parotid gland"),
    "submandibular_right": Code("54019009", "SCT", "Submandibular gland"),
    "submandibular_left": Code("54019009", "SCT", "Submandibular gland"),
    "oral_cavity": Code("74262004", "SCT", "Oral cavity"),
    "constrictor_superior": Code("54066008", "SCT", "Pharynx"),
    "constrictor_middle": Code("54066008", "SCT", "Pharynx"),
    "constrictor_inferior": Code("54066008", "SCT", "Pharynx"),
    "larynx": Code("4596009", "SCT", "Larynx"),
    "mandible": Code("91609006", "SCT", "Mandible"),
    "brain": Code("12738006", "SCT", "Brain"),
    "brainstem": Code("119238007", "SCT", "Brain stem"),
    "mediastinum": Code("72410000", "SCT", "Mediastinum"),
    "chest_wall": Code("78904004", "SCT", "Chest wall"),
}
"""Code of each structure name that Aegle itself gives."""

LUNGS = ("lung_right", "lung_left", "lungs")
"""Body parts that are a lung or both."""

# "mass" must stand alone: the masseter is an organ.
_LESION = re.compile(r"gtv|tumou?r|lesion|nodule|metast|cancer|(^|[\W_\d])mass(es)?($|[\W_\d])")
_TARGET_WORDS = ("ptv", "ctv", "itv")


def structure_type(name: str) -> StructureType:
    """Return what a delineation is for, from the names in common use (AAPM TG-263).

    A file that states the type itself (RT ROI interpreted type) is believed before its name.
    """
    word = name.lower().strip("-_ ")
    if word.startswith(_TARGET_WORDS):
        return StructureType.TARGET
    if _LESION.search(word):
        return StructureType.LESION
    if body_part(name) == "body":
        return StructureType.EXTERNAL
    return StructureType.ORGAN


_SPELLINGS: dict[str, tuple[str, ...]] = {
    "body": ("body", "external", "skin", "patient"),
    "spinal_cord": ("spinalcord", "cord", "myelon"),
    "lungs": ("lungs", "lungtotal", "totallung", "bothlungs"),
    "lung_left": ("lungleft", "leftlung", "lungl", "llung", "lunglt"),
    "lung_right": ("lungright", "rightlung", "lungr", "rlung", "lungrt"),
    "heart": ("heart",),
    "oesophagus": ("oesophagus", "esophagus"),
    "liver": ("liver",),
    "rectum": ("rectum",),
    "bladder": ("bladder", "urinarybladder"),
    "bone": ("bone", "bones"),
    "airways": ("airways", "trachea"),
    "parotid_left": ("parotidleft", "leftparotid", "parotidl", "lparotid", "parotidlt"),
    "parotid_right": ("parotidright", "rightparotid", "parotidr", "rparotid", "parotidrt"),
    "submandibular_left": ("submandibularleft", "leftsubmandibular", "glndsubmandl", "submandl"),
    "submandibular_right": ("submandibularright", "rightsubmandibular", "glndsubmandr", "submandr"),
    "oral_cavity": ("oralcavity", "cavityoral"),
    "constrictor_superior": ("constrictorsuperior", "muscconstricts", "pcmsup"),
    "constrictor_middle": ("constrictormiddle", "muscconstrictm", "pcmmed"),
    "constrictor_inferior": ("constrictorinferior", "muscconstricti", "pcminf"),
    "larynx": ("larynx",),
    "mandible": ("mandible", "bonemandible"),
    "brain": ("brain", "brainmask"),
    "brainstem": ("brainstem",),
}
"""Names in common use for a body part, in lower case without spaces and signs.

TG-263: Mayo CS et al. Int J Radiat Oncol Biol Phys 2018;100:1057-1066,
doi:10.1016/j.ijrobp.2017.12.013.
"""

_BY_SPELLING = {spelling: part for part, names in _SPELLINGS.items() for spelling in names}


def body_part(name: str) -> str | None:
    """Return the key of ``BODY_PARTS`` that a delineation's name stands for; None if unknown."""
    return _BY_SPELLING.get("".join(c for c in name.lower() if c.isalnum()))
