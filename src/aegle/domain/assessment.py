"""What is said of an image as a whole: how good it is, and what class a model gives it."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from aegle.domain.suggestion import Neighbour, OutOfDistribution, PredictionSet
from aegle.domain.text import Text


class QualityGrade(Enum):
    """Whether an image is fit to be read and measured."""

    GOOD = "adequate"
    LIMITED = "limited"
    POOR = "poor"


@dataclass(frozen=True, kw_only=True)
class QualityMeasure:
    """One property of an image that limits what can be read from it."""

    name: str
    """``noise``, ``blur``, ``coverage``, ``metal`` or ``text``."""
    value: float
    unit: str
    limit: float
    """Beyond this the image is limited."""
    grade: QualityGrade
    reason: Text


@dataclass(frozen=True, kw_only=True)
class ImageQuality:
    """How good one image is."""

    image: str
    """Name of the image in its examination."""
    measures: tuple[QualityMeasure, ...]

    @property
    def grade(self) -> QualityGrade:
        """The worst grade of any measure."""
        order = list(QualityGrade)
        return max((m.grade for m in self.measures), key=order.index, default=QualityGrade.GOOD)


@dataclass(frozen=True, eq=False, kw_only=True)
class HeatMap:
    """Where in an image the evidence for a class lies, and how far that can be trusted."""

    category: str
    """The class that is explained."""
    method: str
    seen: NDArray[np.uint8]
    """The image as the model sees it, shape (row, column)."""
    share: NDArray[np.uint8]
    """Evidence as a share of the largest, 0 to 255, shape (row, column)."""
    file: str
    """Picture within the case folder."""
    trust: Text
    """What was measured of such maps of this model, or that nothing was."""
    score: float | None = None
    """Mean area under precision and recall against outlined findings."""
    chance: float | None = None
    """The same of a map that knows nothing."""


@dataclass(frozen=True, kw_only=True)
class ImageClassification:
    """The probabilities that a model gives to the classes of one image."""

    image: str
    """Name of the image in its examination."""
    model: str
    """Name and version of the model."""
    model_digest: str
    """SHA-256 of the model's file."""
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Calibrated, one per class."""
    measured: Text = Text("")
    """How good the model was found to be, and on what."""
    out_of_distribution: OutOfDistribution | None = None
    """How far the image lies from those the model was trained on; None if the model cannot say."""
    prediction_set: PredictionSet | None = None
    """None if no limits were calibrated for the model."""
    heat_map: HeatMap | None = None
    neighbours: tuple[Neighbour, ...] = ()
    notices: tuple[Text, ...] = ()

    @property
    def likeliest(self) -> str:
        """The class with the highest probability."""
        return max(zip(self.probabilities, self.classes, strict=True))[1]


@dataclass(frozen=True, kw_only=True)
class VisitAssessments:
    """What is said of the images of one visit."""

    qualities: tuple[ImageQuality, ...] = ()
    classifications: tuple[ImageClassification, ...] = ()
    notices: tuple[Text, ...] = ()


@dataclass(frozen=True)
class AllAssessments:
    """What is said of the images of every visit, in the order of the visits."""

    visits: tuple[VisitAssessments, ...]
