"""pymedphys' gamma, timed in its own environment.

``python gamma_peer.py FOLDER`` reads ``task.json`` and ``doses.npz``, writes ``theirs.npy`` and
prints the shortest processor time after a warm-up that compiles [s].
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pymedphys

REPETITIONS = 2


def main() -> None:
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text())
    given = np.load(folder / "doses.npz")
    axes = [
        tuple(
            step * np.arange(count)
            for step, count in zip(given[f"{name}_spacing_mm"], given[name].shape, strict=True)
        )
        for name in ("reference", "evaluated")
    ]
    reference = given["reference"].astype(float)
    settings = {
        "dose_percent_threshold": task["percent"],
        "distance_mm_threshold": task["distance_mm"],
        "lower_percent_dose_cutoff": float(given["cutoff_percent"]),
        "interp_fraction": int(given["steps"]),
        "max_gamma": float(given["max_gamma"]),
        "global_normalisation": float(reference.max()),
    }
    # It draws points by chance; below the cutoff, all but ours are left out.
    reference[~given["judged"]] = 0.0
    evaluated = given["evaluated"].astype(float)
    times = []
    for _ in range(REPETITIONS + 1):
        start = time.process_time()
        found = pymedphys.gamma(axes[0], reference, axes[1], evaluated, **settings)
        times.append(time.process_time() - start)
    np.save(folder / "theirs.npy", found)
    print(min(times[1:]))


if __name__ == "__main__":
    main()
