"""Answers to questions in plain data: a whole course, or one row of a table.

The form of the question says what is asked. ``{"visits": [...]}`` is a course. The short forms
name numbers as tables of test vectors do: ``b``, ``n``, ``c`` are the sums at baseline, at nadir
and now; ``target``, ``nontarget``, ``new`` the parts of one visit; ``first``, ``second`` two visits
of which the second confirms; ``tpr`` the iRECIST responses of all visits.
"""

from typing import Any

from aegle.domain.errors import InputError, OptionError
from aegle.response.answers_immune import IMMUNE
from aegle.response.answers_other import LYMPHOMA, UPTAKE, doubling_time
from aegle.response.answers_sums import SUMS
from aegle.response.criterion import load, names
from aegle.response.plain_judgement import Facts, Policies, Questions

DOUBLING_TIME = "doubling-time"
_QUESTIONS: dict[str, Questions] = {
    "irecist": IMMUNE,
    "lugano-2014": LYMPHOMA,
    "percist-1.0": UPTAKE,
}


def subjects() -> tuple[str, ...]:
    """Return what can be asked: the ids of all criteria, and the doubling time."""
    return (*names(), DOUBLING_TIME)


def answer(subject: str, facts: Facts, policies: Policies | None = None) -> dict[str, Any]:
    """Answer one question by one criterion.

    Args:
        subject: Id of the criterion, or ``doubling-time``.
        facts: The question; its keys say which.
        policies: Choices that differ from the criterion's defaults.

    Returns:
        What was found, with the rule that fired, the choices that were made and the citation.

    Raises:
        OptionError: There is no such criterion, policy or choice.
        InputError: The question is incomplete or contradicts itself.
    """
    if subject == DOUBLING_TIME:
        return doubling_time(facts)
    if subject not in names():
        raise OptionError(f"No response criterion '{subject}'; known: {', '.join(subjects())}.")
    chosen = dict(facts.get("policies", {})) | dict(policies or {})
    load(subject).choose(chosen)
    questions = _QUESTIONS.get(subject, SUMS)
    for keys, question in questions:
        if keys <= set(facts):
            return question(subject, facts, chosen) | {"citation": load(subject).citation}
    forms = "; ".join(", ".join(sorted(keys)) for keys, _ in questions)
    given = ", ".join(facts) or "nothing"
    raise InputError(f"The input has {given}. {load(subject).title} is asked with one of: {forms}.")
