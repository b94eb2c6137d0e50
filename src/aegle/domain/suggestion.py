"""What a suggestion rests on, how sure it is, and what a person decided about it.

Whatever a part of the program does not know stays empty: a rule has no calibrated probability, a
model no row. The page says so in place of leaving it out.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from aegle.domain.errors import OptionError
from aegle.domain.text import Text


class InputSource(Enum):
    """Where an input comes from."""

    MEASURED = "measured on the image"
    EXAMINATION = "stated by the examination"
    STATED = "stated by a person"
    RECORD = "from a record"


@dataclass(frozen=True, kw_only=True)
class Input:
    """One fact that a suggestion was made from, or that it would need."""

    name: str
    """As the rule or model names it."""
    meaning: str
    value: str
    """As shown; empty if it is missing."""
    unit: str = ""
    source: InputSource = InputSource.STATED
    time: datetime | None = None
    """When it was observed, if that is known."""
    code: str = ""
    """``system|code`` of a record."""
    problem: Text | None = None
    """Why the value cannot be used, as ``value`` says in English."""
    is_used: bool = True
    """False for what is known of the patient, but not asked by this rule or model."""

    @property
    def is_missing(self) -> bool:
        """Whether nothing is known of it."""
        return not self.value


class MakerKind(Enum):
    """What makes a suggestion."""

    RULE = "published rule"
    MODEL = "trained model"


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The rule or model that made a suggestion, to the last byte."""

    kind: MakerKind
    id: str
    version: str
    digest: str
    """SHA-256 of the rule's or the model's file."""


@dataclass(frozen=True, kw_only=True)
class PredictionSet:
    """Categories of which one is right with a stated frequency."""

    categories: tuple[str, ...]
    coverage: float
    """Frequency that was promised, for example 0.9."""
    group: str = ""
    """Patients among whom it was calibrated; empty for all."""
    calibration_cases: int = 0
    """Of that group."""
    measured_coverage: float | None = None
    """Found in that group on cases kept aside."""


@dataclass(frozen=True, kw_only=True)
class OutOfDistribution:
    """How far an image lies from those that a model learned from."""

    is_outside: bool
    score: float
    limit: float
    """A larger score lies outside."""
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What in the image speaks for a suggestion: first a mask, second a map with its score."""

    image: str
    """Name of the image in its examination."""
    structure: str = ""
    """Name of the delineated structure; the mask is kept with the case."""
    slice_index: int | None = None
    """Slice of the image grid on which it is largest or was measured."""
    map_file: str = ""
    """Path of a heat map within the case folder."""
    map_method: str = ""
    map_score: float | None = None
    """Measured quality of such maps on cases with known truth."""
    map_score_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A training image that a model finds much like the one in question."""

    name: str
    """As its data set names it."""
    category: str
    """Its true class."""
    distance: float
    """Between what the model sees in both, in deviations of the training images per direction."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """What else it may be, and on what that depends."""

    category: str
    reason: Text
    probability: float | None = None
    next_step: Text | None = None


class Decision(Enum):
    """What a person decided about a suggestion."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"


@dataclass(frozen=True, kw_only=True)
class Review:
    """A person's decision about one suggestion; never changed, only replaced by a later one."""

    id: str
    suggestion: str
    """Id of the suggestion."""
    decision: Decision
    by: str
    at: datetime
    reason: str = ""
    category: str = ""
    """What the person says in its place, if overridden and said."""
    replaces: str = ""
    """Id of the earlier review of the same suggestion; empty for the first."""

    def __post_init__(self) -> None:
        if not self.by.strip():
            raise OptionError("A review needs a name; say who decided with --by NAME.")
        if self.decision is Decision.OVERRIDDEN and not self.reason.strip():
            raise OptionError("Overriding needs a reason; give it with --reason TEXT.")


def standing(reviews: tuple[Review, ...]) -> dict[str, Review]:
    """Return the review that stands for each suggestion: the one that no other replaces."""
    replaced = {review.replaces for review in reviews}
    return {r.suggestion: r for r in reviews if r.id not in replaced}


def replacing(review: Review, earlier: tuple[Review, ...]) -> Review:
    """Return the review, naming the one of the same suggestion that it replaces, if any."""
    before = standing(earlier).get(review.suggestion)
    return review if before is None else replace(review, replaces=before.id)
