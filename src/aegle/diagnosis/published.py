"""Published rules as Python and the command line ask them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aegle.diagnosis.rule import REVIEW, Rule, load, names
from aegle.diagnosis.rule_evaluation import Outcome, evaluate
from aegle.domain.text import Text

BASIS = {
    "checked": "checked against a published text that renders the primary document",
    "agrees": "agrees with an independent implementation; not confirmed by the primary document",
    "memory": "written from memory; not confirmed by the primary document",
}
"""How far a part of a rule is confirmed, in words."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a published rule says about some facts, with the rule it comes from."""

    rule: Rule
    facts: Mapping[str, Any]
    """What was asked, unchanged."""
    outcome: Outcome

    @property
    def result(self) -> Any:
        """The category, number or list of these that the rule answers; or ``REVIEW``."""
        return self.outcome.result

    def plain(self) -> dict[str, Any]:
        """Return everything as plain data."""
        rule, said = self.rule, self.outcome
        decided = said.category != REVIEW
        return {
            **_source(rule),
            "input": dict(self.facts),
            "result": said.result,
            "category": said.category,
            "reason": str(said.reason),
            "row": _plain(said.row),
            "row_confirmed": BASIS[said.row_basis] if said.row_basis else None,
            "next_step": _plain(said.next_step),
            "next_step_confirmed": BASIS[rule.next_step_basis] if decided else None,
            "assumed": _each(said.assumed),
            "missing": list(said.missing),
            "cautions": _each(said.cautions),
            "computed": dict(said.computed),
            "parts": dict(said.parts),
        }


def rule(name: str, facts: Mapping[str, Any]) -> Answer:
    """Ask a published rule.

    Args:
        name: Its id, for example ``lung-rads``; ``rules()`` lists them.
        facts: By name, as the rule's page of the documentation names them: choices as text, flags
            as bool or 0/1, numbers in the rule's unit or as ``{"value": 8, "unit": "mm"}``.

    Returns:
        The answer; its result is ``REVIEW``, with the reason, for whatever the rule leaves open.

    Raises:
        OptionError: There is no such rule, or a fact is unknown, of another type or unit.
    """
    asked = load(name)
    return Answer(rule=asked, facts=facts, outcome=evaluate(asked, facts))


def rules() -> list[dict[str, Any]]:
    """Return the published rules with source, applicability and the facts that they ask for."""
    return [
        {
            **_source(one),
            "applies_to": one.applies_to,
            "confirmed": BASIS[one.basis],
            "facts": {name: f.meaning for name, f in one.facts.items() if f.given},
            "example": one.example,
        }
        for one in map(load, names())
    ]


def _source(one: Rule) -> dict[str, Any]:
    return {
        "rule": one.id,
        "title": one.title,
        "version": one.version,
        "effective": one.effective,
        "doi": one.doi,
        "citation": one.citation,
    }


def _plain(text: Text | None) -> str | None:
    return None if text is None else str(text)


def _each(texts: Iterable[Text]) -> list[str]:
    return [str(text) for text in texts]
