"""Alignment beside SimpleITK demons, greedy, elastix and ANTs: landmarks, a known field, time.

The peers live in an environment of their own under ``benchmarks/.work``, made on the first run.
All start from the same motion (ours), use the settings named in ``registration_peer`` for every
pair, and none may use masks. The liver images are licensed for non-commercial research: they are
measured on and never kept. Without the pairs only the made CT is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.line import Line
from benchmarks.peers import environment

NEEDS = (
    "SimpleITK==2.5.7",
    "picsl_greedy==1.4.0.3",
    "itk-elastix==0.25.4",
    "antspyx==0.6.3",
    "numpy",
)
PEERS = ("demons", "greedy", "elastix", "ants")
TRIALS = {
    100: ("one kind", "another patient", "empty"),
    20: ("two kinds", "another patient, two kinds"),
}
"""Parts of ``registration_trials`` by the number of made patients."""
WANTED = {"within 1 mm": 0.99, "called failed": 0.95}


def alignment() -> Iterator[Line]:
    """Measure errors and times of every pair."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = _run([sys.executable, "-m", "benchmarks.registration_parts", "pairs", str(folder)])
        python = environment("registration", NEEDS)
        script = Path(__file__).with_name("registration_peer.py")
        for peer in PEERS:
            # elastix leaves files where it stands.
            _run([str(python), str(script), peer, str(folder)], where=folder)
            theirs = _run(
                [sys.executable, "-m", "benchmarks.registration_parts", "judge", str(folder), peer]
            )
            for pair, found in ours.items():
                yield from _lines(pair, found, peer, theirs[pair])


def verdicts() -> Iterator[Line]:
    """Count, on made patients, motions that are found and verdicts that are right."""
    for trials, parts in TRIALS.items():
        script = [sys.executable, "-m", "benchmarks.registration_trials"]
        found = _run([*script, "0", str(trials), *parts])
        yield from (_counted(what, count, trials) for what, count in found.items())


def _counted(what: str, count: int, trials: int) -> Line:
    is_right_pair = what.startswith(("one kind", "two kinds"))
    is_allowed = is_right_pair and what.endswith("called failed")
    share = 0.03 if is_allowed else WANTED[what.split(": ")[1]]
    return Line(
        what=f"made patients, {what}",
        ours=count,
        unit=f"of {trials}",
        peer="allowed at most" if is_allowed else "wanted at least",
        theirs=share * trials,
        higher_is_better=not is_allowed,
    )


def _lines(pair: str, ours: Any, peer: str, theirs: Any) -> Iterator[Line]:
    for name, unit in (("error_mm", "mm"), ("wall_s", "s"), ("cpu_s", "CPU-s")):
        what = {"error_mm": "mean error", "wall_s": "wall", "cpu_s": "processor"}[name]
        yield Line(
            what=f"{pair}: {what}", ours=ours[name], unit=unit, peer=peer, theirs=theirs[name]
        )


def _run(command: Sequence[str], *, where: Path | None = None) -> Any:
    two = os.environ | {"OMP_NUM_THREADS": "2", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "2"}
    done = subprocess.run(command, check=True, env=two, cwd=where, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None
