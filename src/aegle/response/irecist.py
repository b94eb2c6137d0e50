"""iRECIST: progression is unconfirmed until a later examination shows more of it.

Sources:
    Seymour L et al. Lancet Oncol 2017;18:e143-e152, tables 1 to 3,
        doi:10.1016/S1470-2045(17)30074-8.
    EORTC, iRECIST clarifications (recist.eortc.org/irecist): a new lesion that does not change,
        beside a tumour that does not change, stays unconfirmed progression (scenario F).

The response of the lesions known at baseline is that of RECIST 1.1. Visits that cannot be judged
and examinations sooner than four weeks after progression leave no trace in nadir or bar.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from aegle.domain.text import Text
from aegle.response.criterion import Criterion, JudgedVisit, Judgement, is_within_error, load
from aegle.response.measurability import notes_on
from aegle.response.patient_course import NewLesion, PatientCourse, Seen, Visit
from aegle.response.sum_criteria import (
    CR,
    NE,
    NON_CR_NON_PD,
    PD,
    PR,
    SD,
    History,
    TargetState,
    certain_from,
    non_target_response,
    state_of,
    target_response,
)
from aegle.response.sum_criteria import (
    overall as known_overall,
)

ICR, IPR, ISD, IUPD, ICPD = "iCR", "iPR", "iSD", "iUPD", "iCPD"
NON_ICR_NON_IUPD = "NON-iCR/NON-iUPD"
IMMUNE = {CR: ICR, PR: IPR, SD: ISD, NON_CR_NON_PD: NON_ICR_NON_IUPD, NE: NE}
RANK = (PD, NON_CR_NON_PD, SD, PR, CR)
TARGET, OTHER, NEW = "target", "non-target", "new"


@dataclass(frozen=True, kw_only=True)
class _Findings:
    """What one visit shows."""

    day: int
    state: TargetState
    target: str
    non_target: str
    known: str
    """Response of the lesions of baseline."""
    new_sum: Decimal
    new_missing: bool
    """Whether a new lesion seen before was not assessed now."""
    new_gone: bool
    appeared: frozenset[str]
    """New lesions that no counted visit showed."""
    new_grew: bool
    """Whether a new lesion that is not measured grew."""
    others_grew: bool
    kinds: frozenset[str]
    """Which kinds of lesions progress."""


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """What counted visits leave behind."""

    history: History
    new: frozenset[str] = frozenset()
    new_nadir: Decimal | None = None
    bar: _Findings | None = None
    """The visit whose progression waits for confirmation."""
    is_confirmed: bool = False


def judge(course: PatientCourse, *, policies: Mapping[str, str] | None = None) -> Judgement:
    """Judge every visit after baseline by iRECIST.

    Args:
        course: All lesions at every visit [mm]; new lesions with a size are measured.
        policies: Choices that differ from the defaults; see ``criteria/irecist.toml``.

    Returns:
        One verdict per later visit: iCR, iPR, iSD, NON-iCR/NON-iUPD, iUPD, iCPD or NE.

    Raises:
        OptionError: There is no such policy or choice.
    """
    criterion = load("irecist")
    chosen = criterion.choose(policies)
    certain = certain_from(course, back_dated=chosen["equivocal"] == "back-dated")
    first = state_of(course.visits[0], course, criterion)
    memory = _Memory(history=History(baseline=first.total, nadir=first.total))
    verdicts = []
    for number in range(1, len(course.visits)):
        new = tuple(n for n in course.visits[number].new if certain.get(n.lesion, 9**9) <= number)
        found = _findings(course, number, new, memory, criterion, chosen)
        category, rule = _response(found, memory, criterion, chosen)
        if not course.visits[number].is_comparable:
            category, rule = NE, "not-evaluable"
        verdicts.append(
            JudgedVisit(
                visit=number,
                category=category,
                rule=rule,
                reason=Text(criterion.rules[rule].text),
                facts=_facts(found, memory, criterion),
                is_within_error=_within(found, memory, criterion, category),
            )
        )
        memory = _remember(memory, found, category, rule)
    return Judgement(
        criterion=criterion,
        policies=chosen,
        verdicts=tuple(verdicts),
        notes=notes_on(criterion, course),
    )


def overall(target: str, non_target: str, *, has_new: bool) -> str:
    """Return the response of one visit from the immune responses of its parts (table 2).

    Args:
        target: iCR, iPR, iSD, iUPD, iCPD, NE, or ``NONE`` without targets.
        non_target: iCR, NON-iCR/NON-iUPD, iUPD, iCPD, NE, or ``NONE``.
        has_new: Whether there is a new lesion beyond doubt that was not there before.
    """
    if ICPD in (target, non_target):
        return ICPD
    if has_new or IUPD in (target, non_target):
        return IUPD
    back = {immune: name for name, immune in IMMUNE.items()}
    known, _ = known_overall(
        back.get(target, target), back.get(non_target, non_target), has_new=False
    )
    return IMMUNE[known]


def _findings(
    course: PatientCourse,
    number: int,
    new: tuple[NewLesion, ...],
    memory: _Memory,
    criterion: Criterion,
    chosen: Mapping[str, str],
) -> _Findings:
    visit = course.visits[number]
    state = state_of(visit, course, criterion)
    target, _ = target_response(state, memory.history, criterion, chosen)
    non_target = non_target_response(visit, course)
    known, _ = known_overall(target, non_target, has_new=False)
    kinds = {TARGET} if target == PD else set()
    kinds |= {OTHER} if non_target == PD else set()
    if memory.history.was_complete and chosen["reappearance"] == "any":
        kinds |= {TARGET} if state.count and not state.are_normal else set()
        kinds |= {OTHER} if non_target == NON_CR_NON_PD else set()
        known = PD if kinds else known
    new_sum = sum((n.size for n in new if n.size is not None), Decimal(0))
    missing = _is_missing(new, memory.new)
    grew = any(n.seen in (Seen.INCREASED, Seen.PROGRESSION) for n in new)
    appeared = frozenset(n.lesion for n in new if n.is_present) - memory.new
    if appeared or grew or (not missing and _sum_grew(new_sum, memory.new_nadir, criterion)):
        kinds |= {NEW}
    return _Findings(
        day=visit.day,
        state=state,
        target=target,
        non_target=non_target,
        known=known,
        new_sum=new_sum,
        new_missing=missing,
        new_gone=bool(memory.new) and not missing and all(n.is_gone for n in new),
        appeared=appeared,
        new_grew=grew and not appeared,
        others_grew=_others_grew(visit),
        kinds=frozenset(kinds),
    )


def _others_grew(visit: Visit) -> bool:
    return any(other.seen is Seen.INCREASED for other in visit.non_targets)


def _is_missing(new: tuple[NewLesion, ...], seen_before: frozenset[str]) -> bool:
    named = {n.lesion for n in new if n.seen is not Seen.NOT_ASSESSED}
    return bool(seen_before - named)


def _sum_grew(now: Decimal, nadir: Decimal | None, criterion: Criterion) -> bool:
    if nadir is None:
        return False
    increase = now - nadir
    return (
        increase >= criterion["progression_increase_absolute"]
        and increase >= criterion["progression_increase"] * nadir
    )


def _response(
    found: _Findings, memory: _Memory, criterion: Criterion, chosen: Mapping[str, str]
) -> tuple[str, str]:
    if memory.is_confirmed and chosen["after_progression"] == "carried":
        return ICPD, "confirmed-before"
    if memory.bar is None:
        if found.kinds:
            return IUPD, "first-progression"
        return _unprogressed(found, memory, "no-progression")
    is_early = found.day - memory.bar.day < criterion["confirmation_days"]
    if is_early and chosen["early_scan"] == "ignored":
        return IUPD, "too-early"
    if rule := _confirmation(found, memory, memory.bar, criterion):
        return ICPD, rule
    if found.known == NE or found.new_missing:
        return _unprogressed(found, memory, "bar-reset")
    if _is_better(found, memory.bar, criterion):
        return _unprogressed(found, memory, "bar-reset")
    return IUPD, "no-change"


def _unprogressed(found: _Findings, memory: _Memory, rule: str) -> tuple[str, str]:
    if found.known == NE:
        return NE, "not-evaluable"
    if found.new_missing:
        return NE, "new-not-assessed"
    if found.known == CR and memory.new and not found.new_gone:
        return IPR, rule
    return IMMUNE[found.known], rule


def _confirmation(
    found: _Findings, memory: _Memory, bar: _Findings, criterion: Criterion
) -> str | None:
    """Return the rule by which progression is confirmed, if one does."""
    least = criterion["further_increase"]
    target_growth = found.state.total - bar.state.total
    new_growth = found.new_sum - bar.new_sum
    if TARGET in bar.kinds and target_growth >= least and not bar.state.missing:
        return "further-target-growth"
    if OTHER in bar.kinds and found.others_grew:
        return "further-non-target-growth"
    if found.appeared - memory.new:
        return "more-new-lesions"
    if NEW in bar.kinds and (found.new_grew or (not found.new_missing and new_growth >= least)):
        return "further-new-growth"
    return "new-category" if found.kinds - bar.kinds else None


def _is_better(found: _Findings, bar: _Findings, criterion: Criterion) -> bool:
    """Return whether the tumour improved since the progression that waits."""
    if found.known in (PD, NE) or found.kinds:
        return False
    if NEW not in bar.kinds or found.new_gone or bar.known in (PD, NE):
        return True
    gained = RANK.index(found.known) - RANK.index(bar.known)
    least = criterion["further_increase"]
    shrank = bar.state.total - found.state.total >= least or bar.new_sum - found.new_sum >= least
    return gained > 0 or (gained == 0 and shrank)


def _remember(memory: _Memory, found: _Findings, category: str, rule: str) -> _Memory:
    if category == NE or rule == "too-early":
        return memory
    history = memory.history
    new = memory.new | found.appeared
    has_size = bool(new) and not found.new_missing
    nadir = found.new_sum if memory.new_nadir is None else min(memory.new_nadir, found.new_sum)
    bars = {"first-progression": found, "no-progression": None, "bar-reset": None}
    return replace(
        memory,
        history=replace(
            history,
            nadir=history.nadir if found.state.missing else min(history.nadir, found.state.total),
            was_complete=history.was_complete or category == ICR,
        ),
        new=new,
        new_nadir=nadir if has_size else memory.new_nadir,
        bar=bars.get(rule, memory.bar),
        is_confirmed=memory.is_confirmed or category == ICPD,
    )


def _facts(
    found: _Findings, memory: _Memory, criterion: Criterion
) -> dict[str, Decimal | str | None]:
    days = None if memory.bar is None else Decimal(found.day - memory.bar.day)
    is_late = days is not None and days > criterion["latest_confirmation_days"]
    return {
        "sum": found.state.total,
        "baseline": memory.history.baseline,
        "nadir": memory.history.nadir,
        "new_sum": found.new_sum,
        "sum_at_progression": None if memory.bar is None else memory.bar.state.total,
        "days_since_progression": days,
        "is_late": "yes" if is_late else "",
        "target": found.target,
        "non_target": found.non_target,
        "progressing": ", ".join(sorted(found.kinds)),
    }


def _within(found: _Findings, memory: _Memory, criterion: Criterion, category: str) -> bool | None:
    if not found.state.count or found.state.missing:
        return None
    history = memory.history
    against = history.nadir if category in (IUPD, ICPD) else history.baseline
    return is_within_error(found.state.total, against, criterion.error)
