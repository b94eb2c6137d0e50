"""A cohort: best change of every patient, time to progression, and what it depends on.

Sources:
    Kaplan EL, Meier P. J Am Stat Assoc 1958;53:457-481; Cox DR. J R Stat Soc B 1972;34:187-220;
        both by lifelines (Davidson-Pilon C. J Open Source Softw 2019;4:1317).
    Time to progression counts from baseline to the first visit with progression; without one the
        patient is censored at the last visit that could be judged.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from aegle.domain.errors import InputError
from aegle.evaluation.drawing import COLOURS, INK, Picture, chart, finish, picture_of
from aegle.response.best_overall import (
    BestResponseOptions,
    TimedResponse,
    best_immune_response,
    best_response,
)
from aegle.response.criterion import Judgement
from aegle.response.patient_course import PatientCourse

CATEGORY_COLOURS = {
    "CR": COLOURS[2],
    "PR": COLOURS[5],
    "SD": COLOURS[4],
    "NON-CR/NON-PD": COLOURS[4],
    "PD": COLOURS[1],
    "NE": COLOURS[7],
}
MANY = 60
"""Patients from which on a chart does not name each."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one patient."""

    patient: str
    best: str
    """Best overall response."""
    best_percent: float | None
    """Largest decrease of the sum from baseline, or smallest increase; None without targets."""
    days: int
    """From baseline to progression or to the last visit that could be judged."""
    progressed: bool


@dataclass(frozen=True, kw_only=True)
class SurvivalCurve:
    """A Kaplan-Meier estimate."""

    name: str
    days: tuple[float, ...]
    surviving: tuple[float, ...]
    low: tuple[float, ...]
    """Lower 95 % limit."""
    high: tuple[float, ...]
    median_days: float
    """Infinite if fewer than half had the event."""
    at_risk: int
    events: int


@dataclass(frozen=True, kw_only=True)
class HazardRatio:
    """What one covariate does to the hazard, the others held."""

    covariate: str
    ratio: float
    low: float
    """Lower 95 % limit."""
    high: float
    p_value: float


def outcome_of(
    course: PatientCourse, judgement: Judgement, *, options: BestResponseOptions
) -> Outcome:
    """Return the outcome of one patient."""
    start = course.visits[0].day
    timed = [
        TimedResponse(day=course.visits[v.visit].day - start, category=v.category)
        for v in judgement.verdicts
    ]
    ends = [t.day for t in timed if t.category in ("PD", "iCPD")]
    judged = [t.day for t in timed if t.category != "NE"]
    is_immune = judgement.criterion.id == "irecist"
    categories = [t.category for t in timed]
    best = (
        best_immune_response(categories)
        if is_immune
        else best_response(timed, options=options).category
    )
    return Outcome(
        patient=course.patient,
        best=best,
        best_percent=_best_percent(judgement),
        days=ends[0] if ends else max(judged, default=0),
        progressed=bool(ends),
    )


def _best_percent(judgement: Judgement) -> float | None:
    percents = []
    for verdict in judgement.verdicts:
        total, start = verdict.facts["sum"], verdict.facts["baseline"]
        is_whole = not verdict.facts.get("missing_targets") and verdict.category != "NE"
        if is_whole and isinstance(total, Decimal) and isinstance(start, Decimal) and start:
            percents.append(float(100 * (total - start) / start))
        if verdict.category in ("PD", "iCPD"):
            break
    return min(percents, default=None)


def waterfall(
    outcomes: Sequence[Outcome], *, limits_percent: tuple[float, float] = (-30.0, 20.0)
) -> Picture:
    """Return the best change of every patient, the largest increase first.

    Args:
        outcomes: Of all patients; those without a change of size are left out.
        limits_percent: Changes that make a response and progression, drawn as lines.

    Raises:
        InputError: No patient has a change of size.
    """
    shown = sorted(
        (o for o in outcomes if o.best_percent is not None),
        key=lambda o: (-(o.best_percent or 0.0), o.patient),
    )
    if not shown:
        raise InputError("No patient has a change of size; a waterfall needs measured targets.")
    figure, axes = chart(max(5.2, min(14.0, 1.5 + 0.22 * len(shown))), 4.0)
    places = np.arange(len(shown))
    heights = [o.best_percent or 0.0 for o in shown]
    colours = [CATEGORY_COLOURS.get(o.best.removeprefix("i"), COLOURS[7]) for o in shown]
    axes.bar(places, heights, color=colours, width=0.8)
    for level in limits_percent:
        axes.axhline(level, color=INK, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=INK, linewidth=0.8)
    finish(axes, "Patients", "Best change of the sum from baseline [%]")
    axes.set_xticks(places if len(shown) <= MANY else [])
    if len(shown) <= MANY:
        labels = axes.set_xticklabels([o.patient for o in shown], rotation=90, fontsize=7)
        for label in labels:
            label.set_parse_math(False)
    names = list(dict.fromkeys(o.best for o in shown))
    for name in names:
        axes.bar(0, 0, color=CATEGORY_COLOURS.get(name.removeprefix("i"), COLOURS[7]), label=name)
    axes.legend(loc="lower left", fontsize=8.5, title="Best response")
    alt = "; ".join(f"{o.patient} {o.best_percent:+.0f} % {o.best}" for o in shown[:MANY])
    return picture_of(figure, f"Waterfall plot of {len(shown)} patients: {alt}.")


