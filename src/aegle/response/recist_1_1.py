"""Response after RECIST 1.1, one judgement per visit after baseline.

Sources:
    Eisenhauer EA et al. Eur J Cancer 2009;45:228-247, sections 4.3 and 4.4 and tables 1 to 3,
        doi:10.1016/j.ejca.2008.10.026.
    EORTC, RECIST 1.1 questions and clarifications, recist.eortc.org: a partial response
        persists until progression.

Diameters count as they are shown, to 0.1 mm, in decimal arithmetic: 9.8 mm is exactly 30 %
less than 14 mm. The rules are those of ``sum_criteria``; this module reads a timeline for them and
says in words what they found. Non-target lesions are judged as present or gone; their unequivocal
progression is for a reader to state.
"""

import math
from collections.abc import Set
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.domain.errors import InputError
from aegle.domain.registration import Verdict
from aegle.domain.response import Response, ResponseCategory
from aegle.domain.text import Text
from aegle.domain.timeline import LesionStatus, Timeline, TimelineEntry
from aegle.options import option
from aegle.response import sum_criteria
from aegle.response.criterion import Criterion, JudgedVisit, load
from aegle.response.nearness import doubt
from aegle.response.patient_course import (
    NewLesion,
    PatientCourse,
    Seen,
    Target,
    Visit,
)
from aegle.response.patient_course import (
    NonTarget as OtherLesion,
)
from aegle.response.probability import Probabilities, ProbabilityOptions, probabilities
from aegle.response.recist_visit import (
    Sums,
    VisitSeen,
    decimal_of,
    is_normal,
    reason,
    size_mm,
)
from aegle.response.sum_criteria import judge

CRITERION, RULES = "RECIST 1.1", "recist-1.1"
CITATION = (
    "Eisenhauer EA et al. New response evaluation criteria in solid tumours: revised RECIST "
    "guideline (version 1.1). Eur J Cancer 2009;45:228-247. doi:10.1016/j.ejca.2008.10.026"
)


class NonTarget(Enum):
    """State of all non-target lesions together (RECIST 1.1, section 4.3.3)."""

    COMPLETE_RESPONSE = "CR"
    NEITHER = "NON-CR/NON-PD"
    PROGRESSIVE_DISEASE = "PD"
    NOT_EVALUABLE = "NE"


@dataclass(frozen=True, kw_only=True)
class Recist11Options:
    """Thresholds of RECIST 1.1; change them only to study the criterion itself."""

    response_decrease: Annotated[
        float, option("Relative decrease for PR", source="RECIST 1.1, 4.3.1", gt=0, lt=1)
    ] = 0.30
    progression_increase: Annotated[
        float, option("Relative increase for PD", source="RECIST 1.1, 4.3.1", gt=0)
    ] = 0.20
    progression_increase_mm: Annotated[
        float, option("Absolute increase for PD", unit="mm", source="RECIST 1.1, 4.3.1", ge=0)
    ] = 5.0
    new_lesion_mm: Annotated[
        float,
        option(
            "Smallest longest diameter that makes a new lesion unequivocal",
            unit="mm",
            source="RECIST 1.1 gives lesions too small to measure 5 mm",
            ge=0,
        ),
    ] = 5.0
    new_node_mm: Annotated[
        float,
        option(
            "Smallest short axis that makes a new lymph node unequivocal",
            unit="mm",
            source="RECIST 1.1, 3.1: smaller nodes are normal",
            ge=0,
        ),
    ] = 10.0
    response_persists: Annotated[
        bool, option("A partial response persists until progression", source="EORTC clarification")
    ] = True


def assess(
    timeline: Timeline, *, options: Recist11Options, pixel_mm: float = 0.0
) -> tuple[Response, ...]:
    """Judge every visit after baseline.

    Args:
        timeline: All lesions over all visits.
        options: Thresholds; the published ones by default.
        pixel_mm: Largest distance of pixels on a slice of the images; 0 where it is not known.

    Returns:
        One response per later visit with the sums [mm] that decided it. The nadir is the
        smallest earlier sum, baseline included; visits that could not be evaluated set none.
        ``NOT_EVALUABLE`` where the alignment failed, where a target was not assessed (unless
        the others alone are progressive) and where there is nothing to measure.

    Raises:
        InputError: The timeline has no later visit.
    """
    count = len(timeline.study_uids)
    if count < 2:
        raise InputError(
            f"RECIST compares with a baseline: expected at least 2 visits, got {count}."
        )
    course = _course(timeline, options)
    judgement = judge(
        course,
        _criterion(options),
        policies={"response": "carried" if options.response_persists else "strict"},
    )
    chances = probabilities(course, judgement, options=ProbabilityOptions())
    return tuple(
        _response_of(verdict, chance, timeline, options, pixel_mm)
        for verdict, chance in zip(judgement.verdicts, chances, strict=True)
    )


