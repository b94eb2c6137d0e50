"""How probable each response is, by judging many courses that differ by measurement error.

Slower than ``probability``, which judges sums all at once, and good for every criterion: each draw
multiplies all sizes of a visit by one random factor and asks the criterion's own function. Lymph
nodes near their limits change sides as well.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import numpy as np

from aegle.response.criterion import Criterion, Judgement
from aegle.response.lugano import LymphomaVisit
from aegle.response.patient_course import PatientCourse, Visit
from aegle.response.percist import Uptake
from aegle.response.probability import (
    Probabilities,
    ProbabilityOptions,
    assumed,
    deviation_of,
    limits_of,
)

Examination = TypeVar("Examination")
FEW = ProbabilityOptions(draws=500)
"""Standard error at most 2.2 %."""


def sampled(
    visits: Sequence[Examination],
    judge: Callable[[Sequence[Examination]], Judgement],
    scaled: Callable[[Examination, Decimal], Examination],
    *,
    options: ProbabilityOptions,
) -> tuple[Probabilities, ...]:
    """Return how probable each response is at each visit after baseline.

    Args:
        visits: As they were seen, baseline first.
        judge: The criterion with its policies.
        scaled: Multiplies all sizes of a visit.
        options: Number of draws, seed and the error; that of the criterion by default.
    """
    seen = judge(visits)
    criterion = seen.criterion
    spread = deviation_of(*limits_of(criterion, options))
    generator = np.random.default_rng(options.seed)
    errors = np.exp(spread * generator.standard_normal((options.draws, len(visits))))
    counts = [Counter[str]() for _ in seen.verdicts]
    for row in errors:
        drawn = [scaled(v, _exact(factor)) for v, factor in zip(visits, row, strict=True)]
        for count, verdict in zip(counts, judge(drawn).verdicts, strict=True):
            count[verdict.category] += 1
    return tuple(
        _shares(verdict.visit, count, criterion, options)
        for verdict, count in zip(seen.verdicts, counts, strict=True)
    )


def _shares(
    visit: int, count: Counter[str], criterion: Criterion, options: ProbabilityOptions
) -> Probabilities:
    ordered = sorted(count.items(), key=lambda pair: (-pair[1], pair[0]))
    return Probabilities(
        visit=visit,
        by_category={name: number / options.draws for name, number in ordered},
        assumed=assumed(criterion, options),
    )


def _exact(factor: float) -> Decimal:
    return Decimal(f"{factor:.6f}")


def scaled_visit(visit: Visit, factor: Decimal) -> Visit:
    """Return a visit whose targets and new lesions measure more or less."""
    return replace(
        visit,
        targets=tuple(
            t if t.parts is None else replace(t, parts=tuple(factor * p for p in t.parts))
            for t in visit.targets
        ),
        new=tuple(n if n.size is None else replace(n, size=factor * n.size) for n in visit.new),
    )


def scaled_uptake(uptake: Uptake, factor: Decimal) -> Uptake:
    """Return a PET whose hottest lesion takes up more or less."""
    if uptake.sul_peak is None:
        return uptake
    return replace(uptake, sul_peak=factor * uptake.sul_peak)


def scaled_lymphoma_visit(visit: LymphomaVisit, factor: Decimal) -> LymphomaVisit:
    """Return a visit whose products of diameters are larger or smaller, both diameters alike."""
    root = factor.sqrt()
    return replace(
        visit,
        lesions=tuple(
            m
            if m.longest_cm is None or m.shortest_cm is None
            else replace(m, longest_cm=root * m.longest_cm, shortest_cm=root * m.shortest_cm)
            for m in visit.lesions
        ),
    )


def of_course(
    course: PatientCourse,
    judge: Callable[[PatientCourse], Judgement],
    *,
    options: ProbabilityOptions,
) -> tuple[Probabilities, ...]:
    """Return how probable each response of a course is."""

    def judge_visits(visits: Sequence[Visit]) -> Judgement:
        return judge(replace(course, visits=tuple(visits)))

    return sampled(course.visits, judge_visits, scaled_visit, options=options)