def kaplan_meier(
    days: Sequence[float], events: Sequence[bool], *, name: str = "all"
) -> SurvivalCurve:
    """Return the share of patients without the event over time.

    Args:
        days: Of each patient, to the event or to the end of observation.
        events: Whether the event came.
        name: Of the group.

    Raises:
        InputError: There is nobody, or a time is negative.
    """
    _check_times(days, events)
    fitter = _lifelines().KaplanMeierFitter().fit(list(days), [int(e) for e in events])
    limits = fitter.confidence_interval_survival_function_
    return SurvivalCurve(
        name=name,
        days=tuple(float(t) for t in fitter.survival_function_.index),
        surviving=tuple(float(s) for s in fitter.survival_function_.iloc[:, 0]),
        low=tuple(float(s) for s in limits.iloc[:, 0]),
        high=tuple(float(s) for s in limits.iloc[:, 1]),
        median_days=float(fitter.median_survival_time_),
        at_risk=len(days),
        events=sum(map(bool, events)),
    )


def survival_picture(curves: Sequence[SurvivalCurve], what: str) -> Picture:
    """Return Kaplan-Meier curves with their 95 % limits.

    Args:
        curves: One per group.
        what: What the share is free of, for example ``progression``.
    """
    figure, axes = chart(5.6, 4.2)
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        label = f"{curve.name} (n={curve.at_risk}, {curve.events} events)"
        axes.step(curve.days, curve.surviving, where="post", color=colour, label=label)
        axes.fill_between(curve.days, curve.low, curve.high, step="post", color=colour, alpha=0.15)
    axes.set_ylim(0, 1.02)
    finish(axes, "Days since baseline", f"Share without {what}")
    for text in axes.legend(loc="best", fontsize=8.5).get_texts():
        text.set_parse_math(False)
    medians = "; ".join(f"{c.name}: median {c.median_days:g} days" for c in curves)
    return picture_of(figure, f"Kaplan-Meier curve of the share without {what}. {medians}.")


def cox(
    days: Sequence[float], events: Sequence[bool], covariates: Mapping[str, Sequence[float]]
) -> tuple[HazardRatio, ...]:
    """Return the hazard ratio of each covariate (Efron's treatment of ties).

    Args:
        days: Of each patient, to the event or to the end of observation.
        events: Whether the event came.
        covariates: Values of each patient, by name; groups as 0 and 1.

    Raises:
        InputError: Lengths differ, there is no event, or a covariate does not vary.
    """
    _check_times(days, events)
    if not any(events):
        raise InputError("Nobody had the event; a Cox model needs some who had.")
    for covariate, values in covariates.items():
        if len(values) != len(days):
            raise InputError(f"'{covariate}' has {len(values)} values for {len(days)} patients.")
        if not np.all(np.isfinite(values)) or len(set(values)) < 2:
            raise InputError(f"'{covariate}' does not vary or is not a number for all patients.")
    if not covariates:
        raise InputError("A Cox model needs at least one covariate.")
    lifelines = _lifelines()
    import pandas

    table = pandas.DataFrame(
        {**{k: list(map(float, v)) for k, v in covariates.items()}}
        | {"_days": list(days), "_event": [int(e) for e in events]}
    )
    with warnings.catch_warnings():
        # lifelines 0.30 passes to pandas 3 by place what pandas 4 wants by name.
        warnings.filterwarnings("ignore", message="Starting with pandas version 4")
        summary: Any = lifelines.CoxPHFitter().fit(table, "_days", "_event").summary
    return tuple(
        HazardRatio(
            covariate=str(name),
            ratio=float(row["exp(coef)"]),
            low=float(row["exp(coef) lower 95%"]),
            high=float(row["exp(coef) upper 95%"]),
            p_value=float(row["p"]),
        )
        for name, row in summary.iterrows()
    )


def _lifelines() -> Any:
    """Import lifelines only where it is used: it brings pandas."""
    try:
        import lifelines
    except ModuleNotFoundError as error:
        raise InputError("lifelines is not installed; pip install lifelines.") from error
    return lifelines


def _check_times(days: Sequence[float], events: Sequence[bool]) -> None:
    if not days or len(days) != len(events):
        raise InputError(f"{len(days)} times and {len(events)} events; give one each per patient.")
    if not all(np.isfinite(d) and d >= 0 for d in days):
        raise InputError("A time is negative or no number; give days since baseline.")
