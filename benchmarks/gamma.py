"""The gamma index beside pymedphys: the same doses, points and settings, one thread, in one run.

Two made plans of five fields on the grid of the TG-119 phantom (129 × 167 × 167 voxels of
2.5 × 3 × 3 mm) that differ by 0.6 mm, 1.2 % and a little penumbra. pymedphys lives in an
environment of its own under ``benchmarks/.work``, made on the first run; both are timed after a
warm-up, by the clock of the processor.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.line import Line, best
from benchmarks.peers import environment

PYMEDPHYS = "pymedphys==0.41.0"
NEEDS = (PYMEDPHYS, "numba==0.68.1", "numpy==2.4.6", "scipy==1.17.1")
SPACING_MM = (2.5, 3.0, 3.0)
SHAPE = (129, 167, 167)
OTHER_SPACING_MM = (2.0, 2.5, 2.5)
POINTS = 20_000
CUTOFF_PERCENT = 10.0
LARGEST_DIFFERENCE = 1e-5
"""Of gamma, off the rim: on a face, pymedphys' rounding decides whether a place lies inside."""
CASES = (
    ("1 %/1 mm", 1.0, 1.0, SPACING_MM),
    ("3 %/2 mm", 3.0, 2.0, SPACING_MM),
    ("1 %/1 mm on grids of 3 and 2.5 mm", 1.0, 1.0, OTHER_SPACING_MM),
)


def gamma() -> Iterator[Line]:
    """Measure processor time, and how far the values are apart."""
    for name, percent, distance_mm, spacing_mm in CASES:
        with tempfile.TemporaryDirectory() as folder:
            task = {"percent": percent, "distance_mm": distance_mm, "spacing_mm": spacing_mm}
            yield from _compared(name, task, Path(folder))


def _compared(name: str, task: Mapping[str, object], folder: Path) -> Iterator[Line]:
    import numpy as np

    (folder / "task.json").write_text(json.dumps(task))
    here = [sys.executable, "-m", "benchmarks.gamma", str(folder)]
    ours = float(_run(here))
    python = environment("pymedphys", NEEDS)
    theirs = float(_run([str(python), str(Path(__file__).with_name("gamma_peer.py")), str(folder)]))
    found, expected = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    judged = np.isfinite(found)
    if not np.array_equal(judged, np.isfinite(expected)):
        raise RuntimeError("Ours and pymedphys judge different points.")
    what = f"gamma {name}, {int(judged.sum())} points, 1 thread"
    yield Line(what=what, ours=ours, unit="CPU-s", peer=PYMEDPHYS, theirs=theirs)
    yield Line(
        what=f"gamma {name}, pass rate",
        ours=100 * float((found[judged] <= 1).mean()),
        unit="%",
        peer=PYMEDPHYS,
        theirs=100 * float((expected[judged] <= 1).mean()),
    )
    inner = (slice(1, -1),) * 3
    yield Line(
        what=f"gamma {name}, largest difference off the rim",
        ours=float(np.nanmax(np.abs(found - expected)[inner])),
        unit="",
        peer="allowed",
        theirs=LARGEST_DIFFERENCE,
    )


def _measure(folder: Path) -> None:
    """Make the doses, judge them and leave all for the peer."""
    import numpy as np
    import torch

    from aegle.domain.grid import Grid
    from aegle.domain.volume import Quantity, Volume
    from aegle.planning import gamma as ours

    torch.set_num_threads(1)
    task = json.loads((folder / "task.json").read_text())
    spacings = (SPACING_MM, tuple(task["spacing_mm"]))
    volumes = []
    for number, spacing_mm in enumerate(spacings):
        extent_mm = [n * s for n, s in zip(SHAPE, SPACING_MM, strict=True)]
        shape = tuple(round(e / s) for e, s in zip(extent_mm, spacing_mm, strict=True))
        grid = Grid(shape=shape, spacing_mm=spacing_mm)
        values = _five_fields(np.indices(shape), spacing_mm, is_evaluated=bool(number))
        volumes.append(Volume(values=values, grid=grid, quantity=Quantity.ABSORBED_DOSE))
    options = ours.GammaOptions(
        dose_percent=task["percent"],
        distance_mm=task["distance_mm"],
        cutoff_percent=CUTOFF_PERCENT,
        most_points=POINTS,
    )
    found = ours.gamma(*volumes, options=options)
    seconds = best(lambda: ours.gamma(*volumes, options=options), clock=time.process_time)
    np.save(folder / "ours.npy", found.values)
    np.savez(
        folder / "doses.npz",
        reference=volumes[0].values,
        evaluated=volumes[1].values,
        judged=np.isfinite(found.values),
        reference_spacing_mm=spacings[0],
        evaluated_spacing_mm=spacings[1],
        cutoff_percent=CUTOFF_PERCENT,
        max_gamma=options.max_gamma,
        steps=options.steps,
    )
    print(seconds)


def _five_fields(indices, spacing_mm, *, is_evaluated):
    """Return a dose [Gy]: five fields of 60 mm around an axis along the slices."""
    import numpy as np
    from scipy.special import erf

    moved_mm, penumbra_mm, scale = (0.6, 5.0, 1.012) if is_evaluated else (0.0, 4.0, 1.0)
    middle_mm = [n * s / 2 for n, s in zip(SHAPE, SPACING_MM, strict=True)]
    z, y, x = (i * s - m + moved_mm for i, s, m in zip(indices, spacing_mm, middle_mm, strict=True))
    total = np.zeros(z.shape)
    for degrees in range(0, 360, 72):
        angle = np.deg2rad(degrees)
        along = x * np.sin(angle) - y * np.cos(angle)
        across = x * np.cos(angle) + y * np.sin(angle)
        sides = [0.5 * (erf((30 - np.abs(side)) / penumbra_mm) + 1) for side in (across, z)]
        total += sides[0] * sides[1] * np.exp(-0.005 * along)
    return np.float32(12.0 * scale * total)


def _run(command: list[str]) -> str:
    one_thread = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        command, check=False, capture_output=True, env=os.environ | one_thread, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _measure(Path(sys.argv[1]))
    else:
        for line in gamma():
            print(line.text, flush=True)
