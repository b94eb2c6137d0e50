"""Make the compact generic 6 MV beam model that Aegle ships.

    python tools/make_generic_6mv.py photons_Generic.mat

reads the photon base data of pyRadPlan 0.5.0 / matRad (BSD-3-Clause, Copyright (c) 2024, DKFZ;
file created 22-Apr-2026, kernels per mm²) and writes
``src/aegle/planning/machines/generic_6mv.json``. Kernels are kept every 50 mm of
source-to-surface distance and at radii that grow with the distance from the axis. The kept
values are those whose linear interpolation comes closest to all kernels of the source in the
least squares, each radius weighted by the area of its ring, so that integrals are kept.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

TARGET = Path(__file__).parents[1] / "src/aegle/planning/machines/generic_6mv.json"
KEPT_SSD_MM = np.arange(500.0, 1001.0, 50.0)
KEPT_RADII_MM = np.r_[0:12:0.5, 12:64:1, 64:120:2, 120:179:5, 179.5]
DIGITS = 6


def compact(machine: Any) -> dict[str, Any]:
    """Return the shipped form of a base data structure read from a .mat file."""
    data = machine.data
    ssd_mm = np.array([kernel.SSD for kernel in data.kernel], dtype=np.float64)
    radii_mm = np.asarray(data.kernelPos, dtype=np.float64)
    kernels = np.array([[k.kernel1, k.kernel2, k.kernel3] for k in data.kernel])
    rings = np.maximum(radii_mm, radii_mm[1] / 8)
    fitted = _fitted(kernels, radii_mm, KEPT_RADII_MM, rings)
    fitted = _fitted(fitted.swapaxes(0, 2), ssd_mm, KEPT_SSD_MM, np.ones_like(ssd_mm))
    return {
        "name": "Generic 6 MV",
        "source": "pyRadPlan 0.5.0 / matRad, photons_Generic.mat of 22-Apr-2026, thinned",
        "licence": "BSD-3-Clause, Copyright (c) 2024, DKFZ",
        "sad_mm": float(machine.meta.SAD),
        "attenuation_per_mm": float(data.m),
        "build_up_per_mm": [float(b) for b in data.betas],
        "penumbra_fwhm_mm": float(data.penumbraFWHMatIso),
        "lattice_mm": 0.5,
        "ssd_mm": KEPT_SSD_MM.tolist(),
        "radii_mm": KEPT_RADII_MM.tolist(),
        "kernels_per_mm2": [[_rounded(k) for k in three] for three in fitted.swapaxes(0, 2)],
    }


def _fitted(values: Any, places: Any, kept: Any, weights: Any) -> Any:
    """Replace the last axis of ``values``, given at ``places``, by values at ``kept``."""
    hats = np.stack([np.interp(places, kept, unit) for unit in np.eye(len(kept))], axis=-1)
    root = np.sqrt(weights)[:, None]
    rows = values.reshape(-1, len(places)).T
    solution = np.linalg.lstsq(hats * root, rows * root, rcond=None)[0]
    return solution.T.reshape(*values.shape[:-1], len(kept))


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def main() -> int:
    """Read the file named on the command line and write the model."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    content = loadmat(sys.argv[1], squeeze_me=True, struct_as_record=False)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(compact(content["machine"]), separators=(",", ":")) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
