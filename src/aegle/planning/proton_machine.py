"""The protons a scanning nozzle gives: pencil beams in water, one table per energy.

Tables hold what one proton gives in water: dose integrated over the plane, the widths and
shares of two Gaussians that share it out sideways, and the mean linear energy transfer. The
width of the beam in air is tabulated over the distance from the source.

Files of matRad and pyRadPlan (``protons_*.mat``) can be read.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from aegle.domain.errors import InputError, OptionError

Floats = NDArray[np.float64]

GY_PER_TABULATED = 1.602176634e-2
"""From MeV cm²/g per proton to Gy mm² per million protons; the elementary charge of the SI."""
ENERGY_TOLERANCE_MEV = 1e-3
COLUMNS = (
    "depths_mm",
    "dose",
    "single_mm",
    "narrow_mm",
    "broad_mm",
    "broad_share",
    "let_kev_per_um",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthTable:
    """Pencil beam of one energy in water, each shape (depth,)."""

    depths_mm: Floats
    dose: Floats
    """Dose integrated over the plane [MeV cm²/g per proton]."""
    single_mm: Floats
    """Standard deviation of the one Gaussian that comes closest, without the beam's own [mm]."""
    narrow_mm: Floats
    """Standard deviation of the narrow Gaussian, without the beam's own width [mm]."""
    broad_mm: Floats
    broad_share: Floats
    """Part of the dose that the broad Gaussian holds, 0 to 1."""
    let_kev_per_um: Floats
    """Dose-averaged linear energy transfer in water [keV/µm]."""

    @property
    def peak_mm(self) -> float:
        """Depth of the Bragg peak [mm]."""
        return float(self.depths_mm[self.dose.argmax()])


@dataclass(frozen=True, eq=False, kw_only=True)
class ProtonMachine:
    """Pencil-beam data of a proton nozzle."""

    name: str
    source: str
    """Where the data come from."""
    sad_mm: float
    """Distance from the virtual source to the axis [mm]."""
    nozzle_to_axis_mm: float
    """Distance from the exit of the nozzle to the axis [mm]."""
    tabulated_air_mm: float
    """Air between nozzle and water for which the tables hold [mm]."""
    energies_mev: Floats
    """Nominal energies, ascending, shape (energy,) [MeV]."""
    tables: tuple[DepthTable, ...]
    air_distances_mm: Floats
    """Distances from the source at which the width in air is known, shape (distance,) [mm]."""
    air_widths_mm: Floats
    """Standard deviation in air, shape (energy, distance) [mm]."""

    @property
    def peaks_mm(self) -> Floats:
        """Depth of the Bragg peak of each energy in water [mm]."""
        return np.array([table.peak_mm for table in self.tables])

    def number_of(self, energy_mev: float) -> int:
        """Return the place of an energy among those of the machine.

        Raises:
            OptionError: The machine does not have it.
        """
        number = int(np.abs(self.energies_mev - energy_mev).argmin())
        if abs(self.energies_mev[number] - energy_mev) > ENERGY_TOLERANCE_MEV:
            raise OptionError(
                f"'{self.name}' has no energy of {energy_mev:.3f} MeV; the nearest is "
                f"{self.energies_mev[number]:.3f} MeV."
            )
        return number


@cache
def proton_machine(name: str = "generic_protons") -> ProtonMachine:
    """Return a proton machine shipped with Aegle.

    Raises:
        OptionError: There is none of that name.
    """
    folder = resources.files("aegle.planning") / "proton_machines"
    known = sorted(f.name.removesuffix(".json") for f in folder.iterdir() if ".json" in f.name)
    if name not in known:
        raise OptionError(f"No proton machine '{name}'; known: {', '.join(known)}.")
    data = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return ProtonMachine(
        **{key: data[key] for key in ("name", "source", "sad_mm", "nozzle_to_axis_mm")},
        tabulated_air_mm=data["tabulated_air_mm"],
        energies_mev=np.array([entry["energy_mev"] for entry in data["energies"]]),
        tables=tuple(_table({c: entry[c] for c in COLUMNS}) for entry in data["energies"]),
        air_distances_mm=np.asarray(data["air_distances_mm"], np.float64),
        air_widths_mm=np.array([entry["air_widths_mm"] for entry in data["energies"]]),
    )


def read_matrad(path: Path) -> ProtonMachine:
    """Read a proton machine file of matRad or pyRadPlan with one and two Gaussians.

    Raises:
        InputError: The file holds other radiation or other tables.
    """
    content = loadmat(path, squeeze_me=True, struct_as_record=False)
    if "machine" not in content or content["machine"].meta.radiationMode != "protons":
        raise InputError(f"'{path.name}' is not a proton machine of matRad or pyRadPlan.")
    meta, entries = content["machine"].meta, np.atleast_1d(content["machine"].data)
    wanted = ("Z", "sigma", "sigma1", "sigma2", "weight", "LET", "offset", "initFocus")
    missing = [name for name in wanted if not all(hasattr(entry, name) for entry in entries)]
    if missing:
        raise InputError(
            f"'{path.name}' lacks {', '.join(missing)}; choose a file with a double Gaussian."
        )
    distances_mm = np.asarray(entries[0].initFocus.dist, np.float64)
    return ProtonMachine(
        name=str(meta.name),
        source=path.name,
        sad_mm=float(meta.SAD),
        nozzle_to_axis_mm=float(meta.BAMStoIsoDist),
        tabulated_air_mm=float(getattr(meta, "fitAirOffset", 0.0)),
        energies_mev=np.array([float(entry.energy) for entry in entries]),
        tables=tuple(_matrad_table(entry) for entry in entries),
        air_distances_mm=distances_mm,
        air_widths_mm=np.array(
            [np.interp(distances_mm, e.initFocus.dist, e.initFocus.sigma) for e in entries]
        ),
    )


def _matrad_table(entry: Any) -> DepthTable:
    return _table(
        {
            "depths_mm": np.asarray(entry.depths) + float(entry.offset),
            "dose": entry.Z,
            "single_mm": entry.sigma,
            "narrow_mm": entry.sigma1,
            "broad_mm": entry.sigma2,
            "broad_share": entry.weight,
            "let_kev_per_um": entry.LET,
        }
    )


def _table(columns: dict[str, Any]) -> DepthTable:
    return DepthTable(**{key: np.asarray(column, np.float64) for key, column in columns.items()})
