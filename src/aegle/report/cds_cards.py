"""Suggestions as CDS Hooks cards, and reviews as CDS Hooks feedback.

The service that answers hooks is not here: these are the data it would send. One card per
suggestion; its one action is a draft of the next step that a person may take over.

Source: CDS Hooks 2.0, CDS Service Response and Feedback.
"""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import aegle
from aegle.domain.case import CaseResults
from aegle.domain.errors import InputError
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Decision, Review, standing
from aegle.record.identity import digest
from aegle.report.blocks import Tone
from aegle.report.cds_check import LONGEST_SUMMARY, card_problems, feedback_problems
from aegle.report.fhir_codes import Json
from aegle.report.files import write_whole
from aegle.report.language import clean
from aegle.report.suggest import REVIEW, tone_of

SYSTEM = "urn:aegle:override-reasons"
OVERRIDE_REASONS = (
    ("measurement", "The measurement is wrong"),
    ("facts", "A fact it rests on is wrong or missing"),
    ("population", "The rule is not made for this patient"),
    ("preference", "The patient wants otherwise"),
    ("other", "Another reason"),
)
"""What a person may choose from when overriding."""
INDICATORS = {Tone.BAD: "critical", Tone.WARN: "warning"}


def write(results: CaseResults, path: Path) -> Path:
    """Write the cards of all suggestions that apply, and feedback of all reviews, as JSON.

    Raises:
        InputError: Something does not hold to the standard; nothing is written.
    """
    made: Json = {"cards": response(results)["cards"], "feedback": feedback(results)["feedback"]}
    found = card_problems({"cards": made["cards"]})
    found += feedback_problems({"feedback": made["feedback"]}) if made["feedback"] else []
    if found:
        raise InputError(f"The cards are not sound: {'; '.join(found)}. Nothing was written.")
    text = json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False)
    return write_whole(path, f"{text}\n".encode())


def response(results: CaseResults) -> Json:
    """Return the body of a service's response: one card per suggestion that applies."""
    return {
        "cards": [
            card(said, results.examinations.patient.id)
            for visit in results.suggestions.visits
            for said in visit
            if said.applies
        ]
    }


def card(said: Suggestion, patient: str) -> Json:
    """Return one suggestion as a card.

    Args:
        said: The suggestion.
        patient: Id of the patient, for the identity of the card.
    """
    made: Json = {
        "uuid": card_uuid(said, patient),
        "summary": _summary(said),
        "detail": _detail(said),
        "indicator": INDICATORS.get(tone_of(said), "info"),
        "source": _source(said),
        "overrideReasons": [
            {"code": code, "system": SYSTEM, "display": display}
            for code, display in OVERRIDE_REASONS
        ],
    }
    steps = _steps(said, patient)
    return {**made, "suggestions": steps, "selectionBehavior": "at-most-one"} if steps else made


def feedback(results: CaseResults) -> Json:
    """Return the standing reviews as the body of a feedback request."""
    by_id = {s.id: s for visit in results.suggestions.visits for s in visit}
    patient = results.examinations.patient.id
    return {
        "feedback": [
            _feedback(review, by_id[review.suggestion], patient)
            for review in standing(results.reviews).values()
            if review.suggestion in by_id
        ]
    }


def card_uuid(said: Suggestion, patient: str) -> str:
    """Return the identity of a suggestion's card."""
    return _uuid("card", patient, said.id, said.rule, said.subject)


def _uuid(*parts: str) -> str:
    return str(uuid.UUID(bytes=bytes.fromhex(digest("cds", *parts))[:16], version=5))


def _summary(said: Suggestion) -> str:
    text = _line(f"{said.rule}, {said.subject}: {said.category or said.reason}")
    return text if len(text) < LONGEST_SUMMARY else f"{text[: LONGEST_SUMMARY - 2]}…"


def _line(text: str) -> str:
    return " ".join(clean(text).split())


def _detail(said: Suggestion) -> str:
    """Return what it rests on, as Markdown."""
    rows = [("Reason", str(said.reason))]
    rows += [("Row", str(said.row))] if said.row else []
    rows += [("Probability", f"{said.probability:.1%}")] if said.probability is not None else []
    if said.prediction_set is not None:
        named = ", ".join(said.prediction_set.categories)
        rows.append(("Set", f"{named} (coverage {said.prediction_set.coverage:.0%})"))
    if said.out_of_distribution is not None and said.out_of_distribution.is_outside:
        rows.append(("Out of distribution", "unlike the images that the model learned from"))
    rows += [("Missing", i.meaning) for i in said.inputs if i.is_missing]
    rows += [("Assumed", str(text)) for text in said.assumed]
    rows += [("Caution", str(text)) for text in said.cautions]
    rows += [("Alternative", f"{a.category} {a.reason}") for a in said.alternatives]
    if said.made_by is not None:
        maker = said.made_by
        rows.append(("Made by", f"{maker.id} {maker.version}, SHA-256 {maker.digest}"))
    rows.append(("Note", aegle.RESEARCH_USE))
    return "\n".join(f"- **{name}:** {_markdown(text)}" for name, text in rows)


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!" else c for c in _line(text))


def _source(said: Suggestion) -> Json:
    doi = (
        said.citation.rpartition("doi:")[2].split()[0].rstrip(".")
        if "doi:" in said.citation
        else ""
    )
    url = {"url": f"https://doi.org/{doi}"} if doi.startswith("10.") else {}
    return {"label": _line(said.rule), **url}


def _steps(said: Suggestion, patient: str) -> list[Json]:
    """Return the next step as an action that makes a draft; nothing while review is needed."""
    if said.next_step is None or said.category == REVIEW:
        return []
    text = _line(str(said.next_step))
    draft = {
        "resourceType": "CarePlan",
        "status": "draft",
        "intent": "proposal",
        "description": text,
        "subject": {"display": _line(patient) or "unknown"},
    }
    return [
        {
            "label": text,
            "uuid": _uuid("step", patient, said.id, said.rule, said.subject),
            "isRecommended": False,
            "actions": [{"type": "create", "description": text, "resource": draft}],
        }
    ]


def _feedback(review: Review, said: Suggestion, patient: str) -> Json:
    made: Json = {
        "card": card_uuid(said, patient),
        "outcome": review.decision.value,
        "outcomeTimestamp": _instant(review.at),
    }
    if review.decision is Decision.OVERRIDDEN:
        reason = {"code": "other", "system": SYSTEM}
        return {**made, "overrideReason": {"reason": reason, "userComment": clean(review.reason)}}
    steps = [{"id": step["uuid"]} for step in _steps(said, patient)]
    # A card without suggestions cannot be accepted by one; its own identity stands for it.
    return {**made, "acceptedSuggestions": steps or [{"id": made["card"]}]}


def _instant(time: datetime) -> str:
    """Return an instant in UTC; a time without zone counts as UTC."""
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
