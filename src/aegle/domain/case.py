"""One patient's whole journey: what each stage gives, and all of it together."""

from dataclasses import dataclass
from datetime import datetime

from aegle.domain.alternatives import Comparison
from aegle.domain.assessment import AllAssessments
from aegle.domain.errors import InputError
from aegle.domain.finding import Findings, Suggestion
from aegle.domain.plan import Plan
from aegle.domain.plan_check import PlanCheck
from aegle.domain.response import FollowUp
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Patient
from aegle.domain.suggestion import Review
from aegle.domain.text import Text
from aegle.domain.worklist import Worklist


@dataclass(frozen=True, eq=False)
class Examinations:
    """All visits of one patient, oldest first."""

    patient: Patient
    visits: tuple[Examination, ...]

    def index_of(self, study_uid: str) -> int:
        """Return which visit a study is, 0 for the first; studies of a timeline may be fewer.

        Raises:
            InputError: It is none of them.
        """
        for index, visit in enumerate(self.visits):
            if visit.study_uid == study_uid:
                return index
        raise InputError(f"Study {study_uid} is none of the patient's examinations.")


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageStructures:
    """Structures of one image: those that came with it and those found in it."""

    image: str
    """Name of the image in its examination."""
    structures: StructureSet


@dataclass(frozen=True, eq=False, kw_only=True)
class VisitStructures:
    """Structures of every image of one visit."""

    images: tuple[ImageStructures, ...]
    notices: tuple[Text, ...] = ()

    def of(self, image: str) -> StructureSet:
        """Return the structures of an image; none if nothing was delineated on it."""
        for item in self.images:
            if item.image == image:
                return item.structures
        return StructureSet(())


@dataclass(frozen=True, eq=False)
class Segmentations:
    """Structures of every visit, in the order of the visits."""

    visits: tuple[VisitStructures, ...]


@dataclass(frozen=True, eq=False)
class AllFindings:
    """Findings of every visit, in the order of the visits."""

    visits: tuple[Findings, ...]


@dataclass(frozen=True)
class AllSuggestions:
    """Suggestions for every visit, in the order of the visits."""

    visits: tuple[tuple[Suggestion, ...], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Planning:
    """A treatment plan, or why there is none."""

    plan: Plan | None
    visit: int = 0
    """Index of the visit whose CT was planned on."""
    image: str = ""
    """Name of that CT in its examination."""
    reason: Text = Text("")
    """Why there is no plan, or why this target was chosen."""
    check: PlanCheck | None = None
    """What the plan rests on."""
    comparison: Comparison | None = None
    """Other plans that the patient could be given."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Following:
    """A follow-up, or why there is none."""

    follow_up: FollowUp | None
    reason: Text = Text("")
    cautions: tuple[Text, ...] = ()
    """What stands in the way of a comparison, and what was left out for it."""


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What a stage result was made from."""

    name: str
    key: str
    """SHA-256 over inputs, options and code version."""
    options: str
    """As JSON."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the whole case was made from, by what, and when."""

    version: str
    """Version of Aegle."""
    now: datetime
    """Time stamped on everything written."""
    inputs: tuple[tuple[str, str], ...]
    """File name and SHA-256 of its content."""
    stages: tuple[StageRecord, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseResults:
    """Everything that is known about a case; what the report shows."""

    examinations: Examinations
    segmentations: Segmentations
    findings: AllFindings
    suggestions: AllSuggestions
    planning: Planning
    following: Following
    worklist: Worklist
    provenance: Provenance
    assessments: AllAssessments = AllAssessments(())
    reviews: tuple[Review, ...] = ()
    """What persons decided about the suggestions, oldest first."""
