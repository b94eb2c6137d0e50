"""The HTML report: complete, self-contained, safe and readable without eyes."""

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from aegle.domain.errors import OptionError
from aegle.report import document, html

LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module", params=LANGUAGES)
def page(request, case):
    return html.render(document.build(case, request.param))


class Reader(HTMLParser):
    """Collects tags with their attributes, and the text that is shown."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.shown, self._hidden = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._hidden = tag in ("style", "script")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self.shown.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.shown).split())


@pytest.fixture(scope="module")
def shown(page):
    return Reader(page).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_same_results_give_the_same_bytes(case, tmp_path, language):
    first = html.write(case, tmp_path / "a.html", language=language).read_bytes()
    document._made.pop(case)
    second = html.write(case, tmp_path / "b.html", language=language).read_bytes()

    assert first == second


def test_nothing_is_left_beside_the_report(case, tmp_path):
    html.write(case, tmp_path / "deep" / "report.html", language="en")

    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_chapters_come_in_order(case):
    anchors = [s.anchor for s in document.build(case, "en").sections]

    assert anchors == ["find", "suggest", "plan", "follow", "worklist", "limits"]


@pytest.mark.parametrize(
    "told",
    [
        # diameters, volumes and values of lesions
        *("34.2", "27.4", "20.4", "16.3", "19.8", "15.8", "16.6", "13.3"),
        *("35 ± 18 (88) HU", "6.54 ± 1.25 (9.87) SUV", "−820 ± 18 HU"),
        # rule
        *("4B", "30.8 mm", "JACR 2024;21:473"),
        # plan
        *("58.8 Gy", "≥ 57 Gy", "D95%", "12.3 Gy", "≤ 45 Gy", "V20Gy", "32.0 %", "4.6 Gy"),
        *("60.12", "9.87", "2.34", "3321.0", "260", "0.67", "−85.0, −10.0, 130.0"),
        # follow-up
        *("−40.4 %", "−42.1 %", "−2.9 %", "2.4 mm", "1.2 mm", "0.812 → 0.957", "3.9 mm"),
        # provenance
        *("visit1/IM<0001>", "ab" * 32, "cd" * 8, "air_hu: -320", "0.1.0", "2026-07-01 08:00"),
    ],
)
def test_number_of_the_results_is_shown(shown, told):
    assert told in shown


def test_all_volumes_are_shown(page, case):
    shown = Reader(page).text
    volumes = [o.volume_ml for f in case.findings.visits for o in f.organs]

    assert all(f"{v:.0f}" in shown or f"{v:.1f}" in shown for v in volumes)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ("Progressive disease (PD)", "Partial response (PR)", "3 of 4 goals met", "1 of 3")),
        ("zh", ("疾病进展 (PD)", "部分缓解 (PR)", "4 项目标中 3 项达标", "第 1 位（共 3 项）")),
    ],
)
def test_summary_answers_first(case, language, told):
    shown = Reader(html.render(document.build(case, language))).text

    first = shown[: len(shown) // 3]
    assert told[0] in first
    assert all(words in shown for words in told)


def test_goals_are_marked_by_more_than_colour(page):
    shown = Reader(page).text

    assert shown.count("✓") == 3
    assert shown.count("✗") == 1


def test_names_cannot_become_markup(page):
    reader = Reader(page)

    assert reader.all("script") == []
    assert "<b>" not in page
    assert "Made<script>alert('x')</script>, Thorax & \"Co\"" in reader.text


def test_nothing_is_loaded_from_elsewhere(page):
    reader = Reader(page)
    loads = [
        attributes.get(name, "")
        for _, attributes in reader.tags
        for name in ("src", "href", "srcset", "action", "data", "poster")
    ]

    assert all(load.startswith(("data:", "#")) for load in loads if load)
    assert all(url.startswith("data:") for url in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert "default-src 'none'" in next(
        meta["content"] for meta in reader.all("meta") if "http-equiv" in meta
    )


def test_pictures_say_what_they_show_and_are_small(page):
    pictures = Reader(page).all("img")
    sizes = [len(base64.b64decode(p["src"].partition(",")[2])) for p in pictures]

    assert len(pictures) > 20
    assert all(p["alt"].strip() for p in pictures)
    assert max(sizes) <= 150_000
    assert len(page.encode()) < 6_000_000


def test_tables_name_their_rows_and_columns(page):
    reader = Reader(page)
    scopes = {attributes.get("scope") for attributes in reader.all("th")}

    assert scopes == {"col", "row"}
    assert len(reader.all("caption")) == len(reader.all("table")) > 5


def test_headings_do_not_skip_a_level(page):
    levels = [int(tag[1]) for tag, _ in Reader(page).tags if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_language_is_declared(case):
    for language, declared in (("en", "en"), ("zh", "zh-CN")):
        page = html.render(document.build(case, language))
        assert Reader(page).all("html") == [{"lang": declared}]


def test_chinese_font_travels_with_the_chinese_report_only(case):
    assert "font/woff" in html.render(document.build(case, "zh"))
    assert "font/woff" not in html.render(document.build(case, "en"))


def test_empty_parts_say_why(nothing):
    shown = Reader(html.render(document.build(nothing, "en"))).text

    assert "no CT to plan on" in shown
    assert "only one visit" in shown
    assert "No lesion was delineated or found at this visit." in shown
    assert "No examination is waiting." in shown


def test_unknown_language_is_refused_and_nothing_written(case, tmp_path):
    with pytest.raises(OptionError):
        html.write(case, tmp_path / "x.html", language="klingon")

    assert list(tmp_path.iterdir()) == []
