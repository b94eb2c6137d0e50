"""From the visible tumour to the volume that is planned on.

GTV, CTV and PTV after ICRU Report 83 (2010): the clinical target volume adds a margin for
microscopic spread, the planning target volume one for motion and set-up. Margins are
Euclidean distances in the patient between voxel centres.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy.ndimage import distance_transform_edt

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.options import option

GTV, CTV, PTV = "GTV", "CTV", "PTV"
"""Names of the volumes that :func:`make_targets` makes."""
LUNGS_MINUS_GTV = "lungs_minus_gtv"
"""Name of the derived organ that lung limits refer to."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """Margins around the gross tumour volume."""

    ctv_margin_mm: Annotated[
        float,
        option(
            "Margin for microscopic spread",
            unit="mm",
            source="Giraud P et al. IJROBP 2000;48:1015-1024: 6 mm (squamous cell) to 8 mm "
            "(adenocarcinoma) of the lung",
            ge=0,
            le=50,
        ),
    ] = 6.0
    ptv_margin_mm: Annotated[
        float, option("Margin for motion and set-up", unit="mm", ge=0, le=50)
    ] = 5.0
    skin_margin_mm: Annotated[
        float,
        option("Layer under the skin that the PTV leaves out (build-up)", unit="mm", ge=0, le=20),
    ] = 5.0


def make_targets(
    body: Structure | None, gross: Structure, *, options: TargetOptions
) -> StructureSet:
    """Make GTV, CTV and PTV.

    Args:
        body: Outline of the patient; None leaves the targets unclipped.
        gross: The visible tumour.
        options: Margins.

    Returns:
        ``GTV`` (the tumour as given), ``CTV`` (inside the body) and ``PTV`` (inside the body
        without the skin layer), on the tumour's grid.

    Raises:
        InputError: The tumour is empty, lies outside the body or wholly in the skin layer.
        GeometryError: Body and tumour lie on different grids.
    """
    if gross.is_empty:
        raise InputError(f"'{gross.name}' is empty; delineate the tumour before planning.")
    grid = gross.grid
    reach_mm = options.ctv_margin_mm + options.ptv_margin_mm
    box = box_around(gross, reach_mm + options.skin_margin_mm)
    tumour = gross.mask[box]
    allowed, deep = _allowed(body, gross, box, options.skin_margin_mm)

    clinical = grown(tumour, grid, options.ctv_margin_mm) & allowed
    planning = grown(clinical, grid, options.ptv_margin_mm) & deep
    if not planning.any():
        raise InputError(
            f"'{gross.name}' lies outside the body or within {options.skin_margin_mm:g} mm of "
            "the skin; check the outline of the body or lessen the skin margin."
        )
    return StructureSet(
        (
            replace(gross, name=GTV, type=StructureType.LESION),
            _target(CTV, clinical, grid, box),
            _target(PTV, planning, grid, box),
        )
    )


def with_lungs_minus_gtv(
    structures: StructureSet, lungs: tuple[Structure, ...], gross: tuple[Structure, ...]
) -> StructureSet:
    """Add the lungs without the gross tumour as a structure of its own."""
    grid = lungs[0].grid
    mask = np.zeros(grid.shape, dtype=np.bool_)
    for lung in lungs:
        mask[lung.window] |= lung.box
    for tumour in gross:
        mask[tumour.window] &= ~tumour.box
    return StructureSet((*structures, Structure.of(LUNGS_MINUS_GTV, mask, grid)))


def grown(mask: NDArray[np.bool_], grid: Grid, margin_mm: float) -> NDArray[np.bool_]:
    """Add every voxel whose centre lies within a margin of a voxel centre inside.

    Args:
        mask: Part of the grid; what lies beyond it is not looked at.
        grid: Gives the voxel spacing.
        margin_mm: The margin [mm]; the distance itself counts.
    """
    if margin_mm == 0 or not mask.any():
        return mask
    distance_mm = distance_transform_edt(~mask, sampling=grid.spacing_mm)
    return np.asarray(distance_mm <= margin_mm + 1e-6)


def box_around(structure: Structure, margin_mm: float) -> Box:
    """Return the structure's box with a margin, kept on the grid."""
    grid = structure.grid
    sides = [
        slice(max(0, w.start - pad), min(n, w.stop + pad))
        for w, n, pad in zip(
            structure.window,
            grid.shape,
            (int(np.ceil(margin_mm / s)) + 1 for s in grid.spacing_mm),
            strict=True,
        )
    ]
    return sides[0], sides[1], sides[2]


def _allowed(
    body: Structure | None, gross: Structure, box: Box, skin_mm: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the CTV and the PTV may lie."""
    if body is None:
        everywhere = np.ones([s.stop - s.start for s in box], dtype=np.bool_)
        return everywhere, everywhere
    if not body.grid.is_same_as(gross.grid):
        raise GeometryError(
            f"'{body.name}' and '{gross.name}' lie on different grids; resample one of them."
        )
    inside = body.mask[box]
    if not (inside & gross.mask[box]).any():
        raise InputError(
            f"'{gross.name}' lies outside '{body.name}'; both must be of the same image."
        )
    return inside, inside & ~grown(~inside, gross.grid, skin_mm)


def _target(name: str, part: NDArray[np.bool_], grid: Grid, box: Box) -> Structure:
    mask = np.zeros(grid.shape, dtype=np.bool_)
    mask[box] = part
    return Structure.of(name, mask, grid, type=StructureType.TARGET)
