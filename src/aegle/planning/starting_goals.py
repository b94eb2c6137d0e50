"""Goals to start from: what earlier patients make likely, as limits for the optimiser.

They say what was achieved for patients who are built alike, not what is tolerated. Published
limits stay as they are, and a starting goal is added only where it asks for more.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.domain.plan import PRIORITIES, Goal, Metric, Prescription
from aegle.options import option
from aegle.planning.dose_volume import MAXIMUM_DOSE_VOLUME_ML
from aegle.planning.expected_dose import Expectation, Expected, ExpectedCurve

COVERED_PERCENT, NEAR_MAXIMUM_PERCENT = 95.0, 2.0
"""D_95 of a target is to be reached, its near-maximum D_2 (ICRU Report 83) not to be passed."""

Volume = Annotated[float, option("Part of an organ", unit="%", gt=0, lt=100)]


@dataclass(frozen=True, kw_only=True)
class StartingGoalOptions:
    """How much is asked."""

    aim: Annotated[
        Literal["demanding", "expected", "lenient"],
        option(
            "What organs are asked: the better end of the interval, its middle or its worse end"
        ),
    ] = "expected"
    volumes_percent: Annotated[
        tuple[Volume, ...], option("Parts of an organ whose D_v are limited", unit="%")
    ] = (20.0, 50.0)
    least_gy: Annotated[
        float, option("Limits of organs are not set lower than this", unit="Gy", gt=0)
    ] = 1.0
    priority: Annotated[
        int, option("Priority of the goals", ge=PRIORITIES[0], le=PRIORITIES[-1])
    ] = 2


def starting_goals(expectation: Expectation, *, options: StartingGoalOptions) -> tuple[Goal, ...]:
    """Return limits on mean, maximum and D_v of organs, and on D_95 and D_2 of targets.

    Args:
        expectation: What earlier patients make likely
            (:func:`aegle.planning.expected_dose.expect`).
        options: How much is asked.

    Returns:
        Goals under the structures' names as delineated; each goal's source names the number of
        earlier patients and the interval.
    """
    found: list[Goal] = []
    for curve in expectation.curves:
        found += _of_target(curve, options) if curve.is_target else _of_organ(curve, options)
    return tuple(found)


def with_starting_goals(prescription: Prescription, goals: Iterable[Goal]) -> Prescription:
    """Add those goals that ask for more than the prescription's own of the same quantity."""
    added = [
        goal for goal in goals if not any(_is_covered(goal, own) for own in prescription.goals)
    ]
    return replace(prescription, goals=(*prescription.goals, *added))


def _of_organ(curve: ExpectedCurve, options: StartingGoalOptions) -> list[Goal]:
    asked = [
        (Metric.MAXIMUM_DOSE, None, curve.at_volume_ml(MAXIMUM_DOSE_VOLUME_ML)),
        (Metric.MEAN_DOSE, None, curve.mean),
        *((Metric.DOSE_AT_VOLUME, v, curve.at(v)) for v in options.volumes_percent),
    ]
    return [
        Goal(
            structure=curve.structure,
            metric=metric,
            at=at,
            at_most=max(options.least_gy, _asked_gy(expected, options.aim)),
            source=_source(curve, expected),
            priority=options.priority,
        )
        for metric, at, expected in asked
    ]


def _of_target(curve: ExpectedCurve, options: StartingGoalOptions) -> list[Goal]:
    # The ends of two intervals may contradict each other; what is expected cannot.
    covered, highest = curve.at(COVERED_PERCENT), curve.at(NEAR_MAXIMUM_PERCENT)
    limits = (
        (COVERED_PERCENT, covered, covered.dose_gy, None),
        (NEAR_MAXIMUM_PERCENT, highest, None, highest.dose_gy),
    )
    return [
        Goal(
            structure=curve.structure,
            metric=Metric.DOSE_AT_VOLUME,
            at=at,
            source=_source(curve, expected),
            priority=options.priority,
            at_least=least_gy,
            at_most=most_gy,
        )
        for at, expected, least_gy, most_gy in limits
    ]


def _asked_gy(expected: Expected, aim: str) -> float:
    found = {
        "demanding": expected.low_gy,
        "expected": expected.dose_gy,
        "lenient": expected.high_gy,
    }
    return found[aim]


def _source(curve: ExpectedCurve, expected: Expected) -> str:
    return (
        f"{curve.patients} earlier patients: {expected.dose_gy:.1f} Gy "
        f"({curve.interval_percent:.0f} % between {expected.low_gy:.1f} and "
        f"{expected.high_gy:.1f} Gy)"
    )


def _is_covered(goal: Goal, own: Goal) -> bool:
    """Return whether a goal asks for no more than another one of the same quantity."""
    if (goal.structure, goal.metric, goal.at) != (own.structure, own.metric, own.at):
        return False
    if goal.at_most is not None:
        return own.at_most is not None and own.at_most <= goal.at_most
    assert goal.at_least is not None
    return own.at_least is not None and own.at_least >= goal.at_least
