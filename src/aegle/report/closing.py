"""The last chapters: who goes first, and what all of it rests on."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import PurePath

from aegle.domain.case import CaseResults
from aegle.report.blocks import Block, Cell, Facts, Folded, Paragraph, Section, Table, Tone, plain
from aegle.report.language import Words, clean, shortened

STRUCTURES = (
    "Structures and lesions are found automatically unless their origin says otherwise; check "
    "each contour."
)
DOSE = "Dose is calculated with a simplified beam model and serves comparison, not treatment."
LIMITS = (
    STRUCTURES,
    "Diameters are measured on the slices of the image; their error is about one voxel.",
    DOSE,
    "Categories and responses follow the published rules named beside them; what a rule needs "
    "and the images do not show is not known here.",
)

COMBINED = (
    "Several files of one kind have one combined SHA-256: that of the list which sha256sum writes "
    "for them in order of name."
)


def worklist(results: CaseResults, words: Words) -> Section:
    """Return the chapter on the order of reading."""
    own = {visit.study_uid for visit in results.examinations.visits}
    heads = ("Position", "Patient", "Examination", "Urgency", "Reason")
    rows = tuple(
        plain(
            f"{item.position} ◂" if item.study_uid in own else str(item.position),
            shortened(clean(item.patient_id)),
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


def limits(results: CaseResults, words: Words, sentences: tuple[str, ...] = LIMITS) -> Section:
    """Return the chapter on limits and provenance."""
    provenance = results.provenance
    return Section(
        anchor="limits",
        title=words("Limits and provenance"),
        lead=words("What this report does not know, and what it was made from."),
        blocks=(
            *(Paragraph(words(limit)) for limit in sentences),
            Facts(
                (
                    (words("Version"), f"Aegle {clean(provenance.version)}"),
                    (words("Made"), words.moment(provenance.now)),
                )
            ),
            _stages(results, words),
            *_inputs(results, words),
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


def _inputs(results: CaseResults, words: Words) -> tuple[Block, ...]:
    """Return one digest for each kind of file of a folder, and all of them to unfold."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, digest in sorted(results.provenance.inputs):
        path = PurePath(name)
        groups.setdefault((str(path.parent), path.suffix), []).append((name, digest))
    whole = Table(
        caption=words("Inputs"),
        heads=tuple(map(words, ("File", "SHA-256"))),
        rows=tuple(_input_row(members, words) for members in groups.values()),
        widths=(3, 4),
    )
    if all(len(members) == 1 for members in groups.values()):
        return (whole,)
    each = Table(
        caption=words("Every file"),
        heads=whole.heads,
        rows=tuple(plain(clean(name), digest) for name, digest in results.provenance.inputs),
    )
    return whole, Paragraph(words(COMBINED), Tone.CALM), Folded(each)


def _input_row(members: list[tuple[str, str]], words: Words) -> tuple[Cell, ...]:
    first, last = members[0], members[-1]
    if len(members) == 1:
        return plain(clean(first[0]), first[1])
    told = words(
        "{count} files: {first} … {last}",
        count=len(members),
        first=clean(first[0]),
        last=clean(last[0]),
    )
    return plain(told, combined_digest(members))


def combined_digest(members: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 over the lines ``digest``, two spaces, ``name``, in order of name."""
    lines = (f"{digest}  {name}\n" for name, digest in sorted(members))
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()
