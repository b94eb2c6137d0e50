"""The chapter on what published rules say."""

import re
from collections.abc import Iterator

from aegle.domain.case import CaseResults
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import MakerKind, standing
from aegle.report import assessment, heat_maps, reasons
from aegle.report.blocks import Block, Card, Cell, Paragraph, Section, Tone
from aegle.report.find import visit_heading
from aegle.report.language import Words, clean
from aegle.report.tracks import title

REVIEW = "REVIEW"


def section(results: CaseResults, words: Words) -> Section:
    """Return the chapter."""
    blocks: list[Block] = []
    for number, visit in enumerate(results.examinations.visits):
        blocks.append(visit_heading(visit, number, words))
        blocks += _models(results, number, words)
        of_rules = [s for s in _of(results, number) if not _is_of_model(s)]
        if not of_rules:
            blocks.append(Paragraph(words("No rule was asked at this visit."), Tone.CALM))
        for suggestion in of_rules:
            subject = title(results, number, suggestion.subject)
            blocks += (_card(suggestion, subject, words), *_reasons(results, suggestion, words))
    return Section(
        anchor="suggest",
        title=words("Suggestions"),
        lead=words("What published rules and trained models say. A person decides."),
        blocks=tuple(blocks),
    )


def worst(results: CaseResults) -> tuple[int, Suggestion] | None:
    """Return the visit and the suggestion with the most serious category, the latest of equals."""
    applicable = [
        (visit, suggestion)
        for visit in range(len(results.examinations.visits))
        for suggestion in _of(results, visit)
        if suggestion.applies and suggestion.category and _counts(suggestion)
    ]
    return max(applicable, key=lambda item: (_rank(item[1].category), item[0]), default=None)


def tone_of(suggestion: Suggestion) -> Tone:
    """Return how much attention a category asks for."""
    if not suggestion.applies:
        return Tone.CALM
    if suggestion.category == REVIEW:
        return Tone.WARN
    if not _is_graded(suggestion):
        return Tone.CALM
    grade = int(_rank(suggestion.category)[0])
    return Tone.BAD if grade >= 4 else Tone.WARN if grade == 3 else Tone.CALM


def category_words(suggestion: Suggestion, words: Words) -> str:
    """Return the category as it is shown."""
    if not suggestion.applies:
        return words("not applicable")
    if suggestion.category == REVIEW:
        return words("for review")
    return clean(words.name(suggestion.category))


def _of(results: CaseResults, visit: int) -> tuple[Suggestion, ...]:
    visits = results.suggestions.visits
    return visits[visit] if visit < len(visits) else ()


def _models(results: CaseResults, visit: int, words: Words) -> Iterator[Block]:
    """Yield what models say of the images, each with its reasons, and why others are left out."""
    said = [s for s in _of(results, visit) if _is_of_model(s)]
    for one in assessment.assessments_of(results, visit).classifications:
        yield assessment.classification_card(one, words)
        if one.heat_map is not None:
            yield from heat_maps.blocks(one.heat_map, words)
        for suggestion in said:
            if (suggestion.rule, suggestion.subject) == (one.model, one.image):
                yield from _reasons(results, suggestion, words)
    yield from assessment.notice_blocks(results, visit, words)


def _reasons(results: CaseResults, suggestion: Suggestion, words: Words) -> Iterator[Block]:
    """Yield all that a suggestion rests on, folded."""
    review = standing(results.reviews).get(suggestion.id)
    folded = reasons.folded(suggestion, review, words)
    if folded is not None:
        yield folded


def _is_of_model(suggestion: Suggestion) -> bool:
    return suggestion.made_by is not None and suggestion.made_by.kind is MakerKind.MODEL


def _is_graded(suggestion: Suggestion) -> bool:
    """Return whether the category is a grade of suspicion: a number with or without a letter."""
    return re.fullmatch(r"\d[A-Z]?", suggestion.category) is not None


def _counts(suggestion: Suggestion) -> bool:
    return suggestion.category == REVIEW or _is_graded(suggestion)


def _rank(category: str) -> tuple[float, str]:
    """Order categories by number, then letter; what needs review stands above category 3."""
    if category == REVIEW:
        return 3.5, ""
    found = re.search(r"(\d+)([A-Za-z]*)", category)
    return (float(found[1]), found[2]) if found else (0.0, category)


def _card(suggestion: Suggestion, subject: str, words: Words) -> Card:
    told = words("examination") if suggestion.subject == "examination" else subject
    rows = [(words("Reason"), words.text(suggestion.reason))]
    if suggestion.row is not None:
        rows.append((words("Row of the rule"), words.text(suggestion.row)))
    if suggestion.next_step is not None:
        rows.append((words("Next step"), words.text(suggestion.next_step)))
    if suggestion.citation:
        rows.append((words("Source"), clean(suggestion.citation)))
    return Card(
        title=f"{clean(words.name(suggestion.rule))} · {told}",
        chip=Cell(text=category_words(suggestion, words), tone=tone_of(suggestion)),
        facts=tuple(rows),
    )
