"""The answers a reader wants first, on one screen."""

from aegle.domain.case import CaseResults
from aegle.domain.plan import Plan
from aegle.report.blocks import Tile, Tone
from aegle.report.find import findings_of
from aegle.report.follow import RESPONSE_TONES, response_words, visit_label
from aegle.report.language import Words, clean
from aegle.report.plan_words import warnings_of, weighted
from aegle.report.suggest import category_words, tone_of, worst


def tiles(results: CaseResults, words: Words) -> tuple[Tile, ...]:
    """Return the summary: response, worst category, plan, place in the queue, what is missing."""
    return (
        _response(results, words),
        _category(results, words),
        plan_tile(results, words),
        _position(results, words),
        _missing(results, words),
    )


def _response(results: CaseResults, words: Words) -> Tile:
    title = words("Response now")
    follow_up = results.following.follow_up
    if follow_up is None or not follow_up.responses:
        reason = words.text(results.following.reason)
        return Tile(
            title=title, value=words("none"), details=(reason,) if reason else (), anchor="follow"
        )
    now = follow_up.responses[-1]
    return Tile(
        title=title,
        value=response_words(now.category, words),
        details=(
            visit_label(results, now.visit, words),
            words(
                "sum {sum} mm; baseline {baseline} mm; nadir {nadir} mm",
                sum=f"{now.sum_mm:.1f}",
                baseline=f"{now.baseline_mm:.1f}",
                nadir=f"{now.nadir_mm:.1f}",
            ),
        ),
        tone=RESPONSE_TONES[now.category],
        anchor="follow",
    )


def _category(results: CaseResults, words: Words) -> Tile:
    title = words("Most serious category")
    found = worst(results)
    if found is None:
        return Tile(
            title=title,
            value=words("none"),
            details=(words("No rule applies to these examinations."),),
            anchor="suggest",
        )
    visit, suggestion = found
    details = [clean(words.name(suggestion.rule)), visit_label(results, visit, words)]
    if suggestion.next_step is not None:
        details.append(words.text(suggestion.next_step))
    return Tile(
        title=title,
        value=category_words(suggestion, words),
        details=tuple(details),
        tone=tone_of(suggestion),
        anchor="suggest",
    )


def plan_tile(results: CaseResults, words: Words) -> Tile:
    """Return how many goals the plan meets, and what it warns of."""
    plan = results.planning.plan
    if plan is None:
        reason = words.text(results.planning.reason)
        return Tile(
            title=words("Plan"),
            value=words("none"),
            details=(reason,) if reason else (),
            anchor="plan",
        )
    return goal_tile(plan, words)


def goal_tile(plan: Plan, words: Words, *, title: str = "", anchor: str = "plan") -> Tile:
    """Return how many goals a plan meets, and what it warns of."""
    dose = words(
        "{dose} Gy in {fractions} fractions to {target}",
        dose=f"{plan.prescription.dose_gy:g}",
        fractions=plan.prescription.fractions,
        target=clean(words.name(plan.prescription.target)),
    )
    asked = weighted(dose, plan)
    failed = [clean(words.name(g.goal.structure)) for g in plan.goals if not g.is_met]
    missed = words("Not met: {names}", names=", ".join(dict.fromkeys(failed)))
    return Tile(
        title=title or words("Plan"),
        value=_goals_words(plan, words),
        details=(asked, missed) if failed else (asked,),
        tone=Tone.WARN if failed or warnings_of(plan) or not plan.goals else Tone.GOOD,
        anchor=anchor,
    )


def _goals_words(plan: Plan, words: Words) -> str:
    met, asked = sum(goal.is_met for goal in plan.goals), len(plan.goals)
    warnings = len(warnings_of(plan))
    if warnings == 0:
        return words("{met} of {asked} goals met", met=met, asked=asked)
    if warnings == 1:
        return words("{met} of {asked} goals met, 1 warning", met=met, asked=asked)
    return words(
        "{met} of {asked} goals met, {count} warnings", met=met, asked=asked, count=warnings
    )


def _position(results: CaseResults, words: Words) -> Tile:
    title = words("Place in the reading order")
    visits = {visit.study_uid: n for n, visit in enumerate(results.examinations.visits)}
    items = [item for item in results.worklist.items if item.study_uid in visits]
    if not items:
        return Tile(title=title, value=words("none"), anchor="worklist")
    latest = max(items, key=lambda item: visits[item.study_uid])
    return Tile(
        title=title,
        value=words(
            "{position} of {count}", position=latest.position, count=len(results.worklist.items)
        ),
        details=(words.day(latest.time), words.text(latest.reason)),
        anchor="worklist",
    )


def _missing(results: CaseResults, words: Words) -> Tile:
    gaps = _gaps(results, words)
    return Tile(
        title=words("What is missing"),
        value=words("{count} points", count=len(gaps)) if gaps else words("nothing"),
        details=tuple(gaps),
        tone=Tone.WARN if gaps else Tone.GOOD,
        anchor="limits",
    )


def _gaps(results: CaseResults, words: Words) -> list[str]:
    gaps = []
    for number in range(len(results.examinations.visits)):
        findings = findings_of(results, number)
        if not findings.organs and not findings.lesions:
            label = words("Visit {number}", number=number + 1)
            gaps.append(words("{visit}: nothing was delineated.", visit=label))
    if results.planning.plan is None:
        gaps.append(words("No treatment plan."))
    if results.following.follow_up is None:
        gaps.append(words("No follow-up."))
    if worst(results) is None:
        gaps.append(words("No rule gave a category."))
    return gaps
