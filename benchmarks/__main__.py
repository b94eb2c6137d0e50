"""Run every benchmark and write ``benchmarks/RESULTS.md``."""

import platform
from datetime import date
from pathlib import Path

from benchmarks import gamma, journey, planning, reading, segmentation, training
from benchmarks.line import Line

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results

Written by `make bench`. Ratios are ours divided by the peer's in the same run, on the same files,
after a warm-up; the better of the repetitions counts for both. Below 1 we need less.

"""

MEASURES = (
    reading.header_scan,
    reading.series_read,
    training.base_cnn,
    segmentation.resampling,
    segmentation.export,
    segmentation.sliding_window,
    segmentation.many_classes,
    gamma.gamma,
    planning.planning,
    journey.demo,
)


def main() -> None:
    """Measure, print and write."""
    lines: list[Line] = []
    for measure in MEASURES:
        for line in measure():
            print(line.text, flush=True)
            lines.append(line)
    where = f"{platform.machine()}, {reading.processors()} processors, Python "
    facts = f"Measured {date.today()} on {where}{platform.python_version()}.\n\n"
    table = "| What | Aegle | Peer | Ratio |\n|---|---|---|---|\n"
    RESULTS.write_text(HEAD + facts + table + "".join(f"{line.row}\n" for line in lines))


if __name__ == "__main__":
    main()
