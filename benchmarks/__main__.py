"""Run benchmarks and write ``benchmarks/RESULTS.md``.

``python -m benchmarks`` runs all; ``python -m benchmarks planning.planning`` runs one, and what the
others measured before stays.
"""

import platform
import re
import sys
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

from benchmarks import (
    conformal,
    follow_up,
    gamma,
    journey,
    planning,
    reading,
    registration,
    segmentation,
    training,
)
from benchmarks.line import Line

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results

Written by `make bench`. Ratios are ours divided by the peer's in the same run, on the same files,
after a warm-up; the better of the repetitions counts for both. Below 1 we need less.
`python -m benchmarks NAME` measures one part anew.
"""

MEASURES: tuple[Callable[[], Iterable[Line]], ...] = (
    reading.header_scan,
    reading.series_read,
    training.base_cnn,
    segmentation.resampling,
    segmentation.export,
    segmentation.sliding_window,
    segmentation.many_classes,
    gamma.gamma,
    planning.planning,
    follow_up.matching,
    follow_up.diameters,
    follow_up.response,
    registration.alignment,
    registration.verdicts,
    conformal.sets,
    journey.demo,
)


def main() -> None:
    """Measure, print and write."""
    known = {_name(measure): measure for measure in MEASURES}
    wanted = sys.argv[1:] or list(known)
    if unknown := sorted(set(wanted) - set(known)):
        sys.exit(f"No benchmark {', '.join(unknown)}; known: {', '.join(known)}.")
    parts = _earlier()
    for name in wanted:
        lines = []
        for line in known[name]():
            print(line.text, flush=True)
            lines.append(line.row)
        if lines:
            parts[name] = _part(lines)
            RESULTS.write_text(HEAD + "".join(f"\n## {n}\n{parts[n]}" for n in known if n in parts))


def _name(measure: Callable[[], Iterable[Line]]) -> str:
    return f"{measure.__module__.removeprefix('benchmarks.')}.{measure.__name__}"


def _earlier() -> dict[str, str]:
    """Return what stands in the file, by the name of the benchmark."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    found = re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: part.rstrip("\n") + "\n" for name, part in found}


def _part(rows: Iterable[str]) -> str:
    where = f"{platform.machine()}, {reading.processors()} processors, Python "
    facts = f"\nMeasured {date.today()} on {where}{platform.python_version()}.\n\n"
    table = "| What | Aegle | Peer | Ratio |\n|---|---|---|---|\n"
    return facts + table + "".join(f"{row}\n" for row in rows)


if __name__ == "__main__":
    main()
