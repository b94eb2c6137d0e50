"""Volumes, uptake and growth of a followed lesion are those that were measured."""

from dataclasses import replace

import pytest

from aegle.domain.case import AllFindings, Following
from aegle.domain.finding import LesionUptake
from aegle.report.blocks import Pictures, Table
from aegle.report.follow import chart_visits
from aegle.report.language import words
from aegle.report.lesion_values import values_of_lesions

ENGLISH = words("en")
LABELS = ("first", "second", "third")


def with_volumes(case, volumes_ml, *, half_ml=0.0, peaks=(None, None)):
    """The case with its first two visits alone and other volumes of the tumour."""
    follow_up, visits, entries = case.following.follow_up, [], []
    for number, (volume_ml, peak) in enumerate(zip(volumes_ml, peaks, strict=True)):
        seen = [
            replace(
                lesion,
                volume_ml=volume_ml,
                volume_interval_ml=(volume_ml - half_ml, volume_ml + half_ml),
                uptake=None if peak is None else uptake(peak),
            )
            for lesion in case.findings.visits[number].lesions
        ]
        visits.append(replace(case.findings.visits[number], lesions=tuple(seen)))
        entries += [replace(e, volume_ml=volume_ml) for e in follow_up.timeline.at(number)]
    timeline = replace(follow_up.timeline, entries=tuple(entries))
    return replace(
        case,
        examinations=replace(case.examinations, visits=case.examinations.visits[:2]),
        findings=AllFindings(tuple(visits)),
        following=Following(follow_up=replace(follow_up, timeline=timeline)),
    )


def uptake(peak):
    return LesionUptake(
        image="PT",
        maximum=peak + 1,
        peak=peak,
        peak_at_maximum=peak,
        mean=2.0,
        active_mean=4.0,
        mtv_ml=1.5,
        tlg_g=6.0,
    )


def shown(case):
    blocks = values_of_lesions(
        case, case.following.follow_up, LABELS[:2], chart_visits(case, ENGLISH), ENGLISH
    )
    (table,) = (b for b in blocks if isinstance(b, Table))
    (row,) = table.rows
    return [cell.text for cell in row], [b.title for b in blocks if isinstance(b, Pictures)]


@pytest.mark.parametrize(
    ("volumes_ml", "half_ml", "says"),
    [
        # Twice as large after 63 days: the doubling time is the time between the visits.
        ((2.0, 4.0), 0.0, "doubles in 63 days (63 to 63)"),
        ((2.0, 8.0), 0.0, "doubles in 32 days (32 to 32)"),
        ((4.0, 2.0), 0.0, "halves in 63 days (63 to 63)"),
        # 95 % intervals of ± 25 % each: 1 doubling ± 1.96 √(2 ln(1 + 0.1276²)) / ln 2 = ± 0.51.
        ((2.0, 4.0), 0.25, "doubles in 63 days (42 to 128)"),
        ((2.0, 2.2), 0.25, "no change beyond measurement error"),
        ((2.0, 2.0), 0.0, "no change beyond measurement error"),
    ],
)
def test_growth_is_stated_with_its_interval(case, volumes_ml, half_ml, says):
    half = half_ml * volumes_ml[0] if half_ml else 0.0
    made = with_volumes(case, volumes_ml, half_ml=half)
    if half:
        second = made.findings.visits[1]
        wide = tuple(
            replace(o, volume_interval_ml=(volumes_ml[1] * 0.75, volumes_ml[1] * 1.25))
            for o in second.lesions
        )
        visits = (made.findings.visits[0], replace(second, lesions=wide))
        made = replace(made, findings=AllFindings(visits))

    cells, _ = shown(made)

    assert cells[-1] == says


def test_volume_stands_with_its_interval_and_the_mean_of_its_image(case):
    cells, pictures = shown(with_volumes(case, (2.0, 4.0), half_ml=0.5))

    assert cells[1].splitlines()[0] == "2.00 mL (1.50 to 2.50)"
    assert pictures == ["Volumes over time"]


def test_uptake_is_shown_and_its_course_where_two_visits_have_it(case):
    cells, pictures = shown(with_volumes(case, (2.0, 2.0), peaks=(5.0, 3.0)))
    _, once = shown(with_volumes(case, (2.0, 2.0), peaks=(5.0, None)))

    assert cells[1].splitlines()[-1] == "PT: SUVmax 6.0, SUVpeak 5.0, MTV 1.50 mL, TLG 6.0 g"
    assert pictures == ["Volumes over time", "Uptake over time"]
    assert once == ["Volumes over time"]
