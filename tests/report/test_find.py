"""What the tables of findings say about lesions, also when there are none."""

from dataclasses import replace

import pytest

from aegle.domain.case import AllFindings
from aegle.domain.text import Text
from aegle.report import document, find, html, suggest, tracks
from aegle.report.blocks import Card, Pictures, Table
from aegle.report.language import words

SEARCHED = Text("{image}: solid lesions in the lungs from 4 mm on were looked for", {"image": "CT"})
NOT_SEARCHED = Text("{image}: lesions were not looked for: {why}.", {"image": "MR", "why": "-"})
NONE = Text("No lesion was found or delineated.")
OTHER = Text("one file was set aside")


@pytest.mark.parametrize(
    ("notices", "told"),
    [
        ((), False),
        ((OTHER,), False),
        ((NONE,), True),
        ((NOT_SEARCHED,), True),
        ((SEARCHED,), False),
        ((SEARCHED, NOT_SEARCHED), False),
    ],
)
def test_the_report_says_that_there_is_no_lesion_unless_a_notice_does(nothing, notices, told):
    visit = replace(nothing.findings.visits[0], notices=notices)
    quiet = replace(nothing, findings=AllFindings((visit,)))

    page = html.render(document._build(quiet, words("en")))

    assert find.says_why_no_lesion(notices) is told
    assert ("No lesion was delineated or found at this visit." in page) is not told


def test_the_same_notice_is_shown_once(nothing):
    visit = replace(nothing.findings.visits[0], notices=(NOT_SEARCHED, NOT_SEARCHED))

    page = html.render(
        document._build(replace(nothing, findings=AllFindings((visit,))), words("en"))
    )

    assert page.count("lesions were not looked for") == 1


def test_lesions_go_by_their_name_over_all_visits(case):
    entries = case.following.follow_up.timeline.entries
    swapped = tuple(replace(e, track={"T1": "T4", "T2": "T2"}[e.track]) for e in entries)
    timeline = replace(case.following.follow_up.timeline, entries=swapped)
    follow_up = replace(case.following.follow_up, timeline=timeline)
    named = replace(case, following=replace(case.following, follow_up=follow_up))
    report = document._build(named, words("en"))
    tables = [b for b in report.sections[0].blocks if isinstance(b, Table)]
    captions = [
        i.caption for b in report.sections[0].blocks if isinstance(b, Pictures) for i in b.items
    ]

    last = [t for t in tables if t.caption == "Lesions"][-1]
    assert [row[0].text for row in last.rows] == ["L1 · T4", "L2 · T2"]
    assert "L1 · T4: 34.2 × 27.4 mm" in captions
    cards = [b for b in suggest.section(named, words("en")).blocks if isinstance(b, Card)]
    assert cards[0].title == "Lung-RADS v2022 · L1 · T4"


def test_lesions_that_are_not_followed_keep_their_own_name(case, nothing):
    assert tracks.title(case, 0, "L9") == "L9"
    assert tracks.title(nothing, 0, "L1") == "L1"


def test_values_on_several_images_have_a_line_each(case):
    table = next(
        b
        for b in document.build(case, "en").sections[0].blocks
        if isinstance(b, Table) and b.caption == "Lesions"
    )

    assert table.rows[0][-1].text == "CT: 35 ± 18 (88) HU\nPT: 6.54 ± 1.25 (9.87) SUV"
