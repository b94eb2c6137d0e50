"""What a lesion measured at every visit beside its diameter: volume, values, uptake, growth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aegle.domain.case import CaseResults
from aegle.domain.finding import Lesion, LesionUptake
from aegle.domain.growth import PART_WITHIN, Growth, growth
from aegle.domain.response import FollowUp
from aegle.domain.timeline import TimelineEntry
from aegle.report.blocks import Block, Cell, Pictures, Table
from aegle.report.charts import (
    COLOURS,
    MARKERS,
    Visit,
    chart,
    chart_picture,
    encoded,
    finish,
    legend,
)
from aegle.report.find import statistics_words, uptake_words
from aegle.report.language import Words, clean

SLOWEST_DAYS = 3650
"""Doubling or halving times above this are of no use to a reader."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a lesion at one visit, with its 95 % interval where that is known."""

    visit: int
    value: float
    interval: tuple[float, float] | None = None


def values_of_lesions(
    results: CaseResults,
    follow_up: FollowUp,
    labels: Sequence[str],
    visits: Sequence[Visit],
    words: Words,
) -> list[Block]:
    """Return the table of values at every visit, and their course.

    Args:
        results: The case from the baseline on.
        follow_up: The lesions that were followed.
        labels: Of each visit, as the reader knows it.
        visits: Where each stands on the time axis.
        words: Language of the reader.
    """
    tracks = tuple(dict.fromkeys(e.track for e in follow_up.timeline.entries))
    table = Table(
        caption=words("Volume, values and growth"),
        heads=(words("Lesion"), *labels, words("Growth since the visit before")),
        rows=tuple(_row(results, follow_up, track, len(labels), words) for track in tracks),
        widths=(0.5, *(1.6 for _ in labels), 1.4),
    )
    volumes = {t: _volumes(results, follow_up, t) for t in tracks}
    peaks = {t: _peaks(results, follow_up, t) for t in tracks}
    courses = [
        _course(volumes, visits, words("Volumes over time"), words("Volume [mL]"), words),
        _course(peaks, visits, words("Uptake over time"), "SUVpeak [g/mL]", words),
    ]
    return [table, *(picture for picture in courses if picture)]


def _row(
    results: CaseResults, follow_up: FollowUp, track: str, count: int, words: Words
) -> tuple[Cell, ...]:
    own = _entries(follow_up, track)
    cells = [_cell(results, own[v], words) if v in own else Cell(text="–") for v in range(count)]
    return (Cell(text=clean(track)), *cells, Cell(text=_growth(results, own, words)))


def _cell(results: CaseResults, entry: TimelineEntry, words: Words) -> Cell:
    found = _lesions(results, entry)
    if not found:
        return Cell(text="–")
    lines = [_volume(entry, found, words)]
    lines += [
        f"{clean(s.image)}: {statistics_words(s, words)}"
        for s in found[0].statistics
        if s.image == found[0].image
    ]
    if shown := _uptake(found):
        lines.append(f"{clean(shown.image)}: {uptake_words(shown, words)}")
    return Cell(text="\n".join(lines))


def _volume(entry: TimelineEntry, found: Sequence[Lesion], words: Words) -> str:
    interval = _interval(found)
    if interval is None:
        return f"{entry.volume_ml:.2f} mL"
    low, high = (f"{value:.2f}" for value in interval)
    return words("{value} mL ({low} to {high})", value=f"{entry.volume_ml:.2f}", low=low, high=high)


def _growth(results: CaseResults, own: dict[int, TimelineEntry], words: Words) -> str:
    """Say how fast the lesion grew between the last two visits at which it was measured."""
    measured = [v for v in sorted(own) if own[v].volume_ml > 0 and _lesions(results, own[v])]
    if len(measured) < 2:
        return "–"
    first, last = measured[-2:]
    times = [results.examinations.visits[v].time for v in (first, last)]
    if times[0] is None or times[1] is None or not times[1] > times[0]:
        return "–"
    found = growth(
        own[first].volume_ml,
        own[last].volume_ml,
        (times[1] - times[0]).total_seconds() / 86400,
        first_deviation_ml=_deviation_ml(_lesions(results, own[first])),
        second_deviation_ml=_deviation_ml(_lesions(results, own[last])),
    )
    return _growth_words(found, words)


