"""Plans of the TG-119 phantom beside pyRadPlan: the same voxels, beamlets and objective.

pyRadPlan lives in an environment of its own under ``benchmarks/.work``, made on the first run. Its
dependencies are those that planning photons needs; the rest (language models, cloud clients) is
left out. One thread each; times are of the processor. Without the phantom nothing is measured.
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
from benchmarks.planning_references import TG119

PYRADPLAN = "pyRadPlan==0.5.0"
NEEDS = (
    "array-api-compat==1.16.0", "array-api-extra==0.11.5", "array-api-strict==2.6.1", "h5py",
    "huggingface-hub", "jinja2", "matplotlib", "numpy==2.3.5", "numpydantic==2.0.0", "pint==0.25.3",
    "pydantic==2.12.5", "pydantic-settings", "pydicom", "pymatreader", "regex", "safetensors",
    "scipy==1.17.1", "SimpleITK==2.5.7", "tqdm",
)  # fmt: skip
CASE = {
    "core": (0.8, 300.0),
    "target": (2.1, 1000.0),
    "body": (1.2, 100.0),
    "gantry_deg": (0.0, 72.0, 144.0, 216.0, 288.0),
    "beamlet_mm": 5.0,
    "grid_mm": 5.0,
}
"""Levels [Gy per fraction] and weights of the objectives, and the fields."""
NEAR = 1.005
"""The common objective value lies so far above the peer's last. Each engine has its own dose, so
their optima differ by a few tenths of a per cent, and neither reaches the other's exactly."""


def planning() -> Iterator[Line]:
    """Measure set-up, optimisation, growth, memory and robust plans."""
    if not TG119.exists():
        print("planning is left out: the reference data of TG-119 are missing")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield from _five_beams(Path(folder))
        yield from _references(Path(folder))
        yield from _nine_beams(Path(folder))
        yield from _growth(Path(folder))
        yield from _robust(Path(folder))


def _five_beams(folder: Path) -> Iterator[Line]:
    (folder / "task.json").write_text(json.dumps(CASE))
    python = environment("pyradplan", NEEDS, alone=(PYRADPLAN,))
    peer = Path(__file__).with_name("planning_peer.py")
    theirs = _run([str(python), str(peer), str(folder)])
    ours = _part("five_beams", folder)
    wanted = NEAR * ours["theirs"]
    ours_s = _until(ours["values"], ours["times_s"], wanted)
    steps = len(theirs["values"])
    each_s = theirs["optimise_s"] / max(steps, 1)
    theirs_s = _until(theirs["values"], [each_s * (n + 1) for n in range(steps)], wanted)
    what = "5 beams of TG-119, 5 mm"
    yield Line(
        what=f"{what}: set-up",
        ours=ours["set_up_s"],
        unit="CPU-s",
        peer=f"{PYRADPLAN}, dose influence",
        theirs=theirs["set_up_s"],
    )
    yield Line(
        what=f"{what}: set-up and optimisation to an objective of {wanted:.4g}",
        ours=ours["set_up_s"] + ours_s,
        unit="CPU-s",
        peer=f"{PYRADPLAN}, to the same value",
        theirs=theirs["set_up_s"] + theirs_s,
    )
    yield Line(
        what=f"{what}: set-up and optimisation to each one's own convergence",
        ours=ours["set_up_s"] + ours["times_s"][-1],
        unit="CPU-s",
        peer=PYRADPLAN,
        theirs=theirs["set_up_s"] + theirs["optimise_s"],
    )
    yield Line(
        what=f"{what}: objective at convergence, each by its own dose",
        ours=ours["values"][-1],
        unit="",
        peer=PYRADPLAN,
        theirs=ours["theirs"],
    )
    yield Line(
        what=f"{what}: objective at convergence, both by pyRadPlan's dose",
        ours=ours["ours_on_matrix"],
        unit="",
        peer=PYRADPLAN,
        theirs=ours["theirs"],
    )


def _until(values: Sequence[float], times_s: Sequence[float], wanted: float) -> float:
    """Return when a value is reached [s]."""
    for value, time_s in zip(values, times_s, strict=True):
        if value <= wanted:
            return time_s
    raise RuntimeError(f"An objective of {wanted:g} was not reached; the last is {values[-1]:g}.")


def _references(folder: Path) -> Iterator[Line]:
    """Say how far stored plans of others agree; matRad traces rays through the CT's own voxels."""
    for name, found in _part("references", folder).items():
        engine, *_, case = name.split("_", 2)
        yield Line(
            what=f"gamma 1 %/1 mm of our dose, {case}",
            ours=found["pass_percent"],
            unit="%",
            peer=f"{engine}, all",
            theirs=100.0,
            higher_is_better=True,
        )
        yield Line(
            what=f"median difference of our dose from {engine}'s, {case}",
            ours=100 * abs(found["median_ratio"] - 1),
            unit="%",
            peer="allowed",
            theirs=0.2,
        )


def _nine_beams(folder: Path) -> Iterator[Line]:
    found = _part("nine_beams", folder)
    what = f"9 beams on the CT grid of TG-119, {found['iterations']} iterations"
    limits = (("seconds", "CPU-s", 40.0), ("peak_gb", "GB", 0.8))
    for name, unit, limit in limits:
        yield Line(
            what=f"{what}, {'whole plan' if name == 'seconds' else 'peak memory of the process'}",
            ours=found[name],
            unit=unit,
            peer="allowed",
            theirs=limit,
        )


def _growth(folder: Path) -> Iterator[Line]:
    found = _part("growth", folder)
    for name, what in (("voxels", "5 beams, over voxels"), ("beams", "5 mm, over beams")):
        (fewest, least_s), (most, most_s) = found[name][0], found[name][-1]
        middle = ", ".join(f"{count}: {time_s:.3g} s" for count, time_s in found[name])
        yield Line(
            what=f"set-up and one gradient, {what} ({middle}): growth of time",
            ours=most_s / least_s,
            unit="times",
            peer="growth of the number",
            theirs=most / fewest,
        )


def _robust(folder: Path) -> Iterator[Line]:
    plain, borne = _part("nominal", folder), _part("robust", folder)
    what = "robust plan, 9 beams and 9 scenarios, 5 mm"
    yield Line(
        what=f"{what}, whole plan",
        ours=borne["seconds"],
        unit="CPU-s",
        peer="10 times the nominal plan",
        theirs=10 * plain["seconds"],
    )
    yield Line(
        what=f"{what}, peak memory of the process",
        ours=borne["peak_gb"],
        unit="GB",
        peer="twice the nominal plan",
        theirs=2 * plain["peak_gb"],
    )


def _part(name: str, folder: Path) -> Any:
    return _run([sys.executable, "-m", "benchmarks.planning_parts", name, str(folder)])


def _run(command: Sequence[str]) -> Any:
    alone = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, env=alone, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])
