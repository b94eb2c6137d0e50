"""Suggestions in FHIR R4B: what each says as an Observation, what it asks for as a DetectedIssue.

The rule or model that made a suggestion is a Device of its own, with the SHA-256 of its file. A
person's review is kept beside the suggestion: as a note, and as the mitigation of the issue.
"""

import hashlib

from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Input, Maker, MakerKind, Review
from aegle.report import fhir_codes as codes
from aegle.report.blocks import Tone
from aegle.report.fhir_codes import Json, concept, quantity
from aegle.report.language import clean
from aegle.report.suggest import REVIEW, tone_of

SEVERITIES = {Tone.BAD: "high", Tone.WARN: "moderate"}
SHA256 = "urn:aegle:sha256"
"""System of identifiers that are the SHA-256 of a file."""


def device(maker: Maker, key: str) -> Json:
    """Return the rule or model as a Device.

    Args:
        maker: Which it is.
        key: Id of the resource.
    """
    return {
        "resourceType": "Device",
        "id": key,
        "status": "active",
        "identifier": [{"system": SHA256, "value": maker.digest}],
        "deviceName": [{"name": clean(maker.id), "type": "model-name"}],
        "type": concept(text=maker.kind.value),
        "version": [{"value": clean(maker.version)}],
    }


def observation(said: Suggestion, review: Review | None) -> Json:
    """Return what an Observation says of a suggestion.

    Args:
        said: The suggestion.
        review: The decision that stands, if there is one.
    """
    parts = (said.reason, said.row, said.confirmed, said.next_step)
    notes = [str(part) for part in parts if part is not None]
    notes += [said.citation] if said.citation else []
    notes += [f"Assumed: {text}" for text in said.assumed]
    notes += [f"Caution: {text}" for text in said.cautions]
    notes += [f"Alternative: {a.category} {a.reason}" for a in said.alternatives]
    notes += [f"Limits of use: {text}" for text in said.limits]
    notes += [_review_words(review)] if review else []
    components = [*_certainty(said), *(_input(one) for one in said.inputs)]
    absent = (codes.DATA_ABSENT, "not-applicable", "Not Applicable")
    value = (
        {"valueCodeableConcept": concept(text=clean(said.category))}
        if said.applies and said.category
        else {"dataAbsentReason": concept(absent)}
    )
    identifier = [{"system": "urn:aegle:suggestion", "value": said.id}] if said.id else []
    return {
        "code": concept(text=clean(said.rule)),
        **value,
        "note": [{"text": clean(text)} for text in notes if text.strip()],
        **({"component": components} if components else {}),
        **({"identifier": identifier} if identifier else {}),
        **({"method": concept(text=said.made_by.kind.value)} if said.made_by else {}),
    }


def _certainty(said: Suggestion) -> list[Json]:
    """Return probabilities, the set and its promise, and whether the image fits the model."""
    found = []
    if said.probability is not None:
        found.append(_percent("probability", said.probability))
    for other in said.alternatives:
        if other.probability is not None:
            found.append(_percent(f"probability of {clean(other.category)}", other.probability))
    if said.prediction_set is not None:
        named = ", ".join(clean(c) for c in said.prediction_set.categories) or "none"
        group = f", {clean(said.prediction_set.group)}" if said.prediction_set.group else ""
        found.append({"code": concept(text=f"prediction set{group}"), "valueString": named})
        found.append(_percent("coverage promised", said.prediction_set.coverage))
    if said.out_of_distribution is not None:
        outside = said.out_of_distribution.is_outside
        code = concept(text="image unlike those of training")
        found.append({"code": code, "valueBoolean": outside})
    return found


def _percent(name: str, share: float) -> Json:
    return {"code": concept(text=name), "valueQuantity": quantity(100 * share, codes.PERCENT)}


def _input(one: Input) -> Json:
    """Return an input with where it comes from; what is missing is said to be unknown."""
    code = concept(text=f"{'input' if one.is_used else 'record, not used'}: {clean(one.meaning)}")
    if one.is_missing:
        unknown = (codes.DATA_ABSENT, "unknown", "Unknown")
        return {"code": code, "dataAbsentReason": concept(unknown)}
    time = f", {one.time.isoformat()}" if one.time else ""
    value = f"{one.value} {one.unit}".strip()
    return {"code": code, "valueString": clean(f"{value} ({one.source.value}{time})")}


def _review_words(review: Review) -> str:
    instead = f" in favour of {review.category}" if review.category else ""
    reason = f": {review.reason}" if review.reason else ""
    return f"{review.decision.value}{instead} by {review.by}, {review.at.isoformat()}{reason}"


def asks_for_attention(said: Suggestion) -> bool:
    """Return whether a suggestion is an issue for somebody: open, serious, or outside."""
    outside = said.out_of_distribution is not None and said.out_of_distribution.is_outside
    return said.applies and (said.category == REVIEW or tone_of(said) in SEVERITIES or outside)


def issue(said: Suggestion, review: Review | None, references: Json) -> Json:
    """Return what a suggestion asks for as a DetectedIssue.

    Args:
        said: The suggestion.
        review: The decision that stands, if there is one.
        references: ``id``, ``patient``, ``author`` and ``observation`` of the resource.
    """
    mitigation = [] if review is None else [_mitigation(review)]
    needed = [clean(i.meaning) for i in said.inputs if i.is_missing]
    detail = f"{said.reason}{' Missing: ' + ', '.join(needed) + '.' if needed else ''}"
    return {
        "resourceType": "DetectedIssue",
        "id": references["id"],
        "status": "preliminary",
        "code": concept(text=clean(f"{said.rule}: {said.category}")),
        "severity": SEVERITIES.get(tone_of(said), "low"),
        "patient": references["patient"],
        "author": references["author"],
        "evidence": [{"detail": [references["observation"]]}],
        "detail": clean(detail),
        **({"mitigation": mitigation} if mitigation else {}),
    }


def _mitigation(review: Review) -> Json:
    date = review.at.isoformat() if review.at.tzinfo else review.at.date().isoformat()
    return {
        "action": concept(text=clean(_review_words(review))),
        "date": date,
        "author": {"display": clean(review.by), "type": "Practitioner"},
    }


def maker_key(maker: Maker) -> str:
    """Return what tells one maker from another."""
    content = f"{maker.kind.value} {maker.id} {maker.version} {maker.digest}"
    return hashlib.sha256(content.encode()).hexdigest()


def makers(suggestions: tuple[tuple[Suggestion, ...], ...]) -> tuple[Maker, ...]:
    """Return every rule and model that made a suggestion, once."""
    found = {maker_key(s.made_by): s.made_by for v in suggestions for s in v if s.made_by}
    order = sorted(found.items(), key=lambda item: (item[1].kind is MakerKind.MODEL, item[1].id))
    return tuple(maker for _, maker in order)
