"""The demo from images to report: wall time and peak memory beside what it may need."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.line import Line

BUDGET_S = 360
BUDGET_GIB = 4


def demo() -> Iterator[Line]:
    """Measure ``aegle demo`` in a fresh process against what it is allowed to need."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "aegle", "demo", "--out", str(Path(name, "demo"))]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        wall_s = time.perf_counter() - start
    peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    yield Line(what="demo, three visits", ours=wall_s, unit="s", peer="budget", theirs=BUDGET_S)
    yield Line(
        what="demo, peak memory", ours=peak_gib, unit="GiB", peer="budget", theirs=BUDGET_GIB
    )
