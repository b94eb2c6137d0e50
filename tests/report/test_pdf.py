"""The PDF report, read back with poppler."""

import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import aegle
from aegle.report import document, drawing, pdf
from aegle.report.blocks import Pictures


@pytest.fixture(scope="module")
def pages(case, tmp_path_factory, require_program):
    """Return the text of each page of the English and Chinese report."""
    folder = tmp_path_factory.mktemp("pdf")

    def read(language):
        path = pdf.write(case, folder / f"{language}.pdf", language=language)
        program = require_program("pdftotext", "poppler-utils")
        done = subprocess.run([program, "-layout", str(path), "-"], capture_output=True, check=True)
        return done.stdout.decode("utf-8").rstrip("\f").split("\f")

    return {"en": read("en"), "zh": read("zh")}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_same_report_gives_the_same_bytes(case, tmp_path, language):
    first = pdf.write(case, tmp_path / "a.pdf", language=language).read_bytes()
    second = pdf.write(case, tmp_path / "b.pdf", language=language).read_bytes()

    assert first == second
    assert first.startswith(b"%PDF")


def test_every_page_names_patient_date_number_and_limit_of_use(pages):
    count = len(pages["en"])

    for number, text in enumerate(pages["en"], start=1):
        assert "Made<script>alert('x')</script>, Thorax" in text
        assert "2026-07-01" in text
        assert aegle.RESEARCH_USE in text
        assert f"Page {number} of {count}" in text


def test_chinese_pages_carry_chinese_frames(pages):
    count = len(pages["zh"])

    for number, text in enumerate(pages["zh"], start=1):
        assert f"第 {number} 页，共 {count} 页" in text
        assert "仅供科研使用" in text


@pytest.mark.parametrize(
    "told",
    [
        *("34.2", "27.4", "20.4", "16.6", "35 ± 18 (88) HU", "6.54"),
        *("4B", "58.8 Gy", "✓ met", "✗ not met", "60.12", "−85.0, −10.0, 130.0"),
        *("Progressive disease (PD)", "−42.1 %", "0.812 → 0.957", "visit1/IM<0001>"),
    ],
)
def test_number_of_the_results_is_shown(pages, told):
    assert told in " ".join(pages["en"])


@pytest.mark.parametrize("told", ["疾病进展", "部分缓解", "长径", "计划靶区", "阅片次序", "达标"])
def test_chinese_words_can_be_read_and_searched(pages, told):
    assert told in "".join(pages["zh"])


def test_nothing_known_is_still_a_report(nothing):
    assert pdf.render(document.build(nothing, "zh")).startswith(b"%PDF")


def test_no_heading_is_left_alone_at_the_foot_of_a_page(pages):
    """Whatever is in a chapter, its title is not the last thing above the footer."""
    titles = ("Find", "Suggestions", "Plan", "Follow-up", "Worklist", "Limits and provenance")
    for text in pages["en"]:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        below = [line for line in lines if not line.startswith(("Research software", "Page "))]
        assert not re.fullmatch(rf"\d\s+({'|'.join(titles)})", below[-1])
        # Captions of a row of pictures begin like a visit's heading and may end a page.
        is_caption = below[-1].endswith(" mm")
        assert is_caption or not below[-1].startswith("Visit ") or "·" not in below[-1]


def test_a_thousand_slices_do_not_lengthen_the_report(case, pages):
    slices = tuple((f"ct/{n:04d}.dcm", f"{n:064x}") for n in range(1000))
    provenance = replace(case.provenance, inputs=slices)
    report = document._build(replace(case, provenance=provenance), document.words("en"))

    assert pdf.render(report).count(b"/Type /Page\n") <= len(pages["en"]) + 1


def test_the_last_row_of_pictures_is_not_alone():
    picture = drawing.Picture(
        data=drawing.draw(drawing.Scene(base=np.zeros((4, 4, 3), np.uint8), pixel_mm=(1.0, 1.0)))[
            0
        ],
        media_type="image/jpeg",
        width=600,
        height=480,
        alt="",
    )
    rows = {n: len(list(pdf._pictures(Pictures(items=(picture,) * n)))) for n in (1, 3, 5, 7, 10)}

    assert rows == {1: 1, 3: 1, 5: 1, 7: 2, 10: 3}
