"""The radiation a linear accelerator gives: a pencil-beam model and its calibration.

Dose per unit fluence at radiological depth d, after Bortfeld T, Schlegel W, Rhein B. Med
Phys 1993;20:311-318, doi:10.1118/1.597070:

    D = (SAD / s)² · Σₖ βₖ / (βₖ - m) · (exp(-m d) - exp(-βₖ d)) · (fluence ⊗ kernelₖ)

with s the distance from the source along the beam axis and the fluence and kernels on the
isocentre plane. What crosses a part of that plane crosses an area (s / SAD)² as large at s.

Calibration: 1 MU gives 0.01 Gy at the depth of maximum dose on the axis of an open
100 mm x 100 mm field at a source-to-surface distance of 1000 mm in water. The maximum is
found on the formula above with the whole kernels.
"""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.optimize import minimize_scalar
from scipy.special import erf

from aegle.domain.errors import InputError, OptionError

Floats = NDArray[np.float64]

REFERENCE_FIELD_MM = 100.0
REFERENCE_SSD_MM = 1000.0
REFERENCE_GY_PER_MU = 0.01
DEEPEST_MAXIMUM_MM = 50.0
MATRAD_LATTICE_MM = 0.5
"""matRad sums kernels on a lattice of this spacing."""
FWHM_PER_DEVIATION = float(np.sqrt(8 * np.log(2)))


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotonMachine:
    """Pencil-beam data of one photon energy."""

    name: str
    source: str
    """Where the data come from."""
    sad_mm: float
    """Distance from source to axis [mm]."""
    attenuation_per_mm: float
    """m: effective attenuation of the primary beam in water [1/mm]."""
    build_up_per_mm: Floats
    """βₖ of the three depth terms [1/mm]."""
    penumbra_fwhm_mm: float
    """Width of the Gaussian that blurs the fluence, on the isocentre plane [mm]."""
    lattice_mm: float
    """Spacing of the lattice on which the kernels are to be summed [mm]."""
    ssd_mm: Floats
    """Source-to-surface distances of the kernels, shape (distance,) [mm]."""
    radii_mm: Floats
    """Distances from the pencil beam, shape (radius,) [mm]."""
    kernels_per_mm2: Floats
    """Shape (distance, 3, radius) [Gy per unit fluence and mm²]."""

    def kernels(self, ssd_mm: float) -> Floats:
        """Return the three radial kernels at a source-to-surface distance, shape (3, radius).

        Beyond the tabulated distances the nearest kernels are returned.
        """
        place = float(np.interp(ssd_mm, self.ssd_mm, np.arange(self.ssd_mm.size)))
        below = min(int(place), self.ssd_mm.size - 2)
        above_share = place - below
        near, far = self.kernels_per_mm2[below], self.kernels_per_mm2[below + 1]
        return np.asarray((1 - above_share) * near + above_share * far)

    def field_profile(self, positions_mm: Floats, width_mm: float) -> Floats:
        """Return the fluence of a slit field across its edge, blurred by the penumbra.

        Args:
            positions_mm: Distances from the slit's middle on the isocentre plane [mm].
            width_mm: Width of the slit [mm].

        Returns:
            A unit box convolved with a Gaussian, in closed form, same shape.
        """
        blur_mm = np.sqrt(2) * self.penumbra_fwhm_mm / FWHM_PER_DEVIATION
        far, near = positions_mm + width_mm / 2, positions_mm - width_mm / 2
        return np.asarray((erf(far / blur_mm) - erf(near / blur_mm)) / 2)

    def depth_terms(self, depth_mm: Floats) -> Floats:
        """Return the three depth terms at radiological depths, shape (3, *depth_mm.shape)."""
        m = self.attenuation_per_mm
        betas = self.build_up_per_mm.reshape(3, *[1] * np.ndim(depth_mm))
        return np.asarray(betas / (betas - m) * (np.exp(-m * depth_mm) - np.exp(-betas * depth_mm)))

    def beamlet_kernels(self, field_mm: float, positions_mm: Floats, ssd_mm: float) -> Floats:
        """Return an open square field convolved with the three kernels.

        Args:
            field_mm: Side of the square on the isocentre plane [mm].
            positions_mm: Distances from its middle along either side, shape (place,) [mm].
            ssd_mm: Source-to-surface distance [mm].

        Returns:
            Shape (3, place, place), unit Gy per unit fluence before the depth terms.
        """
        reach = int(np.ceil(self.radii_mm[-1] / self.lattice_mm))
        # Kernel points farther than this from every place would be multiplied by zero.
        needed_mm = np.abs(positions_mm).max() + field_mm / 2 + 3 * self.penumbra_fwhm_mm
        reach = min(reach, int(np.ceil(needed_mm / self.lattice_mm)))
        lattice = self.lattice_mm * np.arange(-reach, reach + 1)
        radii = np.hypot(lattice[:, None], lattice)
        weights = self.field_profile(positions_mm[:, None] - lattice, field_mm) * self.lattice_mm
        radial = self.kernels(ssd_mm)
        planes = [np.interp(radii, self.radii_mm, kernel, right=0.0) for kernel in radial]
        return np.stack([weights @ plane @ weights.T for plane in planes])

    @cached_property
    def reference_depth_mm(self) -> float:
        """Depth of maximum dose of the reference field [mm]."""
        return self._reference[0]

    @cached_property
    def gy_per_mu(self) -> float:
        """Factor from the formula's dose per unit fluence to dose per monitor unit."""
        return REFERENCE_GY_PER_MU / self._reference[1]

    @cached_property
    def _reference(self) -> tuple[float, float]:
        centre = np.zeros(1)
        strengths = self.beamlet_kernels(REFERENCE_FIELD_MM, centre, REFERENCE_SSD_MM)[:, 0, 0]

        def negative_dose(depth_mm: float) -> float:
            spread = (self.sad_mm / (REFERENCE_SSD_MM + depth_mm)) ** 2
            return -float(strengths @ self.depth_terms(np.asarray(depth_mm))) * spread

        best = minimize_scalar(negative_dose, bounds=(0.0, DEEPEST_MAXIMUM_MM), method="bounded")
        return float(best.x), -float(best.fun)


