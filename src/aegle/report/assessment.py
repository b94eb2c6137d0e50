"""What is said of images as a whole: how good they are, and the class that a model gives them."""

from collections.abc import Iterator

from aegle.domain.assessment import (
    ImageClassification,
    ImageQuality,
    QualityGrade,
    VisitAssessments,
)
from aegle.domain.case import CaseResults
from aegle.report.blocks import Block, Card, Cell, Paragraph, Table, Tone
from aegle.report.language import Words, clean

TONES = {
    QualityGrade.GOOD: Tone.GOOD,
    QualityGrade.LIMITED: Tone.WARN,
    QualityGrade.POOR: Tone.BAD,
}
CAUTION = (
    "A model's probability for images like those it learned from. It has not seen this patient's "
    "history and does not replace a reading."
)


def assessments_of(results: CaseResults, visit: int) -> VisitAssessments:
    """Return what is said of the images of a visit; nothing if the stage did not reach it."""
    visits = results.assessments.visits
    return visits[visit] if visit < len(visits) else VisitAssessments()


def quality_blocks(results: CaseResults, visit: int, words: Words) -> Iterator[Block]:
    """Yield a table of the images with a verdict on each, if any image was judged."""
    qualities = assessments_of(results, visit).qualities
    if not qualities:
        return
    yield Table(
        caption=words("Image quality"),
        heads=tuple(map(words, ("Image", "Verdict", "Why"))),
        rows=tuple(_row(quality, words) for quality in qualities),
        widths=(1.2, 0.8, 5),
    )


def _row(quality: ImageQuality, words: Words) -> tuple[Cell, ...]:
    reasons = [words.text(m.reason) for m in quality.measures if m.grade is not QualityGrade.GOOD]
    return (
        Cell(text=clean(quality.image)),
        Cell(text=words.name(quality.grade), tone=TONES[quality.grade]),
        Cell(text="\n".join(reasons) or words("Nothing that limits reading was measured.")),
    )


def notice_blocks(results: CaseResults, visit: int, words: Words) -> Iterator[Block]:
    """Yield why models say nothing of some images."""
    assessed = assessments_of(results, visit)
    for notice in dict.fromkeys(assessed.notices):
        yield Paragraph(words.text(notice), Tone.CALM)


def classification_card(classification: ImageClassification, words: Words) -> Card:
    """Return what a model says of an image."""
    outside = classification.out_of_distribution
    if outside is not None and outside.is_outside:
        return _silent_card(classification, words)
    pairs = sorted(zip(classification.probabilities, classification.classes, strict=True))[::-1]
    probability, likeliest = pairs[0]
    told = ", ".join(f"{clean(words.name(name))} {share:.0%}" for share, name in pairs)
    facts = [(words("Probabilities"), told)]
    if classification.prediction_set is not None:
        found = classification.prediction_set
        names = ", ".join(clean(words.name(c)) for c in found.categories) or words("none")
        promised = words("{coverage} % promised", coverage=f"{100 * found.coverage:.0f}")
        facts.append((words("Set that holds the right one"), f"{names} ({promised})"))
    if str(classification.measured):
        facts.append((words("How good it is"), words.text(classification.measured)))
    facts += [(words("Note"), words.text(notice)) for notice in classification.notices]
    facts.append((words("Caution"), words(CAUTION)))
    return Card(
        title=f"{clean(classification.model)} · {clean(classification.image)}",
        chip=Cell(text=f"{clean(words.name(likeliest))} {probability:.0%}", tone=Tone.CALM),
        facts=tuple(facts),
    )


def _silent_card(classification: ImageClassification, words: Words) -> Card:
    """Return that a model has nothing to say of an image; its probabilities are not shown."""
    return Card(
        title=f"{clean(classification.model)} · {clean(classification.image)}",
        chip=Cell(text=words("not applicable"), tone=Tone.CALM),
        facts=tuple((words("Note"), words.text(notice)) for notice in classification.notices),
    )