def _growth_words(found: Growth, words: Words) -> str:
    if found.is_growing is None or not abs(found.doubling_days) < SLOWEST_DAYS:
        return words("no change beyond measurement error")
    rates = sorted(
        abs(rate) for rate in (found.low_doublings_per_day, found.high_doublings_per_day)
    )
    days = {
        "days": f"{abs(found.doubling_days):.0f}",
        "low": f"{1 / rates[1]:.0f}",
        "high": f"{1 / rates[0]:.0f}",
    }
    if found.is_growing:
        return words("doubles in {days} days ({low} to {high})", **days)
    return words("halves in {days} days ({low} to {high})", **days)


def _volumes(results: CaseResults, follow_up: FollowUp, track: str) -> list[Point]:
    return [
        Point(visit=v, value=e.volume_ml, interval=_interval(_lesions(results, e)))
        for v, e in _entries(follow_up, track).items()
    ]


def _peaks(results: CaseResults, follow_up: FollowUp, track: str) -> list[Point]:
    return [
        Point(visit=v, value=shown.peak)
        for v, e in _entries(follow_up, track).items()
        if (shown := _uptake(_lesions(results, e)))
    ]


def _course(
    courses: dict[str, list[Point]], visits: Sequence[Visit], title: str, up: str, words: Words
) -> Pictures | None:
    """Return the course of one value over the visits; None if it is known at fewer than two."""
    if len({p.visit for points in courses.values() for p in points}) < 2:
        return None
    figure, axes = chart()
    for number, (track, points) in enumerate(courses.items()):
        colour = COLOURS[(number + 1) % len(COLOURS)]
        axes.plot(
            [visits[p.visit].place for p in points],
            [p.value for p in points],
            marker=MARKERS[number % len(MARKERS)],
            color=colour,
            linewidth=1.5,
            markersize=6,
            label=clean(track),
        )
        for place, (low, high) in _bars(points, visits):
            axes.vlines(place, low, high, color=colour, linewidth=1.1, alpha=0.7)
    axes.set_xticks([v.place for v in visits], [v.label for v in visits])
    axes.margins(x=0.08, y=0.12)
    axes.set_ylim(0, axes.get_ylim()[1])
    finish(axes, "", up, words)
    legend(axes)
    alt = words("{title}; the values stand in the table above.", title=title)
    return Pictures(title=title, items=(chart_picture(encoded(figure), alt),), is_wide=True)


def _bars(
    points: Sequence[Point], visits: Sequence[Visit]
) -> Iterator[tuple[float, tuple[float, float]]]:
    for point in points:
        if point.interval is not None:
            yield visits[point.visit].place, point.interval


def _entries(follow_up: FollowUp, track: str) -> dict[int, TimelineEntry]:
    return {e.visit: e for e in follow_up.timeline.entries if e.track == track}


def _lesions(results: CaseResults, entry: TimelineEntry) -> tuple[Lesion, ...]:
    """Return the lesions of an entry, the one that it is named by first."""
    found = {o.id: o for o in results.findings.visits[entry.visit].lesions}
    names = dict.fromkeys(n for n in (entry.lesion_id, *entry.parts) if n in found)
    return tuple(found[name] for name in names if name is not None)


def _interval(found: Sequence[Lesion]) -> tuple[float, float] | None:
    """Return the 95 % interval of the volume of all parts, taken to err together."""
    each = [lesion.volume_interval_ml for lesion in found]
    known = [one for one in each if one is not None]
    if not found or len(known) < len(each):
        return None
    return sum(low for low, _ in known), sum(high for _, high in known)


def _deviation_ml(found: Sequence[Lesion]) -> float:
    low, high = _interval(found) or (0.0, 0.0)
    return (high - low) / (2 * PART_WITHIN)


def _uptake(found: Sequence[Lesion]) -> LesionUptake | None:
    """Return the uptake of all parts together: the highest values, the sum of what is active."""
    parts = [lesion.uptake for lesion in found if lesion.uptake is not None]
    if not parts:
        return None
    mtv_ml, tlg_g = (sum(getattr(p, name) for p in parts) for name in ("mtv_ml", "tlg_g"))
    hottest = max(parts, key=lambda p: p.peak)
    return LesionUptake(
        image=hottest.image,
        maximum=max(p.maximum for p in parts),
        peak=hottest.peak,
        peak_at_maximum=hottest.peak_at_maximum,
        mean=hottest.mean,
        active_mean=tlg_g / mtv_ml if mtv_ml else 0.0,
        mtv_ml=mtv_ml,
        tlg_g=tlg_g,
    )
