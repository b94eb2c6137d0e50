"""How probable each response is, given that sizes are measured with error.

Two readers who measure the same tumour differ. The criterion's file says by how much: limits
between which 95 % of the changes lie where nothing changed. A change has the errors of two
measurements, so the logarithm of one size has the standard deviation

    s = ln((1 + high) / (1 + low)) / (2 · 1.96 · sqrt(2)).

Each draw moves every sum of the course by its own error and judges anew; what is not measured
(new and non-target lesions, lesions that are gone) stays as it was seen. The share of draws is the
probability, and its standard error is below 0.4 percentage points with 20,000 draws.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as options_dataclass

from aegle.domain.text import Text
from aegle.options import option
from aegle.response.criterion import Criterion, Judgement
from aegle.response.patient_course import PatientCourse
from aegle.response.sum_criteria import CR, NE, NONE, PD, PR, SD, overall, state_of

NORMAL_95 = 1.959963984540054


@options_dataclass(frozen=True, kw_only=True)
class ProbabilityOptions:
    """How the probability of each response is found."""

    draws: Annotated[
        int, option("Random draws", source="standard error below 0.4 %", ge=100, le=1_000_000)
    ] = 20_000
    seed: Annotated[int, option("Start of the random numbers", ge=0)] = 0
    low: Annotated[
        float | None,
        option(
            "Lower 95 % limit of a relative change by measurement alone; empty for the criterion's",
            source="criterion's file",
            gt=-1,
            lt=0,
        ),
    ] = None
    high: Annotated[
        float | None,
        option(
            "Upper 95 % limit of a relative change by measurement alone; empty for the criterion's",
            source="criterion's file",
            gt=0,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Probabilities:
    """How probable each response is at one visit."""

    visit: int
    by_category: Mapping[str, float]
    """Most probable first; they sum to 1."""
    assumed: Text
    """Which error was assumed."""

    def __str__(self) -> str:
        """Return the probabilities as they are read out: ``PD p=0.62, SD p=0.38``."""
        return ", ".join(f"{name} p={p:.2f}" for name, p in self.by_category.items())


def deviation_of(low: float, high: float) -> float:
    """Return the standard deviation of the logarithm of one measurement.

    Args:
        low: Lower 95 % limit of a relative change where nothing changed, for example -0.19.
        high: Upper limit, for example 0.20.
    """
    return math.log((1 + high) / (1 + low)) / (2 * NORMAL_95 * math.sqrt(2))


def probabilities(
    course: PatientCourse, judgement: Judgement, *, options: ProbabilityOptions
) -> tuple[Probabilities, ...]:
    """Return how probable each response is at each visit after baseline.

    Args:
        course: What was judged, by RECIST 1.1, mRECIST, RANO 2.0 or volumes.
        judgement: The verdicts, whose choices are kept.
        options: Number of draws, seed and the error; that of the criterion by default.

    Returns:
        One per verdict. A visit that something other than sizes decides (a new lesion, a failed
        alignment, a missing target) has its own category with probability 1 where no size could
        have changed it.
    """
    criterion = judgement.criterion
    states = [state_of(visit, course, criterion) for visit in course.visits]
    spread = deviation_of(*limits_of(criterion, options))
    generator = np.random.default_rng(options.seed)
    errors = np.exp(spread * generator.standard_normal((len(states), options.draws)))
    totals = np.array([float(state.total) for state in states])[:, None] * errors
    told = assumed(criterion, options)
    drawn = _Draws(totals, judgement, [s.missing > 0 for s in states])
    results = []
    for verdict in judgement.verdicts:
        counts = drawn.judge(verdict.visit)
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        shares = {name: count / options.draws for name, count in ordered}
        results.append(Probabilities(visit=verdict.visit, by_category=shares, assumed=told))
    return tuple(results)


def limits_of(criterion: Criterion, options: ProbabilityOptions) -> tuple[float, float]:
    """Return the 95 % limits of a relative change that are assumed."""
    low = float(criterion.error.low) if options.low is None else options.low
    high = float(criterion.error.high) if options.high is None else options.high
    return low, high


def assumed(criterion: Criterion, options: ProbabilityOptions) -> Text:
    """Return in words which error is assumed."""
    low, high = limits_of(criterion, options)
    is_own = options.low is options.high is None
    source = f"{criterion.error.meaning}, {criterion.error.source}" if is_own else "given"
    return Text(
        "Assumed: measurement alone changes a sum by {low:+.1f} to {high:+.1f} % in 95 of 100 "
        "cases ({source}); lesions that are new, gone or not measured are taken as they were seen.",
        {"low": 100 * low, "high": 100 * high, "source": source},
    )


class _Draws:
    """Judges every draw at once; the same rules as ``sum_criteria``, on arrays."""

    def __init__(
        self, totals: NDArray[np.float64], judgement: Judgement, missing: list[bool]
    ) -> None:
        self._totals, self._missing = totals, missing
        self._verdicts = {v.visit: v for v in judgement.verdicts}
        self._chosen, self._criterion = judgement.policies, judgement.criterion
        counted = [0]
        self._nadirs: dict[int, NDArray[np.float64]] = {}
        for visit, verdict in self._verdicts.items():
            self._nadirs[visit] = totals[counted].min(axis=0)
            if not missing[visit] and verdict.rule != "alignment":
                counted.append(visit)

    def judge(self, visit: int) -> Counter[str]:
        """Return how many draws give each category at one visit."""
        verdict = self._verdicts[visit]
        target, others = str(verdict.facts["target"]), str(verdict.facts["non_target"])
        draws = self._totals.shape[1]
        if target == NONE or verdict.rule in _NOT_BY_SIZE:
            return Counter({verdict.category: draws})
        has_new = bool(verdict.facts["new_lesions"])
        counts: Counter[str] = Counter()
        for state, share in self._targets(visit, target).items():
            category, _ = overall(state, others, has_new=has_new)
            counts[category] += share
        return counts

    def _targets(self, visit: int, target: str) -> Counter[str]:
        now, nadir, baseline = self._totals[visit], self._nadirs[visit], self._totals[0]
        rules = self._criterion
        variant = "_sphere" if self._chosen.get("thresholds") == "sphere" else ""
        more = float(rules[f"progression_increase{variant}"])
        more_absolute = float(rules["progression_increase_absolute"])
        less = float(rules[f"response_decrease{variant}"])
        increase = now - nadir
        grew = (increase > 0) & (increase >= more * nadir) & (increase >= more_absolute)
        lowest = np.minimum(now, nadir) if self._chosen["response"] == "carried" else now
        fell = (baseline - lowest >= less * baseline) & (baseline > 0)
        counts = Counter({PD: int(grew.sum())})
        if self._missing[visit]:
            counts[NE] = int((~grew).sum())
        elif target == CR:
            counts[CR] = int((~grew).sum())
        else:
            counts[PR] = int((fell & ~grew).sum())
            counts[SD] = int((~fell & ~grew).sum())
        return +counts


_NOT_BY_SIZE = {"alignment", "reappearance", "after-progression", "clinical-decline"}
