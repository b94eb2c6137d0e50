"""What every command shows: progress and mistakes on the error stream, results on the output."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aegle.cli.course import CourseView

errors = Console(stderr=True, highlight=False, soft_wrap=True)
output = Console(highlight=False, soft_wrap=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="One option, as section.option=value; lists as 0,90."),
]
SECONDS_BETWEEN_LINES = 20.0
"""How often a long step says how far it is, where there is no terminal."""


@contextmanager
def stoppable() -> Iterator[None]:
    """End with words when the user stops a run."""
    try:
        yield
    except KeyboardInterrupt as stop:
        errors.print("aegle: stopped; the same command goes on where this one was", markup=False)
        raise SystemExit(1) from stop


@contextmanager
def progress() -> Iterator[Any]:
    """Give an announcer: a bar per stage on a terminal, a line per stage elsewhere."""
    if not errors.is_terminal:
        yield _announce_line
        return
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars, view, last = Progress(*columns, console=errors), CourseView(), list[Any]()

    def announce(stage: Any, reused: bool) -> Any:
        _finish(bars, last)
        view.clear()
        last[:] = [bars.add_task(f"{stage.name}{' (kept)' if reused else ''}", total=None)]
        return _Shown(bars, last[0], view)

    with Live(Group(bars, view), console=errors):
        yield announce
        _finish(bars, last)


class _Shown:
    """Shows the steps of a stage and, where it optimises, the course."""

    def __init__(self, bars: Progress, task: Any, view: CourseView) -> None:
        self._bars, self._task, self.watch = bars, task, view.watch

    def __call__(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)


def _finish(bars: Progress, last: list[Any]) -> None:
    for task in last:
        bars.update(task, completed=1, total=1)
        bars.stop_task(task)


def _announce_line(stage: Any, reused: bool) -> Any:
    errors.print(f"{stage.name}{' (kept)' if reused else ''} ...", markup=False)
    begun = last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES or not 0 < done < total:
            return
        last = now
        left = (now - begun) / done * (total - done)
        errors.print(f"{stage.name}: {done} of {total}, about {left:.0f} s left", markup=False)

    return say


def print_json(data: Any) -> None:
    """Write plain data to the output stream."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=1) + "\n")
