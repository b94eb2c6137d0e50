"""Criteria that judge a sum over targets together with the other lesions.

RECIST 1.1, mRECIST, RANO 2.0 and the volumetric criterion differ in what they add up and in their
numbers; how target, non-target and new lesions make a response is the same table (Eisenhauer 2009,
tables 1 and 2). Everything that differs is read from the criterion's file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.response.criterion import Criterion, JudgedVisit, Judgement, is_within_error, load
from aegle.response.measurability import notes_on
from aegle.response.patient_course import NewLesion, PatientCourse, Seen, Target, Visit

CR, PR, SD, PD, NE = "CR", "PR", "SD", "PD", "NE"
NON_CR_NON_PD = "NON-CR/NON-PD"
CATEGORIES = (CR, PR, NON_CR_NON_PD, SD, PD, NE)
NONE = "NONE"
"""There are no lesions of that role."""


@dataclass(frozen=True, kw_only=True)
class TargetState:
    """What one visit says of the targets together."""

    total: Decimal
    """Sum of those that were assessed."""
    missing: int
    are_normal: bool
    """Whether all that were assessed are gone or, as nodes, normal."""
    count: int


@dataclass(frozen=True, kw_only=True)
class History:
    """What earlier visits leave behind."""

    baseline: Decimal
    nadir: Decimal
    """Smallest sum of an evaluable visit, baseline included."""
    was_complete: bool = False
    has_progressed: bool = False


def judge(
    course: PatientCourse,
    criterion: Criterion | str = "recist-1.1",
    *,
    policies: Mapping[str, str] | None = None,
) -> Judgement:
    """Judge every visit after baseline.

    Args:
        course: All lesions at every visit, sizes in the criterion's unit.
        criterion: RECIST 1.1, mRECIST, RANO 2.0 (areas or volumes) or the volumetric one.
        policies: Choices that differ from the defaults; see the criterion's file.

    Returns:
        One verdict per later visit with the rule that fired, and all choices that were made.

    Raises:
        OptionError: There is no such criterion, policy or choice.
        InputError: The criterion does not judge sums.
    """
    criterion = load(criterion) if isinstance(criterion, str) else criterion
    if "target-response" not in criterion.rules:
        raise InputError(f"{criterion.title} does not judge a sum of sizes; use its own function.")
    chosen = criterion.choose(policies)
    certain = certain_from(course, back_dated=chosen["equivocal"] == "back-dated")
    first = state_of(course.visits[0], course, criterion)
    history = History(baseline=first.total, nadir=first.total)
    verdicts = []
    for number in range(1, len(course.visits)):
        verdict, history = _judge(course, number, _Rules(criterion, chosen, certain), history)
        verdicts.append(verdict)
    return Judgement(
        criterion=criterion,
        policies=chosen,
        verdicts=tuple(verdicts),
        notes=notes_on(criterion, course),
    )


@dataclass(frozen=True)
class _Rules:
    """A criterion with its choices, and from which visit on each new lesion is sure."""

    criterion: Criterion
    chosen: Mapping[str, str]
    certain: Mapping[str, int]


def _judge(
    course: PatientCourse, number: int, rules: _Rules, history: History
) -> tuple[JudgedVisit, History]:
    visit = course.visits[number]
    state = state_of(visit, course, rules.criterion)
    target, target_rule = target_response(state, history, rules.criterion, rules.chosen)
    non_target = non_target_response(visit, course)
    new = [
        n for n in visit.new if n.is_present and rules.certain.get(n.lesion, number + 1) <= number
    ]
    new = [n for n in new if _is_large_enough(n, rules.criterion)]
    category, rule = overall(target, non_target, has_new=bool(new))
    rule = target_rule if rule == "target" else rule
    is_left = bool(state.count and not state.are_normal) or non_target in (NON_CR_NON_PD, PD)
    if not visit.is_comparable:
        category, rule = NE, "alignment"
    elif not state.count and non_target == NONE and not new:
        category, rule = NE, "no-disease"
    elif _is_carried(rules.chosen, history) and category != NE:
        category, rule = PD, "after-progression" if category != PD else rule
    elif (
        category != PD
        and history.was_complete
        and is_left
        and rules.chosen["reappearance"] == "any"
    ):
        category, rule = PD, "reappearance"
    category, rule = _with_clinic(category, rule, visit, rules)
    facts = _facts(state, history, target, non_target) | {
        "new_lesions": ", ".join(n.lesion for n in new)
    }
    verdict = JudgedVisit(
        visit=number,
        category=category,
        rule=rule,
        reason=Text(rules.criterion.rules[rule].text),
        facts=facts,
        is_within_error=_within(state, history, rules.criterion, category),
    )
    return verdict, _after(history, visit, state, category)


def _is_large_enough(lesion: NewLesion, criterion: Criterion) -> bool:
    """Return whether a measured new lesion is as large as the criterion asks for, if it does."""
    least = criterion.thresholds.get("new_lesion")
    return least is None or lesion.size is None or lesion.is_node or lesion.size >= least.value


def _is_carried(chosen: Mapping[str, str], history: History) -> bool:
    return chosen.get("after_progression") == "carried" and history.has_progressed


def _with_clinic(category: str, rule: str, visit: Visit, rules: _Rules) -> tuple[str, str]:
    """Let clinical decline and corticosteroids count where the criterion asks for it."""
    if rules.chosen.get("clinical") != "counted":
        return category, rule
    if visit.clinical == "worse" and category != PD:
        return PD, "clinical-decline"
    if category in (CR, PR) and visit.steroids == "increased":
        return SD, "more-steroids"
    return category, rule


def _after(history: History, visit: Visit, state: TargetState, category: str) -> History:
    counts = visit.is_comparable and not state.missing
    return History(
        baseline=history.baseline,
        nadir=min(history.nadir, state.total) if counts else history.nadir,
        was_complete=history.was_complete or category == CR,
        has_progressed=history.has_progressed or category == PD,
    )


def _within(
    state: TargetState, history: History, criterion: Criterion, category: str
) -> bool | None:
    """Say whether the change that the category rests on could be measurement error."""
    if not state.count or state.missing:
        return None
    against = history.nadir if category == PD else history.baseline
    return is_within_error(state.total, against, criterion.error)


def _facts(
    state: TargetState, history: History, target: str, non_target: str
) -> dict[str, Decimal | str | None]:
    def percent(before: Decimal) -> Decimal | None:
        return 100 * (state.total - before) / before if before else None

    return {
        "sum": state.total,
        "baseline": history.baseline,
        "nadir": history.nadir,
        "baseline_percent": percent(history.baseline),
        "nadir_percent": percent(history.nadir),
        "missing_targets": Decimal(state.missing),
        "target": target,
        "non_target": non_target,
    }


def size_of(target: Target, criterion: Criterion) -> Decimal | None:
    """Return what a target adds to the sum; None if it was not assessed."""
    if target.merged_into:
        return Decimal(0)
    if target.is_too_small:
        return criterion["too_small"]
    return None if target.parts is None else sum(target.parts, Decimal(0))


def state_of(visit: Visit, course: PatientCourse, criterion: Criterion) -> TargetState:
    """Return what a visit says of the targets together; one that it does not name is missing."""
    roles = {target.lesion: target.is_node for target in course.visits[0].targets}
    sizes = {t.lesion: size_of(t, criterion) for t in visit.targets}
    assessed = {name: size for name, size in sizes.items() if size is not None}
    return TargetState(
        total=sum(assessed.values(), Decimal(0)),
        missing=len(roles) - len(assessed),
        are_normal=all(
            size < criterion["normal_node"] if roles[name] else size == 0
            for name, size in assessed.items()
        ),
        count=len(roles),
    )


def target_response(
    state: TargetState, history: History, criterion: Criterion, chosen: Mapping[str, str]
) -> tuple[str, str]:
    """Judge the targets alone.

    Returns:
        Category and rule; ``NONE`` if there are no targets. Progression of those that were
        assessed outweighs those that were not.
    """
    if not state.count:
        return NONE, ""
    if has_grown(state.total, history.nadir, criterion, chosen):
        return PD, "target-progression"
    if state.missing:
        return NE, "target-missing"
    if state.are_normal:
        return CR, "all-gone"
    if is_reduced(state.total, history.baseline, criterion, chosen):
        return PR, "target-response"
    if chosen["response"] == "carried" and is_reduced(
        history.nadir, history.baseline, criterion, chosen
    ):
        return PR, "response-persists"
    return SD, "stable"


def has_grown(
    now: Decimal, nadir: Decimal, criterion: Criterion, chosen: Mapping[str, str]
) -> bool:
    """Return whether a sum rose from its nadir by what progression asks for."""
    increase = now - nadir
    part = criterion["progression_increase" + _variant(chosen)]
    return (
        increase > 0
        and increase >= part * nadir
        and increase >= criterion["progression_increase_absolute"]
    )


def is_reduced(
    now: Decimal, baseline: Decimal, criterion: Criterion, chosen: Mapping[str, str]
) -> bool:
    """Return whether a sum fell from baseline by what a partial response asks for."""
    return baseline > 0 and baseline - now >= (
        criterion["response_decrease" + _variant(chosen)] * baseline
    )


def _variant(chosen: Mapping[str, str]) -> str:
    return "_sphere" if chosen.get("thresholds") == "sphere" else ""


def non_target_response(visit: Visit, course: PatientCourse) -> str:
    """Judge all non-target lesions together; one that the visit does not name is not assessed."""
    expected = [other.lesion for other in course.visits[0].non_targets]
    if not expected:
        return NONE
    seen = {other.lesion: other.seen for other in visit.non_targets}
    states = [seen.get(name, Seen.NOT_ASSESSED) for name in expected]
    if Seen.PROGRESSION in states:
        return PD
    if any(state not in (Seen.ABSENT, Seen.NOT_ASSESSED) for state in states):
        return NON_CR_NON_PD
    return NE if Seen.NOT_ASSESSED in states else CR


def overall(target: str, non_target: str, *, has_new: bool) -> tuple[str, str]:
    """Return the response of one visit from its three parts (RECIST 1.1, tables 1 and 2).

    Args:
        target: ``CR``, ``PR``, ``SD``, ``PD``, ``NE``, or ``NONE`` without targets.
        non_target: ``CR``, ``NON-CR/NON-PD``, ``PD``, ``NE``, or ``NONE`` without such lesions.
        has_new: Whether there is a new lesion beyond doubt.

    Returns:
        Category and rule; the rule is ``target`` where the targets decide.
    """
    if has_new:
        return PD, "new-lesion"
    if target == PD:
        return PD, "target"
    if non_target == PD:
        return PD, "non-target-progression"
    if target == NONE:
        return {
            CR: (CR, "all-gone"),
            NON_CR_NON_PD: (NON_CR_NON_PD, "non-targets-remain"),
            NE: (NE, "non-targets-missing"),
            NONE: (NE, "no-disease"),
        }[non_target]
    if target == CR and non_target not in (CR, NONE):
        return PR, "targets-gone"
    return target, "target"


def certain_from(course: PatientCourse, *, back_dated: bool) -> dict[str, int]:
    """Return the visit from which on each new lesion is sure.

    Args:
        course: All visits.
        back_dated: Whether a lesion that proves to be one counts from when it was first seen.
    """
    seen: dict[str, int] = {}
    sure: dict[str, int] = {}
    found = ((n, lesion) for n, visit in enumerate(course.visits) for lesion in visit.new)
    for number, lesion in found:
        if lesion.is_present:
            seen.setdefault(lesion.lesion, number)
        if lesion.is_present and lesion.is_certain:
            sure.setdefault(lesion.lesion, number)
    return {name: seen[name] if back_dated else number for name, number in sure.items()}
