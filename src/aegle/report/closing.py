"""The last chapters: who goes first, and what all of it rests on."""

import json

from aegle.domain.case import CaseResults
from aegle.report.blocks import Block, Facts, Paragraph, Section, Table, Tone, plain
from aegle.report.language import Words, clean

LIMITS = (
    "Structures and lesions are found automatically unless their origin says otherwise; check "
    "each contour.",
    "Diameters are measured on the slices of the image; their error is about one voxel.",
    "Dose is calculated with a simplified beam model and serves comparison, not treatment.",
    "Categories and responses follow the published rules named beside them; what a rule needs "
    "and the images do not show is not known here.",
)


def worklist(results: CaseResults, words: Words) -> Section:
    """Return the chapter on the order of reading."""
    own = {visit.study_uid for visit in results.examinations.visits}
    heads = ("Position", "Patient", "Examination", "Urgency", "Reason")
    rows = tuple(
        plain(
            f"{item.position} ◂" if item.study_uid in own else str(item.position),
            clean(item.patient_id),
            words.moment(item.time),
            str(item.urgency),
            words.text(item.reason),
        )
        for item in results.worklist.items
    )
    blocks: tuple[Block, ...] = (
        Table(
            caption=words("Reading order (◂ marks this patient)"),
            heads=tuple(map(words, heads)),
            rows=rows,
            numeric=frozenset({3}),
            widths=(0.8, 1.4, 1.5, 0.8, 3.4),
        ),
    )
    if not rows:
        blocks = (Paragraph(words("No examination is waiting."), Tone.CALM),)
    return Section(
        anchor="worklist",
        title=words("Worklist"),
        lead=words("Which examination should be read first."),
        blocks=blocks,
    )


def limits(results: CaseResults, words: Words) -> Section:
    """Return the chapter on limits and provenance."""
    provenance = results.provenance
    return Section(
        anchor="limits",
        title=words("Limits and provenance"),
        lead=words("What this report does not know, and what it was made from."),
        blocks=(
            *(Paragraph(words(limit)) for limit in LIMITS),
            Facts(
                (
                    (words("Version"), f"Aegle {clean(provenance.version)}"),
                    (words("Made"), words.moment(provenance.now)),
                )
            ),
            _stages(results, words),
            _inputs(results, words),
        ),
    )


def _stages(results: CaseResults, words: Words) -> Table:
    return Table(
        caption=words("Stages"),
        heads=tuple(map(words, ("Stage", "Options", "Key"))),
        rows=tuple(
            plain(clean(words.name(stage.name)), _options(stage.options), stage.key[:16])
            for stage in results.provenance.stages
        ),
        widths=(1, 4.5, 1.5),
    )


def _options(text: str) -> str:
    """Return options as ``name: value`` pairs; as they are if they are not JSON."""
    try:
        options = json.loads(text)
    except ValueError:
        return clean(text)
    if not isinstance(options, dict):
        return clean(text)
    pairs = (f"{name}: {_value(value)}" for name, value in options.items())
    return clean("; ".join(pairs)) or "–"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _inputs(results: CaseResults, words: Words) -> Table:
    return Table(
        caption=words("Inputs"),
        heads=tuple(map(words, ("File", "SHA-256"))),
        rows=tuple(plain(clean(name), digest) for name, digest in results.provenance.inputs),
        widths=(3, 4),
    )
