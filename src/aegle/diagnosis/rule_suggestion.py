"""A suggestion with everything that a published rule's outcome rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aegle.diagnosis.patient_facts import PatientFacts, Stated
from aegle.diagnosis.published import BASIS
from aegle.diagnosis.rule import Rule, file_digest
from aegle.diagnosis.rule_evaluation import Outcome
from aegle.domain.finding import Lesion, Suggestion
from aegle.domain.suggestion import (
    Alternative,
    Evidence,
    Input,
    InputSource,
    Maker,
    MakerKind,
)
from aegle.domain.text import Text
from aegle.record.identity import digest


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """What a rule said of one subject, and what it was asked with."""

    subject: str
    outcome: Outcome
    reason: Text
    facts: Mapping[str, Stated] = field(default_factory=dict)
    lesion: Lesion | None = None
    alternatives: tuple[Alternative, ...] = ()
    also: tuple[Input, ...] = ()
    """Inputs that are no facts of the rule."""


def facts_for(rule: Rule, stated: PatientFacts, lesion: str) -> dict[str, Stated]:
    """Return what is stated of the patient and a lesion, as far as a rule asks for it."""
    of_lesion = {
        name: Stated(value=value) for name, value in stated.lesions.get(lesion, {}).items()
    }
    asked = {name for name, fact in rule.facts.items() if fact.given}
    return {k: v for k, v in {**stated.patient, **of_lesion}.items() if k in asked}


def measured(value: Any) -> Stated:
    """Return a fact that was measured on an image."""
    return Stated(value=value, source=InputSource.MEASURED)


def values_of(facts: Mapping[str, Stated]) -> dict[str, Any]:
    """Return facts as a rule is asked with them."""
    return {name: fact.value for name, fact in facts.items()}


def suggestion_of(rule: Rule, ruled: Ruled, study_uid: str) -> Suggestion:
    """Return the suggestion that an outcome makes.

    Args:
        rule: The rule that was asked.
        ruled: What it said.
        study_uid: Examination that it is about.
    """
    outcome = ruled.outcome
    maker = Maker(
        kind=MakerKind.RULE, id=rule.id, version=rule.version, digest=file_digest(rule.id)
    )
    inputs = (*_inputs(rule, ruled), *ruled.also)
    said = (ruled.subject, outcome.category, str(outcome.result), str(ruled.reason))
    probability = outcome.computed.get("probability")
    return Suggestion(
        rule=rule.title,
        applies=True,
        category=_category(outcome),
        subject=ruled.subject,
        reason=ruled.reason,
        row=outcome.row,
        next_step=None if ruled.lesion and rule.id == "lung-rads" else outcome.next_step,
        citation=rule.citation,
        id=identity(study_uid, maker, said, inputs),
        made_by=maker,
        probability=probability,
        inputs=inputs,
        assumed=outcome.assumed,
        cautions=outcome.cautions,
        confirmed=Text(BASIS[outcome.row_basis]) if outcome.row_basis else None,
        evidence=_evidence(ruled.lesion),
        alternatives=ruled.alternatives,
        limits=(Text("Made for: {whom}.", {"whom": rule.applies_to}),),
    )


def identity(study_uid: str, maker: Maker, said: tuple[str, ...], inputs: tuple[Input, ...]) -> str:
    """Return the id of a suggestion, derived from what made it, what it says and rests on."""
    rests_on = [f"{i.name}={i.value} {i.unit}" for i in inputs]
    return f"S-{digest(study_uid, maker.id, maker.digest, *said, *rests_on)[:10]}"


def _category(outcome: Outcome) -> str:
    """Return the category; of a model that is its probability."""
    if outcome.category == "probability":
        return f"{outcome.computed['probability']:.1%}"
    return outcome.category


def _inputs(rule: Rule, ruled: Ruled) -> tuple[Input, ...]:
    """Return the facts in the order of the rule, with those that are missing."""
    found = []
    for name, fact in rule.facts.items():
        stated = ruled.facts.get(name)
        if stated is None and name not in ruled.outcome.missing:
            continue
        found.append(
            Input(
                name=name,
                meaning=fact.meaning,
                value="" if stated is None else shown(stated.value),
                unit=fact.unit,
                source=InputSource.STATED if stated is None else stated.source,
                time=None if stated is None else stated.time,
                code="" if stated is None else stated.code,
            )
        )
    return tuple(found)


def shown(value: Any) -> str:
    """Return a fact's value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(shown(part) for part in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _evidence(lesion: Lesion | None) -> tuple[Evidence, ...]:
    if lesion is None:
        return ()
    return (
        Evidence(
            image=lesion.image,
            structure=lesion.structure.name,
            slice_index=lesion.diameters.slice_index,
        ),
    )