@cache
def machine(name: str = "generic_6mv") -> PhotonMachine:
    """Return a machine shipped with Aegle.

    Raises:
        OptionError: There is none of that name.
    """
    folder = resources.files("aegle.planning") / "machines"
    known = sorted(f.name.removesuffix(".json") for f in folder.iterdir() if ".json" in f.name)
    if name not in known:
        raise OptionError(f"No machine '{name}'; known: {', '.join(known)}.")
    data = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    tables = ("build_up_per_mm", "ssd_mm", "radii_mm", "kernels_per_mm2")
    facts = ("name", "source", "sad_mm", "attenuation_per_mm", "penumbra_fwhm_mm", "lattice_mm")
    content: dict[str, Any] = {key: data[key] for key in facts}
    content |= {key: np.asarray(data[key], dtype=np.float64) for key in tables}
    return PhotonMachine(**content)


def read_matrad(path: Path) -> PhotonMachine:
    """Read a photon machine file of matRad or pyRadPlan.

    Kernels must be given per mm², as in the files that came with matRad from April 2026 on and
    with pyRadPlan; the calibration to monitor units makes up for a constant factor.

    Raises:
        InputError: The file holds other radiation or lacks a table.
    """
    content = loadmat(path, squeeze_me=True, struct_as_record=False)
    if "machine" not in content or content["machine"].meta.radiationMode != "photons":
        raise InputError(f"'{path.name}' is not a photon machine of matRad or pyRadPlan.")
    meta, data = content["machine"].meta, content["machine"].data
    wanted = ("m", "betas", "kernel", "kernelPos", "penumbraFWHMatIso")
    missing = [name for name in wanted if not hasattr(data, name)]
    if missing:
        raise InputError(f"'{path.name}' lacks {', '.join(missing)}; choose another machine.")
    kernels = np.atleast_1d(data.kernel)
    return PhotonMachine(
        name=str(meta.name),
        source=path.name,
        sad_mm=float(meta.SAD),
        attenuation_per_mm=float(data.m),
        build_up_per_mm=np.asarray(data.betas, np.float64),
        penumbra_fwhm_mm=float(data.penumbraFWHMatIso),
        lattice_mm=MATRAD_LATTICE_MM,
        ssd_mm=np.array([float(kernel.SSD) for kernel in kernels]),
        radii_mm=np.asarray(data.kernelPos, np.float64),
        kernels_per_mm2=np.array([[k.kernel1, k.kernel2, k.kernel3] for k in kernels], np.float64),
    )
