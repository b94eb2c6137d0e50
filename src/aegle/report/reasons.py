"""What a suggestion rests on, line by line: one click opens it."""

from collections.abc import Iterator
from datetime import datetime

from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Evidence, Input, PredictionSet, Review
from aegle.report.blocks import Cell, Folded, Table, Tone
from aegle.report.language import Words, clean

Line = tuple[str, str, str, Tone]
"""What it is, what it says, where it comes from, and how much attention it asks for."""


def folded(said: Suggestion, review: Review | None, words: Words) -> Folded | None:
    """Return the table of reasons, closed; None for what has no identity or does not apply.

    A model that does not apply to an image says so by a distance, which is shown.

    Args:
        said: The suggestion.
        review: The decision that stands, if there is one.
        words: Language of the reader.
    """
    if not said.id or not (said.applies or said.out_of_distribution is not None):
        return None
    lines = [*_certainty(said, words), *_inputs(said, words), *_thoughts(said, words)]
    lines += [*_evidence(said, words), *_maker(said, words), *_review(review, words)]
    rows = tuple((Cell(text=a), Cell(text=b, tone=tone), Cell(text=c)) for a, b, c, tone in lines)
    name = f"{clean(words.name(said.rule))} · {clean(words.name(said.subject))}"
    return Folded(
        Table(
            caption=words("Reasons and evidence: {name}", name=name),
            heads=tuple(map(words, ("What", "Value", "From"))),
            rows=rows,
            widths=(1.6, 3.4, 2.0),
        )
    )


def _certainty(said: Suggestion, words: Words) -> Iterator[Line]:
    """Yield how sure it is; a rule without a probability says so."""
    if said.probability is not None:
        yield words("Probability"), f"{said.probability:.1%}", "", Tone.PLAIN
    elif not said.applies:
        yield words("Probability"), words("withheld: the model does not apply"), "", Tone.PLAIN
    else:
        yield words("Probability"), words("none: a rule gives a category"), "", Tone.PLAIN
    if said.prediction_set is not None:
        yield _set(said.prediction_set, words)
    outside = said.out_of_distribution
    if outside is not None:
        told = (
            words("outside what the model learned from") if outside.is_outside else words("inside")
        )
        text = f"{told} ({outside.score:.3g}; ≤ {outside.limit:.3g})"
        tone = Tone.BAD if outside.is_outside else Tone.PLAIN
        yield words("Image like those of training"), text, clean(outside.method), tone


def _set(found: PredictionSet, words: Words) -> Line:
    names = ", ".join(clean(words.name(c)) for c in found.categories) or words("none")
    group = (
        words("group: {group}", group=clean(found.group)) if found.group else words("all patients")
    )
    told = words(
        "{coverage} % promised, {count} calibration cases",
        coverage=f"{100 * found.coverage:.0f}",
        count=found.calibration_cases,
    )
    if found.measured_coverage is not None:
        told += "; " + words(
            "{coverage} % measured", coverage=f"{100 * found.measured_coverage:.0f}"
        )
    return words("Set that holds the right one"), names, f"{told}; {group}", Tone.PLAIN


def _inputs(said: Suggestion, words: Words) -> Iterator[Line]:
    for one in said.inputs:
        meaning = words(one.meaning)
        name = (
            words("Input: {name}", name=meaning)
            if one.is_used
            else words("Record, not used: {name}", name=meaning)
        )
        if one.is_missing:
            yield name, words("missing"), "", Tone.WARN
            continue
        shown = words.text(one.problem) if one.problem else words.name(one.value)
        value = f"{clean(shown)} {one.unit}".strip()
        yield name, value, _origin(one, words), Tone.PLAIN


def _origin(one: Input, words: Words) -> str:
    time = _moment(one.time, words) if one.time else words("no time stated")
    code = f"; {clean(one.code)}" if one.code else ""
    return f"{words(one.source.value)}, {time}{code}"


def _moment(time: datetime, words: Words) -> str:
    return words.moment(time) if (time.hour, time.minute) != (0, 0) else words.day(time)


def _thoughts(said: Suggestion, words: Words) -> Iterator[Line]:
    if said.row is not None:
        confirmed = words.text(said.confirmed)
        yield words("Row of the rule"), words.text(said.row), confirmed, Tone.PLAIN
    for text in said.assumed:
        yield words("Assumed"), words.text(text), words("not stated"), Tone.PLAIN
    for text in said.cautions:
        yield words("Caution"), words.text(text), "", Tone.WARN
    for other in said.alternatives:
        share = "" if other.probability is None else f" {other.probability:.1%}"
        step = words.text(other.next_step)
        name = f"{clean(words.name(other.category))}{share}"
        yield words("It may also be"), f"{name}: {words.text(other.reason)}", step, Tone.PLAIN
    for one in said.neighbours:
        name = f"{clean(words.name(one.category))}: {clean(one.name)}"
        apart = words("distance {distance}", distance=f"{one.distance:.2f}")
        yield words("Like this training image"), name, apart, Tone.PLAIN
    for text in said.limits:
        yield words("Limits of use"), words.text(text), "", Tone.PLAIN


def _evidence(said: Suggestion, words: Words) -> Iterator[Line]:
    for one in said.evidence:
        yield words("Evidence in the image"), *_mask(one, words), Tone.PLAIN
        if one.map_file:
            score = words("not measured") if one.map_score is None else f"{one.map_score:.2f}"
            told = f"{clean(one.map_method)}, {clean(one.map_score_name)} {score}"
            yield words("Heat map"), clean(one.map_file), told, Tone.PLAIN


def _mask(one: Evidence, words: Words) -> tuple[str, str]:
    if not one.structure:
        return clean(one.image), words("whole image; no mask")
    place = "" if one.slice_index is None else words(", slice {number}", number=one.slice_index + 1)
    mask = words("mask of {name}", name=clean(words.name(one.structure)))
    return f"{mask}, {clean(one.image)}{place}", words(
        "outlined in the pictures of the visit, kept as DICOM SEG"
    )


def _maker(said: Suggestion, words: Words) -> Iterator[Line]:
    if said.made_by is not None:
        maker = said.made_by
        told = f"{clean(maker.id)} {clean(maker.version)}"
        yield words("Made by"), told, f"SHA-256 {maker.digest}", Tone.PLAIN
    yield words("Identity"), said.id, words("changes with what it rests on"), Tone.PLAIN


def _review(review: Review | None, words: Words) -> Iterator[Line]:
    if review is None:
        yield words("Review"), words("not reviewed yet"), "", Tone.PLAIN
        return
    told = words(review.decision.value)
    if review.category:
        told += f" → {clean(review.category)}"
    if review.reason:
        told += f": {clean(review.reason)}"
    by = f"{clean(review.by)}, {words.moment(review.at)}"
    yield words("Review"), told, by, Tone.GOOD if not review.reason else Tone.WARN
