"""The chapter on follow-up: the same lesions at every visit, and how the tumour responds."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aegle.domain.case import CaseResults
from aegle.domain.finding import Lesion
from aegle.domain.followed import followed_images
from aegle.domain.registration import Registration, Verdict
from aegle.domain.response import FollowUp, Response, ResponseCategory
from aegle.domain.study import Image
from aegle.domain.timeline import TimelineEntry
from aegle.domain.volume import Quantity
from aegle.report.aligned import aligned_slices
from aegle.report.blocks import (
    Block,
    Card,
    Cell,
    Paragraph,
    Pictures,
    Section,
    Table,
    Tone,
)
from aegle.report.change import changed_tissue
from aegle.report.charts import Visit, chart, chart_picture, encoded, plot_trend
from aegle.report.course import TONES, case_from_baseline, central_slices, response_table
from aegle.report.drawing import Picture
from aegle.report.find import findings_of, picture_of, subject_of
from aegle.report.language import Words, clean
from aegle.report.lesion_values import values_of_lesions
from aegle.report.shades import Palette, Window
from aegle.report.slices import Place, close_up, empty_close_up

MOST_TRACKS = 6
"""Lesions that are pictured over time; more would bury the reader."""
RESPONSE_TONES = TONES
RESPONSE_NAMES = {
    category: category.name.replace("_", " ").capitalize() for category in ResponseCategory
}
VERDICT_TONES = {Verdict.GOOD: Tone.GOOD, Verdict.DOUBTFUL: Tone.WARN, Verdict.FAILED: Tone.BAD}


def section(results: CaseResults, words: Words, palette: Palette) -> Section:
    """Return the chapter."""
    results = case_from_baseline(results)
    following = results.following
    reason = words.text(following.reason)
    blocks: list[Block] = []
    if following.follow_up is None:
        blocks.append(Paragraph(reason or words("There is no follow-up."), Tone.CALM))
    else:
        if reason:
            blocks.append(Paragraph(reason))
        blocks += _follow_up(results, following.follow_up, words, palette)
    return Section(
        anchor="follow",
        title=words("Follow-up"),
        lead=words("The same lesions at every visit, and how the tumour responds."),
        blocks=tuple(blocks),
    )


def overview(results: CaseResults, words: Words) -> tuple[Block, ...]:
    """Return the responses, trends and lesions in short, for the page of the course."""
    results = case_from_baseline(results)
    follow_up = results.following.follow_up
    if follow_up is None:
        return (Paragraph(words.text(results.following.reason), Tone.CALM),)
    labels = _labels(results, words)
    reason = words.text(results.following.reason)
    told = [*([Paragraph(reason)] if reason else []), *_cautions(results, words)]
    told += changed_tissue(follow_up, labels, words)
    if not follow_up.timeline.entries:
        return tuple(told)
    return (
        *told,
        response_table(follow_up, labels, words),
        _trend(results, follow_up, words),
        _lesion_table(results, follow_up, words),
        *_values(results, follow_up, words),
    )


def _values(results: CaseResults, follow_up: FollowUp, words: Words) -> list[Block]:
    labels, visits = _labels(results, words), chart_visits(results, words)
    return values_of_lesions(results, follow_up, labels, visits, words)


def _labels(results: CaseResults, words: Words) -> list[str]:
    count = len(results.examinations.visits)
    return [visit_label(results, visit, words) for visit in range(count)]


def _central(results: CaseResults, follow_up: FollowUp, words: Words) -> list[Pictures]:
    labels = dict(enumerate(_labels(results, words)))
    return central_slices(aligned_slices(results, follow_up), labels, words)


def _cautions(results: CaseResults, words: Words) -> list[Block]:
    return [Paragraph(words.text(text), Tone.WARN) for text in results.following.cautions]


def _follow_up(
    results: CaseResults, follow_up: FollowUp, words: Words, palette: Palette
) -> list[Block]:
    if not follow_up.timeline.entries:
        return [
            *_cautions(results, words),
            *changed_tissue(follow_up, _labels(results, words), words),
            *_central(results, follow_up, words),
            *_alignments(results, follow_up, words),
        ]
    return [
        *_cautions(results, words),
        *(_response_card(results, response, words) for response in follow_up.responses),
        _trend(results, follow_up, words),
        _lesion_table(results, follow_up, words),
        *_values(results, follow_up, words),
        *_questions(results, follow_up, words),
        *_central(results, follow_up, words),
        *_track_pictures(results, follow_up, words, palette),
        *_alignments(results, follow_up, words),
    ]


def visit_label(results: CaseResults, visit: int, words: Words) -> str:
    """Return number and date of a visit."""
    time = results.examinations.visits[visit].time
    return f"{words('Visit {number}', number=visit + 1)} · {words.day(time)}"


def response_words(category: ResponseCategory, words: Words) -> str:
    """Return a response in full with its letters."""
    return f"{words(RESPONSE_NAMES[category])} ({category.value})"


def _response_card(results: CaseResults, response: Response, words: Words) -> Card:
    facts = [
        (words("Reason"), words.text(response.reason)),
        (words("Sum of target lesions"), f"{response.sum_mm:.1f} mm"),
        (words("Sum at baseline"), f"{response.baseline_mm:.1f} mm"),
        (words("Smallest sum before (nadir)"), f"{response.nadir_mm:.1f} mm"),
        (words("Change from baseline"), _change(response.sum_mm, response.baseline_mm)),
        (words("Change from nadir"), _change(response.sum_mm, response.nadir_mm)),
    ]
    if response.doubt is not None:
        facts.append((words("Uncertain"), words.text(response.doubt)))
    if response.probabilities and response.assumed_error:
        chances = ", ".join(f"{name} {100 * p:.0f} %" for name, p in response.probabilities)
        told = words.text(response.assumed_error)
        facts.append((words("Probability given measurement error"), f"{chances}. {told}"))
    if response.citation:
        facts.append((words("Source"), clean(response.citation)))
    visit = visit_label(results, response.visit, words)
    return Card(
        title=f"{visit} · {clean(words.name(response.criterion))}",
        chip=Cell(
            text=response_words(response.category, words), tone=RESPONSE_TONES[response.category]
        ),
        facts=tuple(facts),
    )


def _change(now_mm: float, before_mm: float) -> str:
    if not before_mm > 0 or not np.isfinite(now_mm):
        return "–"
    return f"{100 * (now_mm - before_mm) / before_mm:+.1f} %".replace("-", "−")


def chart_visits(results: CaseResults, words: Words) -> list[Visit]:
    """Return where each visit stands on the time axis: by date, or by number if one has none."""
    visits = results.examinations.visits
    times = [visit.time for visit in visits]
    days = [(t - times[0]).total_seconds() / 86400 for t in times if t and times[0]]
    dated = len(days) == len(visits) and all(b > a for a, b in pairwise(days))
    places = days if dated else [float(n) for n in range(len(visits))]
    return [
        Visit(place, f"{words('Visit {number}', number=n + 1)}\n{words.day(times[n])}")
        for n, place in enumerate(places)
    ]


def _trend(results: CaseResults, follow_up: FollowUp, words: Words) -> Pictures:
    figure, axes = chart()
    plot_trend(axes, follow_up, chart_visits(results, words), words)
    alt = words(
        "Diameter of each lesion and the sum of target lesions over the visits; the values "
        "stand in the table below."
    )
    return Pictures(
        title=words("Lesions over time"),
        items=(chart_picture(encoded(figure), alt),),
        is_wide=True,
    )


def _lesion_table(results: CaseResults, follow_up: FollowUp, words: Words) -> Table:
    visits = range(len(results.examinations.visits))
    tracks = dict.fromkeys(e.track for e in follow_up.timeline.entries)
    return Table(
        caption=words("Lesions at every visit"),
        heads=(
            words("Lesion"),
            words("Role"),
            *(visit_label(results, visit, words) for visit in visits),
        ),
        rows=tuple(_track_row(follow_up, track, len(visits), words) for track in tracks),
        widths=(0.6, 1.1, *(2.0 for _ in visits)),
    )


def _track_row(follow_up: FollowUp, track: str, visits: int, words: Words) -> tuple[Cell, ...]:
    own = {e.visit: e for e in follow_up.timeline.entries if e.track == track}
    first = own[min(own)]
    role = words("target lesion") if first.is_target else words("non-target lesion")
    if first.is_lymph_node:
        role += f", {words.name('lymph node')}"
    cells = [_entry_cell(own.get(visit), words) for visit in range(visits)]
    return (Cell(text=clean(track)), Cell(text=role), *cells)


def _questions(results: CaseResults, follow_up: FollowUp, words: Words) -> list[Block]:
    """Ask what the matching did not decide."""
    asked = dict.fromkeys(
        f"{visit_label(results, e.visit, words)}: {words.text(e.question)}"
        for e in follow_up.timeline.entries
        if e.question is not None
    )
    return [Paragraph(question, Tone.WARN) for question in asked]


def _entry_cell(entry: TimelineEntry | None, words: Words) -> Cell:
    if entry is None:
        return Cell(text="–")
    parts = [words.name(entry.status), f"{entry.diameter_mm:.1f} mm", f"{entry.volume_ml:.2f} mL"]
    if entry.lesion_id:
        parts.insert(0, clean(" + ".join(entry.parts) or entry.lesion_id))
    if entry.merged_into:
        parts.append(clean(entry.merged_into))
    if entry.probability is not None:
        parts.append(f"p {entry.probability:.2f}")
    if entry.match_distance_mm is not None:
        distance = f"{entry.match_distance_mm:.1f}"
        parts.append(words("{distance} mm from expected place", distance=distance))
    return Cell(text=" · ".join(parts))


def _track_pictures(
    results: CaseResults, follow_up: FollowUp, words: Words, palette: Palette
) -> list[Block]:
    entries = follow_up.timeline.entries
    size: dict[str, float] = {}
    for entry in entries:
        size[entry.track] = max(entry.diameter_mm, size.get(entry.track, 0.0))
    targets = {e.track for e in entries if e.is_target}
    order = sorted(size, key=lambda t: (t not in targets, -size[t], t))[:MOST_TRACKS]
    rows = [(track, _pictures_of(results, follow_up, track, words, palette)) for track in order]
    return [
        Pictures(
            title=words("Lesion {track} at every visit", track=clean(track)), items=tuple(items)
        )
        for track, items in rows
        if items
    ]


def _pictures_of(
    results: CaseResults, follow_up: FollowUp, track: str, words: Words, palette: Palette
) -> list[Picture]:
    own = {e.visit: e for e in follow_up.timeline.entries if e.track == track}
    lesions = {visit: _lesion(results, visit, entry) for visit, entry in own.items()}
    seen = {visit: lesion for visit, lesion in lesions.items() if lesion is not None}
    if not seen:
        return []
    largest_mm = max(lesion.diameters.longest_mm for lesion in seen.values())
    row = _Row(results, words, max(60.0, 2.5 * largest_mm), _window(results, seen))
    pictures = []
    for visit in range(len(results.examinations.visits)):
        if visit in seen:
            pictures.append(_seen(row, visit, seen[visit], palette))
        else:
            pictures += _unseen(row, follow_up, visit, seen)
    return pictures


@dataclass(frozen=True, eq=False)
class _Row:
    """What the pictures of one lesion at all visits share."""

    results: CaseResults
    words: Words
    size_mm: float
    window: Window | None


def _window(results: CaseResults, seen: dict[int, Lesion]) -> Window | None:
    """Return the CT window of the first visit that shows a lesion, for all of its pictures."""
    visit = min(seen)
    image = results.examinations.visits[visit].image(seen[visit].image)
    is_ct = image.volume.quantity is Quantity.RADIODENSITY
    return subject_of(results, visit, image).window if is_ct else None


def _lesion(results: CaseResults, visit: int, entry: TimelineEntry) -> Lesion | None:
    lesions = findings_of(results, visit).lesions
    return next((i for i in lesions if i.id == entry.lesion_id), None)


def _seen(row: _Row, visit: int, lesion: Lesion, palette: Palette) -> Picture:
    results, words = row.results, row.words
    image = results.examinations.visits[visit].image(lesion.image)
    subject = subject_of(results, visit, image)
    shown = close_up(subject, lesion, palette, size_mm=row.size_mm, window=row.window)
    label = visit_label(results, visit, words)
    return picture_of(
        shown,
        caption=f"{label} · {clean(lesion.id)} {lesion.diameters.longest_mm:.1f} mm",
        alt=words(
            "{visit}: lesion {lesion}, longest diameter {longest} mm.",
            visit=label,
            lesion=clean(lesion.id),
            longest=f"{lesion.diameters.longest_mm:.1f}",
        ),
    )


def _unseen(row: _Row, follow_up: FollowUp, visit: int, seen: dict[int, Lesion]) -> list[Picture]:
    """Picture the place where a lesion is expected at a visit at which it is not there."""
    results, words = row.results, row.words
    source = min(seen, key=lambda v: (abs(v - visit), v))
    image = _image_like(results, visit, source, seen[source])
    if image is None:
        return []
    place_mm = _carried(follow_up, seen[source].structure.centroid_mm, source, visit)
    label = visit_label(results, visit, words)
    return [
        picture_of(
            empty_close_up(image, place_mm, size_mm=row.size_mm, window=row.window),
            caption=f"{label} · {words('not seen here')}",
            alt=words("{visit}: the place where the lesion is not seen.", visit=label),
        )
    ]


def _image_like(results: CaseResults, visit: int, source: int, lesion: Lesion) -> Image | None:
    visits = results.examinations.visits
    compared = followed_images(visits)
    own = compared[source]
    if own is not None and own.name == lesion.image and compared[visit] is not None:
        return compared[visit]
    modality = visits[source].image(lesion.image).series.modality
    return next((i for i in visits[visit].images if i.series.modality == modality), None)


def _carried(follow_up: FollowUp, place_mm: Place, source: int, visit: int) -> Place:
    """Carry a place from one visit to another through the alignments to baseline."""
    registrations = follow_up.timeline.registrations
    place = np.asarray(place_mm)
    if 0 < source <= len(registrations):
        place = registrations[source - 1].to_fixed(place)
    if 0 < visit <= len(registrations):
        place = registrations[visit - 1].to_moving(place)
    x, y, z = place
    return float(x), float(y), float(z)


def _alignments(results: CaseResults, follow_up: FollowUp, words: Words) -> list[Block]:
    return [
        Card(
            title=words(
                "Alignment of {visit} to baseline", visit=visit_label(results, number, words)
            ),
            chip=Cell(
                text=words.name(registration.verdict), tone=VERDICT_TONES[registration.verdict]
            ),
            facts=(
                (words("Reason"), words.text(registration.reason)),
                (
                    words("Correlation before and after"),
                    f"{registration.correlation_before:.3f} → {registration.correlation_after:.3f}",
                ),
                (words("Shift"), f"{_shift_mm(results, registration):.1f} mm"),
            ),
        )
        for number, registration in enumerate(follow_up.timeline.registrations, start=1)
    ]


def _shift_mm(results: CaseResults, registration: Registration) -> float:
    """Return how far the alignment moves the middle of the baseline image [mm]."""
    images = results.examinations.visits[0].images
    if not images:
        return 0.0
    middle = images[0].volume.grid.centre_mm
    return float(np.linalg.norm(registration.to_moving(middle) - middle))
