"""Uptake of a lesion on PET: highest, peak and mean SUV, metabolic volume, total glycolysis.

The peak is the highest mean over a ball of 1 cm³ (radius 6.2 mm) around a voxel of the lesion;
all voxels whose centre lies in the ball count, also those outside the lesion (Wahl RL et al.,
PERCIST 1.0, J Nucl Med 2009;50:122S-150S; IBSI reference manual, local and global intensity
peak). MTV is the volume above a threshold inside the delineation, TLG its mean times MTV.
"""

from math import pi
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy import ndimage

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.finding import LesionUptake
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.options import option

PEAK_RADIUS_MM = (3000 / (4 * pi)) ** (1 / 3)
"""Of a ball of 1 cm³."""


@dataclass(frozen=True, kw_only=True)
class UptakeOptions:
    """What counts as metabolically active."""

    threshold: Annotated[
        Literal["share of maximum", "fixed", "delineation"],
        option("How the active part of a delineation is found"),
    ] = "share of maximum"
    share: Annotated[
        float,
        option(
            "Of the highest SUV, from which a voxel is active",
            gt=0,
            lt=1,
            source="Boellaard R et al., EANM guideline 2.0, Eur J Nucl Med Mol Imaging "
            "2015;42:328-354: 41 %",
        ),
    ] = 0.41
    fixed_suv: Annotated[
        float,
        option(
            "SUV from which a voxel is active",
            unit="g/mL",
            gt=0,
            source="Barrington SF, Meignan M, J Nucl Med 2019;60:1096-1102: 4.0 in lymphoma",
        ),
    ] = 4.0


def uptake(
    image: Volume, structure: Structure, name: str, *, options: UptakeOptions
) -> LesionUptake:
    """Measure the uptake of a lesion.

    Args:
        image: Standardised uptake.
        structure: The lesion, on the grid of the image.
        name: Name of the image, repeated in the result.
        options: What counts as active.

    Raises:
        QuantityError: The image is not standardised uptake.
        GeometryError: Image and structure lie on different grids.
        InputError: The structure is empty.
    """
    image.require(Quantity.STANDARDISED_UPTAKE)
    if not structure.grid.is_same_as(image.grid):
        raise GeometryError(
            f"'{structure.name}' and the PET lie on different grids; resample the mask first."
        )
    if structure.is_empty:
        raise InputError(f"'{structure.name}' is empty, so it has no uptake.")
    values = image.values[structure.window][structure.box].astype(np.float64)
    local, peak = peaks(image.values, structure.mask, image.grid.spacing_mm)
    limits = {
        "share of maximum": options.share * values.max(),
        "fixed": options.fixed_suv,
        "delineation": -np.inf,
    }
    active = values[values >= limits[options.threshold]]
    mtv_ml = active.size * image.grid.voxel_volume_ml
    return LesionUptake(
        image=name,
        maximum=float(values.max()),
        peak=peak,
        peak_at_maximum=local,
        mean=float(values.mean()),
        active_mean=float(active.mean()) if active.size else 0.0,
        mtv_ml=mtv_ml,
        tlg_g=float(active.sum()) * image.grid.voxel_volume_ml,
    )


def peaks(
    values: NDArray[np.floating], inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[float, float]:
    """Return the local and the global intensity peak.

    Args:
        values: The image, shape (slice, row, column).
        inside: Where the centre of the ball may lie, same shape; not empty.
        spacing_mm: Of the voxels.

    Returns:
        Mean over 1 cm³ around the highest voxel, and the highest such mean around any voxel
        inside. Beyond the edge of the image nothing counts.
    """
    reach = [int(PEAK_RADIUS_MM // step) for step in spacing_mm]
    spans = [np.flatnonzero(inside.any(axis=a)) for a in ((1, 2), (0, 2), (0, 1))]
    box = tuple(
        slice(max(int(s[0]) - r, 0), int(s[-1]) + r + 1) for s, r in zip(spans, reach, strict=True)
    )
    near, centres = np.asarray(values[box], dtype=np.float64), inside[box]
    steps = np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij")
    away_mm2 = sum((s * step) ** 2 for s, step in zip(steps, spacing_mm, strict=True))
    ball = np.asarray(away_mm2 <= PEAK_RADIUS_MM**2, dtype=np.float64)
    total = ndimage.correlate(near, ball, mode="constant")
    count = ndimage.correlate(np.ones_like(near), ball, mode="constant")
    means = total / count
    hottest = centres & (near == near[centres].max())
    return float(means[hottest].max()), float(means[centres].max())