def overall(
    target: ResponseCategory | None, non_target: NonTarget, *, has_new: bool
) -> ResponseCategory:
    """Return the overall response of one visit (RECIST 1.1, tables 1 and 2).

    Args:
        target: Response of the target lesions; None if there were none at baseline.
        non_target: State of the other lesions; complete if there were none.
        has_new: Whether there is an unequivocal new lesion.

    Returns:
        The category; non-CR/non-PD only where there were no target lesions (table 2).
    """
    name = sum_criteria.NONE if target is None else target.value
    return ResponseCategory(sum_criteria.overall(name, non_target.value, has_new=has_new)[0])


def _criterion(options: Recist11Options) -> Criterion:
    """Return RECIST 1.1 with the thresholds of the options."""
    published = load(RULES)
    wanted = {
        "response_decrease": options.response_decrease,
        "progression_increase": options.progression_increase,
        "progression_increase_absolute": options.progression_increase_mm,
    }
    changed = {
        name: replace(published.thresholds[name], value=decimal_of(value))
        for name, value in wanted.items()
    }
    return replace(published, thresholds=published.thresholds | changed)


def _course(timeline: Timeline, options: Recist11Options) -> PatientCourse:
    """Return the timeline as the criteria read it."""
    return PatientCourse(
        visits=tuple(_as_written(timeline, n, options) for n in range(len(timeline.study_uids)))
    )


def _as_written(timeline: Timeline, number: int, options: Recist11Options) -> Visit:
    visit = _visit(timeline, number, options)
    # A lymph node that is normal at baseline is no disease, so its being normal is no response.
    others = visit.others if visit.had_disease else ()
    return Visit(
        day=number,
        targets=tuple(_target(e, {one.track for one in visit.targets}) for e in visit.targets),
        non_targets=tuple(
            OtherLesion(lesion=e.track, seen=Seen.ABSENT if is_normal(e) else Seen.PRESENT)
            for e in others
        ),
        new=tuple(NewLesion(lesion=e.track, size=size_mm(e)) for e in visit.new if number),
        is_comparable=visit.is_aligned,
    )


def _target(entry: TimelineEntry, targets: Set[str]) -> Target:
    """Return a target; what grew together with a lesion that is none cannot be measured."""
    whole = entry.merged_into or ""
    return Target(
        lesion=entry.track,
        parts=(size_mm(entry),) if not whole or whole in targets else None,
        is_node=entry.is_lymph_node,
        merged_into=whole if whole in targets else "",
    )


def _response_of(
    verdict: JudgedVisit,
    chance: Probabilities,
    timeline: Timeline,
    options: Recist11Options,
    pixel_mm: float,
) -> Response:
    visit = _visit(timeline, verdict.visit, options)
    now, start, nadir = (Decimal(str(verdict.facts[k])) for k in ("sum", "baseline", "nadir"))
    sums = Sums(now=now, baseline=start, nadir=nadir)
    state = verdict.facts["target"]
    target = None if state == sum_criteria.NONE else ResponseCategory(state)
    category = ResponseCategory(verdict.category)
    return Response(
        visit=verdict.visit,
        category=category,
        criterion=CRITERION,
        sum_mm=float(now),
        baseline_mm=float(start),
        nadir_mm=float(nadir),
        reason=reason(category, target, visit, sums, verdict.rule),
        citation=CITATION,
        rule=f"{RULES}/{verdict.rule}",
        probabilities=tuple(chance.by_category.items()),
        assumed_error=chance.assumed,
        doubt=_doubt(verdict, visit, options, pixel_mm),
    )


def _doubt(
    verdict: JudgedVisit, visit: VisitSeen, options: Recist11Options, pixel_mm: float
) -> Text | None:
    known = (*visit.targets, *visit.others)
    return doubt(
        verdict,
        [size_mm(e) for e in known if e.is_lymph_node],
        _criterion(options),
        others_left=any(size_mm(e) > 0 for e in known if not e.is_lymph_node),
        response_persists=options.response_persists,
        blur_mm=pixel_mm * math.sqrt(len(visit.targets)),
    )


def _visit(timeline: Timeline, number: int, options: Recist11Options) -> VisitSeen:
    """Sort the entries of one visit by what they were at baseline."""
    at_baseline = {e.track: e.is_target for e in timeline.at(0)}
    here = [e for e in timeline.at(number) if e.status is not LesionStatus.UNSURE]
    targets = tuple(e for e in here if at_baseline.get(e.track) is True)
    others = tuple(e for e in here if at_baseline.get(e.track) is False)
    later = (e for e in here if e.track not in at_baseline)
    registration = dict(enumerate(timeline.registrations, start=1)).get(number)
    return VisitSeen(
        targets=targets,
        others=others,
        new=tuple(e for e in later if _is_unequivocal(e, options)),
        missing=sum(at_baseline.values()) - len(targets),
        others_missing=len(at_baseline) - sum(at_baseline.values()) - len(others),
        had_disease=any(not is_normal(e) for e in timeline.at(0)),
        is_aligned=registration is None or registration.verdict is not Verdict.FAILED,
    )


def _is_unequivocal(entry: TimelineEntry, options: Recist11Options) -> bool:
    least_mm = options.new_node_mm if entry.is_lymph_node else options.new_lesion_mm
    return size_mm(entry) > 0 and size_mm(entry) >= decimal_of(least_mm)
