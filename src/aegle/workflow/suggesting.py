"""Suggestions for a case that ``aegle run`` made, with what is stated beside the images.

Nothing of the case is changed: the page, the cards and the numbers of the suggestions are
written beside it, and each decision of a person as a review of its own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aegle
from aegle.diagnosis.case_suggestions import suggest_all
from aegle.diagnosis.fact_files import facts_of
from aegle.diagnosis.patient_facts import PatientFacts, of_visit, patient_facts, read_facts
from aegle.domain.assessment import AllAssessments
from aegle.domain.case import (
    AllFindings,
    AllSuggestions,
    CaseResults,
    Examinations,
    Following,
    Planning,
    Provenance,
    Segmentations,
)
from aegle.domain.errors import OptionError
from aegle.domain.suggestion import Decision, Review
from aegle.domain.worklist import Worklist
from aegle.report import cds_cards, fhir, suggestion_page
from aegle.report.files import write_whole
from aegle.report.language import Language
from aegle.workflow import reviews
from aegle.workflow.case_folder import CaseFolder, opened
from aegle.workflow.options import CaseOptions
from aegle.workflow.suggestion_numbers import suggestion_numbers

STAGES = {
    "images": Examinations,
    "structures": Segmentations,
    "findings": AllFindings,
    "assessments": AllAssessments,
}
"""What a case must have finished before anything is suggested."""
FACTS = "facts.json"
Facts = str | Path | Mapping[str, Any] | Iterable[str | Path]
"""What is stated beside the images: plain data, or one or several files."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked about a case."""

    case: Path
    facts: str | None = None
    """JSON text of what is stated; None: what was stated last, if anything."""
    facts_name: str = "facts"
    options: CaseOptions
    language: Language = "en"
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A person's decision about a suggestion, before it is kept."""

    suggestion: str
    decision: Decision
    by: str
    reason: str = ""
    category: str = ""


def run(request: Request, verdict: Verdict | None = None) -> CaseResults:
    """Suggest, keep a decision if there is one, and write page, cards and numbers.

    Args:
        request: The case, what is stated, and how it is shown.
        verdict: What a person decided about one of the suggestions.

    Returns:
        The case with its suggestions and all reviews.

    Raises:
        OptionError: It is no finished case, a fact is wrong, or there is no such suggestion.
        FileError: A review that is kept with the case cannot be read.
    """
    _require_finished(request.case)
    with opened(request.case) as folder:
        content = _stated(request, folder)
        stated = read_facts(content, request.facts_name) if content else patient_facts({}, FACTS)
        results = _results(folder, stated, request)
        if verdict is not None:
            _require_known(verdict, results)
            reviews.keep(_review(verdict, request.now), request.case)
        results = _with_reviews(results, request.case)
        if content is not None:
            write_whole(request.case / FACTS, content.encode())
        _write(results, request)
    return results


def _require_finished(case: Path) -> None:
    lacking = [name for name in STAGES if not (case / "stages" / name / "key.json").is_file()]
    if lacking:
        raise OptionError(
            f"{case}: no case of Aegle with finished stages {', '.join(lacking)}; give the folder "
            "that `aegle run ... --out CASE` wrote."
        )


def _stated(request: Request, folder: CaseFolder) -> str | None:
    return kept_facts(folder.root) if request.facts is None else request.facts


def _results(folder: CaseFolder, stated: PatientFacts, request: Request) -> CaseResults:
    examinations = folder.load("images", Examinations)
    findings = folder.load("findings", AllFindings)
    assessments = folder.load("assessments", AllAssessments)
    visits = zip(examinations.visits, findings.visits, assessments.visits, strict=True)
    count = len(examinations.visits)
    said = tuple(
        suggest_all(
            visit,
            found,
            options=request.options.suggest,
            assessed=assessed,
            stated=of_visit(stated, number, count),
        )
        for number, (visit, found, assessed) in enumerate(visits, 1)
    )
    return CaseResults(
        examinations=examinations,
        segmentations=folder.load("structures", Segmentations),
        findings=findings,
        suggestions=AllSuggestions(said),
        planning=Planning(plan=None),
        following=Following(follow_up=None),
        worklist=Worklist(()),
        provenance=Provenance(version=aegle.__version__, now=request.now, inputs=(), stages=()),
        assessments=assessments,
    )


def _with_reviews(results: CaseResults, case: Path) -> CaseResults:
    return replace(results, reviews=reviews.kept(case))


def _require_known(verdict: Verdict, results: CaseResults) -> None:
    known = [s.id for visit in results.suggestions.visits for s in visit if s.applies]
    if verdict.suggestion not in known:
        raise OptionError(
            f"No suggestion '{verdict.suggestion}' in this case; there: "
            f"{', '.join(known) or 'none'}. An id changes with what the suggestion rests on."
        )


def _review(verdict: Verdict, now: datetime) -> Review:
    return Review(
        id="",
        suggestion=verdict.suggestion,
        decision=verdict.decision,
        by=verdict.by,
        at=now,
        reason=verdict.reason,
        category=verdict.category,
    )


def _write(results: CaseResults, request: Request) -> None:
    """Write the page, the numbers and the cards; cards are checked before they are written."""
    case = request.case
    suggestion_page.write(results, case / "suggestions.html", language=request.language)
    cds_cards.write(results, case / "cds-cards.json")
    fhir.write(results, case / "fhir-suggestions.json")
    write_whole(case / "suggestions.json", _json(suggestion_numbers(results)))


def _json(tree: Any) -> bytes:
    return f"{json.dumps(tree, ensure_ascii=False, indent=1, allow_nan=False)}\n".encode()


def stated_text(facts: Facts | None) -> tuple[str | None, str]:
    """Return facts as JSON text, and what to call them in errors.

    Raises:
        OptionError: A file cannot be read or holds no facts, or two state different things.
        InputError: A file is damaged, or holds several patients.
    """
    if facts is None:
        return None, FACTS
    if isinstance(facts, Mapping):
        try:
            return json.dumps(facts), "facts"
        except (ValueError, TypeError) as error:
            raise OptionError(f"facts cannot be written as JSON ({error}).") from error
    paths = (facts,) if isinstance(facts, str | Path) else tuple(facts)
    return facts_of([Path(path) for path in paths]) if paths else (None, FACTS)


def kept_facts(case: Path) -> str | None:
    """Return what was stated last of a case; None if nothing was."""
    kept = case / FACTS
    return kept.read_text("utf-8") if kept.is_file() else None


def verdict_of(review: Mapping[str, str] | None) -> Verdict | None:
    """Return a decision given as plain data.

    Raises:
        OptionError: It lacks a part or has an unknown one.
    """
    if review is None:
        return None
    try:
        return Verdict(**{**review, "decision": Decision(review["decision"])})  # type: ignore[arg-type]
    except (TypeError, KeyError, ValueError) as error:
        raise OptionError(
            f"A review is {dict(review)}; give suggestion, decision (accepted or overridden), by, "
            "reason and category."
        ) from error
