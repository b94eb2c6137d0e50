"""Make the compact generic proton machine that Aegle ships.

    python tools/make_generic_protons.py protons_Generic.mat

reads the proton base data of pyRadPlan 0.5.0 / matRad (BSD-3-Clause, Copyright (c) 2024, DKFZ;
file created 11-Sep-2024) and writes
``src/aegle/planning/proton_machines/generic_protons.json``. All energies are kept. Of each
depth table those depths are kept from which linear interpolation gives the others back within
0.2 % of the greatest dose, and within like parts of widths, shares and LET. The kept values are
those whose interpolation comes closest to the whole table in the least squares, so that
integrals are kept.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from aegle.planning.proton_machine import COLUMNS, DepthTable, read_matrad

TARGET = Path(__file__).parents[1] / "src/aegle/planning/proton_machines/generic_protons.json"
TOLERANCES = {
    "dose": 0.002,
    "single_mm": 0.03,
    "narrow_mm": 0.03,
    "broad_mm": 1.0,
    "broad_share": 0.003,
    "let_kev_per_um": 0.2,
}
"""Dose as part of the maximum; the others absolute, about 0.1 % of dose at the axis."""
DIGITS = 5


def kept_depths(table: DepthTable) -> list[int]:
    """Return which depths to keep: halve every stretch that interpolation does not give back."""
    scales = {**TOLERANCES, "dose": TOLERANCES["dose"] * float(table.dose.max())}
    columns = np.stack([getattr(table, name) / scale for name, scale in scales.items()])
    depths = table.depths_mm
    kept, open_stretches = {0, len(depths) - 1}, [(0, len(depths) - 1)]
    while open_stretches:
        first, last = open_stretches.pop()
        inside = np.arange(first + 1, last)
        share = (depths[inside] - depths[first]) / (depths[last] - depths[first])
        line = columns[:, [first]] * (1 - share) + columns[:, [last]] * share
        away = np.abs(columns[:, inside] - line).max(axis=0, initial=0)
        if away.size and away.max() > 1:
            worst = int(inside[away.argmax()])
            kept.add(worst)
            open_stretches += [(first, worst), (worst, last)]
    return sorted(kept)


def compact(path: Path) -> dict[str, Any]:
    """Return the shipped form of a machine file."""
    machine = read_matrad(path)
    entries = []
    for energy, table, widths in zip(
        machine.energies_mev, machine.tables, machine.air_widths_mm, strict=True
    ):
        kept = kept_depths(table)
        entry: dict[str, Any] = {"energy_mev": round(float(energy), 6)}
        entry["depths_mm"] = _rounded(table.depths_mm[kept])
        entry |= {name: _rounded(_fitted(table, name, kept)) for name in COLUMNS[1:]}
        entries.append({**entry, "air_widths_mm": _rounded(widths)})
    return {
        "name": "Generic protons",
        "source": "pyRadPlan 0.5.0 / matRad, protons_Generic.mat of 11-Sep-2024, thinned",
        "licence": "BSD-3-Clause, Copyright (c) 2024, DKFZ",
        "sad_mm": machine.sad_mm,
        "nozzle_to_axis_mm": machine.nozzle_to_axis_mm,
        "tabulated_air_mm": machine.tabulated_air_mm,
        "air_distances_mm": machine.air_distances_mm.tolist(),
        "energies": entries,
    }


def _fitted(table: DepthTable, name: str, kept: list[int]) -> Any:
    depths = table.depths_mm
    hats = np.stack([np.interp(depths, depths[kept], unit) for unit in np.eye(len(kept))], axis=-1)
    root = np.sqrt(np.gradient(depths))
    fitted = np.linalg.lstsq(hats * root[:, None], getattr(table, name) * root, rcond=None)[0]
    return np.clip(fitted, 0, None)


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def main() -> int:
    """Read the file named on the command line and write the machine."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    TARGET.parent.mkdir(exist_ok=True)
    text = json.dumps(compact(Path(sys.argv[1])), separators=(",", ":"))
    TARGET.write_text(text.replace('{"energy_mev"', '\n{"energy_mev"') + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
