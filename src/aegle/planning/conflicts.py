"""Goals that no dose can meet together, because their structures overlap.

Of a structure A at least v_A % must receive d or more, so at most (100 - v_A) % of A may stay below
d. What A shares with B beyond that must receive d as well. B allows so much of itself to receive d;
if that is less, both goals cannot be met, whatever the beams. The test is exact for what it looks
at: a conflict that it finds is one, and two goals may still conflict where it finds none.
"""

from collections.abc import Iterable
from itertools import product

import numpy as np

from aegle.domain.plan import Goal, Metric
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.planning.dose_volume import MAXIMUM_DOSE_VOLUME_ML

ROUNDING_ML = 1e-9


def conflicts(structures: StructureSet, goals: Iterable[Goal]) -> tuple[Text, ...]:
    """Name each pair of goals that overlapping structures make impossible together.

    Args:
        structures: Those that goals refer to; others are passed over.
        goals: Lower limits on dose are held against upper ones.
    """
    known = [goal for goal in goals if goal.structure in structures]
    wanted = [goal for goal in known if goal.at_least is not None]
    limited = [goal for goal in known if goal.at_most is not None]
    found = (
        _conflict(one, structures[one.structure], other, structures[other.structure])
        for one, other in product(wanted, limited)
    )
    return tuple(text for text in found if text is not None)


def _conflict(wanted: Goal, one: Structure, limit: Goal, other: Structure) -> Text | None:
    needed = _needed(wanted, one)
    if needed is None or one.is_empty or other.is_empty:
        return None
    dose_gy, spared_ml = needed
    shared_ml = _shared_ml(one, other)
    forced_ml = shared_ml - spared_ml
    allowed_ml = _allowed_ml(limit, other, dose_gy)
    if allowed_ml is None or forced_ml <= allowed_ml + ROUNDING_ML:
        return None
    return Text(
        "The goals {wanted} of {one} and {limit} of {other} cannot both be met: they share "
        "{shared_ml:.2f} mL, of which at least {forced_ml:.2f} mL must receive {dose_gy:.1f} Gy, "
        "and {allowed_ml:.2f} mL may.",
        {
            "wanted": _words(wanted),
            "one": one.name,
            "limit": _words(limit),
            "other": other.name,
            "shared_ml": shared_ml,
            "forced_ml": forced_ml,
            "dose_gy": dose_gy,
            "allowed_ml": allowed_ml,
        },
    )


def _needed(goal: Goal, structure: Structure) -> tuple[float, float] | None:
    """Return a dose [Gy] and how much of the structure may receive less [mL]; None if none is."""
    assert goal.at_least is not None
    if goal.metric is Metric.DOSE_AT_VOLUME:
        assert goal.at is not None
        return goal.at_least, (1 - goal.at / 100) * structure.volume_ml
    if goal.metric is Metric.VOLUME_AT_DOSE:
        assert goal.at is not None
        return goal.at, (1 - goal.at_least / 100) * structure.volume_ml
    return None


def _allowed_ml(goal: Goal, structure: Structure, dose_gy: float) -> float | None:
    """Return how much of a structure may receive a dose [mL]; None if the goal allows all of it."""
    assert goal.at_most is not None
    volume_ml, limit = structure.volume_ml, goal.at_most
    if goal.metric is Metric.VOLUME_AT_DOSE:
        assert goal.at is not None
        return limit / 100 * volume_ml if goal.at <= dose_gy else None
    if limit >= dose_gy:
        return None
    if goal.metric is Metric.MAXIMUM_DOSE:
        return MAXIMUM_DOSE_VOLUME_ML
    if goal.metric is Metric.MEAN_DOSE:
        return limit / dose_gy * volume_ml
    assert goal.at is not None
    if goal.metric is Metric.DOSE_AT_VOLUME:
        # D_v is at most the limit where less than v % receive more; v % themselves are the border.
        return goal.at / 100 * volume_ml
    # (part · d^a)^(1/a) is the least gEUD with that part at d and nothing elsewhere, for a > 0.
    return float((limit / dose_gy) ** goal.at * volume_ml) if goal.at > 0 else None


def _shared_ml(one: Structure, other: Structure) -> float:
    """Return the volume that two structures of one grid share [mL]."""
    spans = []
    for a, b in zip(one.window, other.window, strict=True):
        low, high = max(a.start, b.start), min(a.stop, b.stop)
        if low >= high:
            return 0.0
        spans.append((low, high))
    both = [
        s.box[tuple(slice(lo - at, hi - at) for (lo, hi), at in zip(spans, s.start, strict=True))]
        for s in (one, other)
    ]
    return int(np.count_nonzero(both[0] & both[1])) * one.grid.voxel_volume_ml


def _words(goal: Goal) -> str:
    """Return a goal as physicists write it."""
    at = "" if goal.at is None else f"{goal.at:g}"
    name = {
        Metric.DOSE_AT_VOLUME: f"D{at}%",
        Metric.VOLUME_AT_DOSE: f"V{at}Gy",
        Metric.MEAN_DOSE: "Dmean",
        Metric.MAXIMUM_DOSE: "Dmax",
        Metric.EQUIVALENT_UNIFORM_DOSE: f"gEUD(a={at})",
    }[goal.metric]
    unit = "%" if goal.metric is Metric.VOLUME_AT_DOSE else "Gy"
    sign, limit = ("≥", goal.at_least) if goal.at_least is not None else ("≤", goal.at_most)
    return f"{name} {sign} {limit:g} {unit}"
