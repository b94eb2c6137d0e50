"""The course in short: a table of responses with their reasons, and the same places on paper."""

import math
from collections.abc import Sequence
from dataclasses import replace

from aegle.domain.case import CaseResults
from aegle.domain.response import FollowUp, Response, ResponseCategory
from aegle.report.aligned import AlignedSlices, jpeg
from aegle.report.blocks import Cell, Pictures, Table, Tone
from aegle.report.drawing import Picture
from aegle.report.language import Words, clean

TONES = {
    ResponseCategory.COMPLETE_RESPONSE: Tone.GOOD,
    ResponseCategory.PARTIAL_RESPONSE: Tone.GOOD,
    ResponseCategory.NEITHER_COMPLETE_NOR_PROGRESSIVE: Tone.CALM,
    ResponseCategory.STABLE_DISEASE: Tone.CALM,
    ResponseCategory.PROGRESSIVE_DISEASE: Tone.BAD,
    ResponseCategory.NOT_EVALUABLE: Tone.WARN,
}


def response_table(follow_up: FollowUp, labels: Sequence[str], words: Words) -> Table:
    """Return every response with sums, the rule that fired and the policy behind it.

    Args:
        follow_up: What was judged.
        labels: Of each visit, as the reader knows it.
        words: Language of the reader.
    """
    return Table(
        caption=words("Response at every visit"),
        heads=(
            words("Visit"),
            words("Response"),
            words("Sum [mm]"),
            words("From baseline"),
            words("From nadir"),
            words("Reason"),
            words("Criterion and policy"),
        ),
        rows=tuple(_row(r, labels, words) for r in follow_up.responses),
        numeric=frozenset({2, 3, 4}),
        widths=(1.3, 0.8, 0.7, 0.8, 0.8, 3.0, 1.6),
    )


def _row(response: Response, labels: Sequence[str], words: Words) -> tuple[Cell, ...]:
    return (
        Cell(text=labels[response.visit]),
        Cell(text=response.category.value, tone=TONES[response.category]),
        Cell(text=f"{response.sum_mm:.1f}" if math.isfinite(response.sum_mm) else "–"),
        Cell(text=_change(response.sum_mm, response.baseline_mm)),
        Cell(text=_change(response.sum_mm, response.nadir_mm)),
        Cell(text="\n".join([words.text(response.reason), *_doubts(response, words)])),
        Cell(text="\n".join(_policy(response, words))),
    )


def _change(now_mm: float, before_mm: float) -> str:
    if not before_mm > 0 or not math.isfinite(now_mm):
        return "–"
    return f"{100 * (now_mm - before_mm) / before_mm:+.0f} %".replace("-", "−")


def _doubts(response: Response, words: Words) -> list[str]:
    """Return why a response is uncertain, and how probable each category is."""
    doubt = [words.text(response.doubt)] if response.doubt is not None else []
    return [*doubt, *_chances(response, words)]


def _chances(response: Response, words: Words) -> list[str]:
    """Return how probable each category is, where that is known."""
    found: Sequence[tuple[str, float]] = getattr(response, "probabilities", ())
    said = [f"{name} p={share:.2f}" for name, share in found if share >= 0.005]
    return [f"{words('By measurement error')}: {', '.join(said)}"] if said else []


def _policy(response: Response, words: Words) -> list[str]:
    rule = str(getattr(response, "rule", ""))
    policy = str(getattr(response, "policy", ""))
    said = [clean(words.name(response.criterion)), clean(rule), clean(policy)]
    return [text for text in said if text]


def central_slices(
    slices: AlignedSlices | None, labels: dict[int, str], words: Words
) -> list[Pictures]:
    """Return three slices of every aligned visit, for paper and for a page without script.

    Args:
        slices: None if there is nothing to show.
        labels: Of each examination, by index.
        words: Language of the reader.
    """
    if slices is None:
        return []
    shown = [panel for panel in slices.panels if len(panel.frames)]
    if len(shown) < 2:
        return []
    rows = []
    for place, index in enumerate(slices.central):
        where = f"{slices.heights_mm[index]:.1f}".replace("-", "−")
        pictures = []
        for panel in shown:
            frame = panel.frames[index]
            label = labels[panel.visit]
            pictures.append(
                Picture(
                    data=jpeg(frame),
                    media_type="image/jpeg",
                    width=frame.shape[1],
                    height=frame.shape[0],
                    alt=words(
                        "{visit}: the place of baseline slice {where} mm.", visit=label, where=where
                    ),
                    caption=f"{label} · {where} mm",
                )
            )
        title = words("Same place at every visit") if place == 0 else ""
        rows.append(Pictures(title=title, items=tuple(pictures)))
    return rows


def case_from_baseline(results: CaseResults) -> CaseResults:
    """Return the case from the baseline of its follow-up on, so that visits count from there."""
    follow_up = results.following.follow_up
    first = 0
    if follow_up is not None:
        first = results.examinations.index_of(follow_up.timeline.study_uids[0])
    if first == 0:
        return results
    return replace(
        results,
        examinations=replace(results.examinations, visits=results.examinations.visits[first:]),
        findings=replace(results.findings, visits=results.findings.visits[first:]),
        segmentations=replace(results.segmentations, visits=results.segmentations.visits[first:]),
    )
