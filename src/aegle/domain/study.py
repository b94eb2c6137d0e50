"""A patient's examinations and the images in them."""

from dataclasses import dataclass
from datetime import date, datetime

from aegle.domain.errors import InputError
from aegle.domain.structure import StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import PlanarImage, Volume


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Who was examined."""

    id: str
    name: str = ""
    """DICOM person name, e.g. ``Made^Thorax``."""
    birth_date: date | None = None
    sex: str = ""
    """``F``, ``M``, ``O`` or empty (DICOM PS3.3 C.7.1.1)."""


@dataclass(frozen=True, kw_only=True)
class SeriesReference:
    """The DICOM series an image was read from, with all that derived objects must repeat.

    Images that came from other files carry UIDs derived from their content.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    modality: str
    """DICOM modality: CT, MR, PT, CR, DX, US, ..."""
    sop_class_uid: str
    sop_instance_uids: tuple[str, ...]
    """One per slice in grid order, or a single one for an enhanced multi-frame object."""
    description: str = ""
    study_date: datetime | None = None
    study_id: str = ""
    study_description: str = ""
    accession_number: str = ""
    slice_thickness_mm: float | None = None
    body_part: str = ""
    """DICOM Body Part Examined, e.g. ``CHEST``; empty if the file does not say."""
    view: str = ""
    """DICOM View Position of a radiograph: PA, AP, LL, RL, ...; empty if not said."""
    scanner: str = ""
    """Maker, model and tube voltage, e.g. ``SIEMENS SOMATOM Force, 120 kV``; empty if not said."""
    is_from_dicom: bool = True
    """False for an image that came from another kind of file."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Image:
    """One volume of an examination and where it came from."""

    name: str
    """Short and unique in its examination: ``CT``, ``PT``, ``MR``, ``MR 2``, ..."""
    volume: Volume
    series: SeriesReference
    structures: StructureSet = StructureSet(())
    """Structures that came with the image (RTSTRUCT, SEG, labelmap), on the image's grid."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection:
    """Frames without patient geometry (radiograph, ultrasound, ...) and where they came from."""

    name: str
    image: PlanarImage
    series: SeriesReference


@dataclass(frozen=True, eq=False, kw_only=True)
class Examination:
    """One visit of one patient: all images acquired in one study."""

    patient: Patient
    study_uid: str
    time: datetime | None
    description: str = ""
    images: tuple[Image, ...] = ()
    projections: tuple[Projection, ...] = ()
    notices: tuple[Text, ...] = ()
    """What the reader should know: files set aside, corrections that were chosen."""

    @property
    def is_screening(self) -> bool:
        """Whether the study says that it is a screening examination."""
        words = " ".join([self.description, *(i.series.description for i in self.images)])
        return "screening" in words.lower()

    def image(self, name: str) -> Image:
        """Return the image called ``name``.

        Raises:
            InputError: There is none.
        """
        for image in self.images:
            if image.name == name:
                return image
        known = ", ".join(i.name for i in self.images) or "none"
        raise InputError(f"No image '{name}' in this examination; there: {known}.")

    @property
    def ct(self) -> Image | None:
        """The CT with the most voxels, or None."""
        cts = [i for i in self.images if i.series.modality == "CT"]
        return max(cts, key=lambda i: i.volume.values.size, default=None)
