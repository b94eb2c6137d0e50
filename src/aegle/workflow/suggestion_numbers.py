"""Suggestions and reviews as plain data, for ``--json`` and ``suggestions.json``."""

from collections.abc import Iterable
from typing import Any

import aegle
from aegle.domain.case import CaseResults
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Input, Review, standing
from aegle.workflow import reviews


def suggestion_numbers(results: CaseResults) -> dict[str, Any]:
    """Return suggestions and reviews as plain data."""
    now_standing = standing(results.reviews)
    return {
        "patient": results.examinations.patient.id,
        "visits": [
            {
                "study": visit.study_uid,
                "suggestions": [
                    plain(s) | {"review": _plain_review(now_standing.get(s.id))} for s in said
                ],
            }
            for visit, said in zip(
                results.examinations.visits, results.suggestions.visits, strict=True
            )
        ],
        "reviews": [reviews.plain(review) for review in results.reviews],
        "research_use": aegle.RESEARCH_USE,
    }


def _plain_review(review: Review | None) -> dict[str, Any] | None:
    return None if review is None else reviews.plain(review)


def plain(said: Suggestion) -> dict[str, Any]:
    """Return a suggestion as plain data."""
    in_set, outside, maker = said.prediction_set, said.out_of_distribution, said.made_by
    return {
        "id": said.id,
        "rule": said.rule,
        "subject": said.subject,
        "applies": said.applies,
        "category": said.category,
        "reason": str(said.reason),
        "row": _text(said.row),
        "row_confirmed": _text(said.confirmed),
        "next_step": _text(said.next_step),
        "citation": said.citation,
        "made_by": None if maker is None else _fields(maker) | {"kind": maker.kind.value},
        "probability": said.probability,
        "prediction_set": None if in_set is None else _fields(in_set),
        "out_of_distribution": None if outside is None else _fields(outside),
        "inputs": [_input(i) for i in said.inputs if not i.is_missing],
        "missing": [i.name for i in said.inputs if i.is_missing],
        "assumed": _texts(said.assumed),
        "cautions": _texts(said.cautions),
        "evidence": [_fields(one) for one in said.evidence],
        "alternatives": [
            {
                "category": a.category,
                "reason": str(a.reason),
                "probability": a.probability,
                "next_step": _text(a.next_step),
            }
            for a in said.alternatives
        ],
        "neighbours": [_fields(one) for one in said.neighbours],
        "limits": _texts(said.limits),
    }


def _input(one: Input) -> dict[str, Any]:
    time = one.time.isoformat() if one.time else None
    told = {"source": one.source.value, "time": time, "problem": _text(one.problem)}
    return _fields(one) | told


def _fields(value: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(value).items()}


def _text(text: Any) -> str | None:
    return None if text is None else str(text)


def _texts(texts: Iterable[Any]) -> list[str]:
    return [str(text) for text in texts]
