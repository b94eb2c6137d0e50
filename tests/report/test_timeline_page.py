"""The page of the course: self-contained, scrollable, complete on paper, in both languages."""

import base64
import hashlib
import json
import re
import subprocess

import pytest
from PIL import Image

from aegle.report import timeline_page
from aegle.report.charts import READERS_ONE, READERS_SUM, interval_mm

BROWSER = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


@pytest.fixture(scope="module", params=("en", "zh"))
def page(request, case):
    return request.param, timeline_page.render(case, request.param)


def test_nothing_is_fetched(page):
    _, text = page

    assert not re.findall(r'(?:src|href)="(?!data:|report\.html|#)[^"]*"', text)
    assert "default-src 'none'" in text


def test_the_script_is_the_one_that_the_policy_allows(page):
    _, text = page
    (allowed,) = re.findall(r"script-src 'sha256-([^']+)'", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)

    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == allowed


def test_every_visit_has_a_picture_of_every_slice(page):
    _, text = page
    (data,) = re.findall(r'<script id="frames" type="application/json">(.*?)</script>', text)
    found = json.loads(data)

    assert len(found["frames"]) == 3
    assert {len(frames) for frames in found["frames"]} == {len(found["heights"])}
    assert len(found["heights"]) == 40


def test_a_name_cannot_smuggle_a_script_in(page):
    _, text = page

    assert text.count("<script") == 2
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        ("en", ["Response at every visit", "Same place at every visit", "Three central slices"]),
        ("zh", ["各次检查的疗效", "各次检查的同一部位", "三个中心层面"]),
    ],
)
def test_response_reason_and_slices_are_told(case, language, wanted):
    text = timeline_page.render(case, language)

    for words in [*wanted, "RECIST 1.1", "2026-06-15"]:
        assert words in text


def test_the_same_case_gives_the_same_page(case):
    assert timeline_page.render(case, "en") == timeline_page.render(case, "en")


def test_limits_of_two_readers_give_the_interval_of_one():
    """Two readers whose values differ by a factor 1.21 to either side: one by 1.21^(1/√2)."""
    low, high = interval_mm(10.0, (1 / 1.21 - 1, 0.21))

    assert (low, high) == pytest.approx((8.739, 11.443), abs=1e-3)
    for limits in (READERS_ONE, READERS_SUM):
        below, above = interval_mm(20.0, limits)
        assert below < 20 < above


def test_a_browser_scrolls_all_visits_together(case, require_program, tmp_path):
    """The script is run: after a jump to the first slice all pictures show theirs."""
    program = require_program("chromium", "chromium")
    path = timeline_page.write(case, tmp_path / "timeline.html", language="en")
    picture = tmp_path / "page.png"
    command = [program, *BROWSER, f"--user-data-dir={tmp_path}", "--enable-logging=stderr"]

    said = subprocess.run(
        [*command, "--window-size=1200,1400", f"--screenshot={picture}", path.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    dom = subprocess.run(
        [*command, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert "CONSOLE" not in said.stderr
    with Image.open(picture) as shown:
        assert len(shown.convert("L").getcolors(256)) > 200
    # The script put the position in words, so it ran, and the policy let it.
    (start,) = re.findall(r'<input id="slice"[^>]* value="(\d+)"', dom.stdout)
    assert f"Slice {int(start) + 1} of 40" in dom.stdout
