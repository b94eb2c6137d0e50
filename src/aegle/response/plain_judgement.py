"""Judgements as plain data: what JSON, tables and the command line show."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from aegle.response import irecist, sum_criteria
from aegle.response.best_overall import best_immune_response, immune_progression_index
from aegle.response.criterion import Judgement
from aegle.response.patient_course import PatientCourse
from aegle.response.probability import Probabilities, ProbabilityOptions, probabilities
from aegle.response.probability_by_judging import FEW, of_course

Facts = Mapping[str, Any]
Policies = Mapping[str, str]
Question = Callable[[str, Facts, Policies], dict[str, Any]]
"""Answers one form of question: criterion, facts, choices."""
Questions = list[tuple[set[str], Question]]
"""Which keys make which question."""


def plain(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as plain data."""
    criterion = judgement.criterion
    return {
        "criterion": criterion.id,
        "version": criterion.version,
        "policies": dict(judgement.policies),
        "visits": [
            {
                "visit": v.visit,
                "category": v.category,
                "rule": v.rule,
                "source": criterion.rules[v.rule].source,
                "reason": str(v.reason),
                "within_measurement_error": v.is_within_error,
                **{k: _number(value) for k, value in v.facts.items()},
            }
            for v in judgement.verdicts
        ],
        "notes": [str(note) for note in judgement.notes],
        "unit": criterion.unit,
    }


def _number(value: Decimal | str | None) -> float | str | None:
    return float(value) if isinstance(value, Decimal) else value


def judged(course: PatientCourse, subject: str, policies: Policies) -> dict[str, Any]:
    """Return a course's judgement as plain data, with probabilities where sums are judged."""
    if subject == "irecist":
        judgement = irecist.judge(course, policies=policies)
        found = list(judgement.categories)
        data = plain(judgement)
        chances = of_course(
            course, lambda drawn: irecist.judge(drawn, policies=policies), options=FEW
        )
        return with_chances(data, chances) | {
            "expected": found,
            "ibor": best_immune_response(found),
            "pd_index": immune_progression_index(found),
        }
    judgement = sum_criteria.judge(course, subject, policies=policies)
    data = plain(judgement)
    chances = probabilities(course, judgement, options=ProbabilityOptions())
    return with_chances(data, chances) | {"expected": list(judgement.categories)}


def with_chances(data: dict[str, Any], chances: Sequence[Probabilities]) -> dict[str, Any]:
    """Return plain data with the probability of each category at each visit."""
    for visit, chance in zip(data["visits"], chances, strict=True):
        visit["probabilities"] = dict(chance.by_category)
    return data | {"assumed_error": str(chances[0].assumed)}
