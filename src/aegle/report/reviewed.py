"""The chapter on what persons decided about suggestions."""

from aegle.domain.case import CaseResults
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Review, standing
from aegle.report.blocks import Paragraph, Section, Table, Tone, plain
from aegle.report.language import Words, clean


def section(results: CaseResults, told: Words) -> Section:
    """Return the chapter: those replaced stay visible."""
    subjects = {s.id: s for visit in results.suggestions.visits for s in visit}
    stands = {review.id for review in standing(results.reviews).values()}
    rows = tuple(
        plain(
            _subject(review, subjects, told),
            told(review.decision.value),
            clean(": ".join(part for part in (review.category, review.reason) if part)) or "–",
            clean(review.by),
            told.moment(review.at),
            told("stands") if review.id in stands else told("replaced"),
        )
        for review in results.reviews
    )
    heads = ("Suggestion", "Decision", "Reason", "By", "When", "State")
    table = Table(
        caption=told("Decisions of persons, oldest first"),
        heads=tuple(map(told, heads)),
        rows=rows,
        widths=(2, 1, 2.4, 1.2, 1.2, 0.9),
    )
    none = Paragraph(told("Nobody has reviewed these suggestions yet."), Tone.CALM)
    return Section(
        anchor="reviews",
        title=told("Reviews"),
        lead=told("What a person decided. Nothing is overwritten."),
        blocks=(table,) if rows else (none,),
    )


def _subject(review: Review, subjects: dict[str, Suggestion], told: Words) -> str:
    said = subjects.get(review.suggestion)
    if said is None:
        return f"{review.suggestion} ({told('of an earlier state of the case')})"
    return f"{clean(told.name(said.rule))} · {clean(told.name(said.subject))}"
