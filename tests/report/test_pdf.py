"""The PDF report, read back with poppler."""

import subprocess

import pytest

import aegle
from aegle.report import document, pdf


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
