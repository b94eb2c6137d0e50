"""The course of an optimisation on a terminal."""

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aegle.cli import console
from aegle.cli.course import BARS, WIDTH, CourseView, sparkline
from aegle.domain.course import Course, Watcher


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ((1, 2, 3, 4, 5, 6, 7, 8), BARS),
        ((8, 1), "█▁"),
        ((5, 5, 5), "▁▁▁"),
        ((float("nan"), 1, 2), "▁█"),
        # More than a factor of ten: even steps of the logarithm.
        ((1, 100, 10_000), "▁▅█"),
        ((), ""),
    ],
)
def test_sparkline_of_known_values(values, drawn):
    assert sparkline(values) == drawn


@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=300))
def test_sparkline_keeps_order_ends_and_width(values):
    drawn = sparkline(values)

    assert len(drawn) == min(len(values), WIDTH)
    heights = [BARS.index(bar) for bar in drawn]
    assert (heights[0] <= heights[-1]) == (values[0] <= values[-1]) or heights[0] == heights[-1]


def course(done, objective, dose_gy):
    return Course(done=done, steps=10, objective=objective, doses={"PTV D95": dose_gy})


def shown(view):
    told = Console(file=io.StringIO(), width=120)
    told.print(view)
    return told.file.getvalue()


def test_view_shows_the_latest_values_and_forgets_them():
    view = CourseView()
    assert shown(view).strip() == ""

    for done, (objective, dose_gy) in enumerate([(4.0, 50.0), (2.0, 55.0), (1.0, 59.94)]):
        view.watch(course(done, objective, dose_gy))

    lines = shown(view).splitlines()
    assert lines[0].split() == ["objective", "█▃▁", "1"]
    assert lines[1].split() == ["PTV", "D95", "▁▅█", "59.9", "Gy"]
    view.clear()
    assert shown(view).strip() == ""


def test_terminal_is_redrawn_while_a_stage_runs(monkeypatch):
    told = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(console, "errors", told)

    with console.progress() as announce:
        progress = announce(SimpleNamespace(name="plan"), False)
        assert isinstance(progress, Watcher)
        progress(3, 10)
        progress.watch(course(3, 0.125, 58.2))

    drawn = told.file.getvalue()
    assert "plan" in drawn
    assert "58.2 Gy" in drawn


def test_the_next_stage_starts_without_a_course(monkeypatch):
    told = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(console, "errors", told)

    with console.progress() as announce:
        announce(SimpleNamespace(name="plan"), False).watch(course(3, 0.125, 58.2))
        announce(SimpleNamespace(name="report"), False)

    assert "58.2 Gy" not in told.file.getvalue().split("report")[-1]


def test_nobody_watches_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(console, "errors", Console(file=io.StringIO(), force_terminal=False))

    with console.progress() as announce:
        assert not isinstance(announce(SimpleNamespace(name="plan"), False), Watcher)
