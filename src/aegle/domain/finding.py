"""What was found in an examination, measured, and what it may mean."""

from dataclasses import dataclass
from enum import Enum

from aegle.domain.structure import Structure
from aegle.domain.suggestion import (
    Alternative,
    Evidence,
    Input,
    Maker,
    Neighbour,
    OutOfDistribution,
    PredictionSet,
)
from aegle.domain.text import Text

Position = tuple[float, float, float]


class LesionKind(Enum):
    """What a lesion is taken for; decides how RECIST measures it."""

    NODULE = "nodule"
    MASS = "mass"
    LYMPH_NODE = "lymph node"
    TUMOUR = "tumour"


@dataclass(frozen=True, kw_only=True)
class Diameters:
    """Longest in-plane diameter and the longest chord perpendicular to it, with end points."""

    longest_mm: float
    perpendicular_mm: float
    longest_ends_mm: tuple[Position, Position]
    """LPS positions [mm]."""
    perpendicular_ends_mm: tuple[Position, Position]
    slice_index: int
    """Slice of the image grid on which both lie."""
    width_mm: float | None = None
    """Extent at right angles to the longest diameter (Feret): what ``perpendicular_mm`` would be
    if gaps counted; never less."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Voxel values inside a structure, in the unit of their image."""

    image: str
    """Name of the image measured."""
    unit: str
    mean: float
    deviation: float
    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class LesionUptake:
    """What PET tells about a lesion, as standardised uptake."""

    image: str
    """Name of the PET."""
    maximum: float
    """[g/mL]."""
    peak: float
    """Highest mean over 1 cm³ [g/mL]."""
    peak_at_maximum: float
    """Mean over 1 cm³ around the hottest voxel, the highest if several tie [g/mL]."""
    mean: float
    """Of the whole delineation [g/mL]."""
    active_mean: float
    """Of the metabolic volume [g/mL]."""
    mtv_ml: float
    """Metabolic volume [mL]."""
    tlg_g: float
    """Total lesion glycolysis: ``active_mean`` times ``mtv_ml`` [g]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Lesion:
    """One lesion of one examination, measured."""

    id: str
    """Short name in this examination: ``L1``, ``L2``, ..., largest first."""
    tracking_uid: str
    """The same for the same lesion at every visit (DICOM Tracking UID)."""
    structure: Structure
    image: str
    """Name of the image on which it is delineated."""
    kind: LesionKind
    site: str
    """Body part, a key of ``codes.BODY_PARTS`` or ``unknown``."""
    diameters: Diameters
    volume_ml: float
    statistics: tuple[Statistics, ...] = ()
    volume_interval_ml: tuple[float, float] | None = None
    """95 % interval of the volume for errors of measurement [mL]."""
    uptake: LesionUptake | None = None
    """On the first PET that shares its frame of reference; None without one."""

    @property
    def recist_diameter_mm(self) -> float:
        """Short axis of a lymph node, longest diameter of anything else (RECIST 1.1, 3.1)."""
        if self.kind is LesionKind.LYMPH_NODE:
            return self.diameters.perpendicular_mm
        return self.diameters.longest_mm

    @property
    def mean_diameter_mm(self) -> float:
        """Mean of longest and perpendicular diameter, to 0.1 mm (Lung-RADS v2022) [mm]."""
        return round((self.diameters.longest_mm + self.diameters.perpendicular_mm) / 2, 1)


@dataclass(frozen=True, kw_only=True)
class OrganMeasure:
    """Size and content of an organ."""

    name: str
    volume_ml: float
    statistics: Statistics


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What a published rule or a trained model says about a finding; a person decides."""

    rule: str
    """Title with version, e.g. ``Lung-RADS v2022``, or the model's name."""
    applies: bool
    category: str
    """The rule's own category; empty if it does not apply, ``REVIEW`` if no row covers it."""
    subject: str
    """Lesion id, ``examination``, or the name of an image."""
    reason: Text
    row: Text | None = None
    """The row of the rule that fired."""
    next_step: Text | None = None
    citation: str = ""
    id: str = ""
    """Derived from all that it says and rests on: another suggestion has another id."""
    made_by: Maker | None = None
    probability: float | None = None
    """Calibrated, of a model; or the one that a published model computes."""
    prediction_set: PredictionSet | None = None
    out_of_distribution: OutOfDistribution | None = None
    inputs: tuple[Input, ...] = ()
    """What it was made from; those that are missing have no value."""
    assumed: tuple[Text, ...] = ()
    """What was not stated and therefore assumed."""
    cautions: tuple[Text, ...] = ()
    confirmed: Text | None = None
    """How far the row is confirmed by the primary document."""
    evidence: tuple[Evidence, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    """Training images of a model that are most alike, nearest first."""
    alternatives: tuple[Alternative, ...] = ()
    limits: tuple[Text, ...] = ()
    """For what and whom it may be used."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """Everything measured in one examination."""

    study_uid: str
    organs: tuple[OrganMeasure, ...] = ()
    lesions: tuple[Lesion, ...] = ()
    notices: tuple[Text, ...] = ()
