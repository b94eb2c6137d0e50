"""Radiomic features by the definitions of the Image Biomarker Standardisation Initiative.

Values come from the voxels of the delineation, grey levels from a discretisation of them. Names
are those of the IBSI tables of reference values (``stat_mean``, ``cm_joint_entr_3D_comb``), so
that a feature is found in the manual by its tag. Images are neither resampled nor filtered here;
voxels of unequal sides need resampling before textures are compared.

Source: Zwanenburg A et al. Radiology 2020;295:328-338, doi:10.1148/radiol.2020191145, and the
IBSI reference manual, arXiv:1612.07003.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.structure import Structure
from aegle.domain.volume import Volume
from aegle.imaging.radiomics_first_order import histogram, intensity, intensity_volume
from aegle.imaging.radiomics_shape import shape
from aegle.imaging.radiomics_texture import texture
from aegle.imaging.uptake_volume import peaks
from aegle.options import option

LEAST_VOXELS = 4
"""A body in space has at least four corners."""


@dataclass(frozen=True, kw_only=True)
class RadiomicsOptions:
    """How grey levels are made."""

    discretisation: Annotated[
        Literal["bin width", "bin number", "none"],
        option("Grey levels by the width of bins, by their number, or the values as they are"),
    ] = "bin width"
    bin_width: Annotated[
        float, option("Width of a bin, in the unit of the image, counted from the lowest", gt=0)
    ] = 25.0
    bins: Annotated[int, option("Number of bins", ge=2, le=1024)] = 32
    lowest: Annotated[
        float | None,
        option("Values below are left out, and the first bin begins here; if given"),
    ] = None
    highest: Annotated[
        float | None, option("Values above are left out of all but the shape; if given")
    ] = None
    volume_histogram_step: Annotated[
        float,
        option("Step of the intensity-volume histogram with bins of a width, image unit", gt=0),
    ] = 1.0


def radiomics(
    image: Volume, structure: Structure, *, options: RadiomicsOptions
) -> dict[str, float]:
    """Return the features of a structure by their IBSI tags.

    Args:
        image: The values.
        structure: Where to read them, on the grid of the image.
        options: How grey levels are made.

    Returns:
        Shape (``morph``) in millimetres, local intensity (``loc``), statistics (``stat``),
        histogram (``ih``), intensity-volume histogram (``ivh``), and the textures GLCM (``cm``),
        GLRLM (``rlm``), GLSZM (``szm``), GLDZM (``dzm``), NGTDM (``ngt``) and NGLDM (``ngl``),
        each in 2D, 2.5D and 3D. A feature that is not defined for the structure, such as the
        correlation of a constant, is NaN.

    Raises:
        GeometryError: Image and structure lie on different grids.
        InputError: Fewer than four voxels are in range, or values are no numbers.
    """
    if not structure.grid.is_same_as(image.grid):
        raise GeometryError(
            f"'{structure.name}' and the image lie on different grids; resample the mask first."
        )
    inside = structure.box
    values = image.values[structure.window].astype(np.float64)
    if not np.isfinite(values[inside]).all():
        raise InputError(f"The image holds values in '{structure.name}' that are no numbers.")
    low = -np.inf if options.lowest is None else options.lowest
    high = np.inf if options.highest is None else options.highest
    valued = inside & (values >= low) & (values <= high)
    if np.count_nonzero(valued) < LEAST_VOXELS:
        raise InputError(
            f"'{structure.name}' holds fewer than {LEAST_VOXELS} voxels with values in range: too "
            "few for features."
        )
    spacing_mm = image.grid.spacing_mm
    levels = grey_levels(values, valued, options)
    where = np.zeros(image.grid.shape, dtype=np.bool_)
    where[structure.window] = valued
    local, highest = peaks(image.values, where, spacing_mm)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            **shape(values, inside, valued, spacing_mm),
            "loc_peak_loc": local,
            "loc_peak_glob": highest,
            **intensity(values[valued]),
            **histogram(levels[valued]),
            **_volume_histogram(values[valued], levels[valued], options),
            **texture(levels, inside),
        }


def grey_levels(
    values: NDArray[np.float64], inside: NDArray[np.bool_], options: RadiomicsOptions
) -> NDArray[np.intp]:
    """Return grey levels from 1 on inside, 0 outside.

    Raises:
        InputError: Values are not whole numbers from 1 on although none are to be made.
    """
    levels = np.zeros(values.shape, dtype=np.intp)
    found = values[inside]
    lowest = found.min() if options.lowest is None else options.lowest
    if options.discretisation == "none":
        if (found != np.rint(found)).any() or found.min() < 1:
            raise InputError(
                "Values are not whole numbers from 1 on; choose a discretisation of grey levels."
            )
        levels[inside] = found.astype(np.intp)
    elif options.discretisation == "bin width":
        levels[inside] = np.maximum(np.floor((found - lowest) / options.bin_width) + 1, 1)
    else:
        extent = max(float(found.max() - found.min()), 1e-12)
        share = (found - found.min()) / extent
        levels[inside] = np.minimum(np.floor(options.bins * share) + 1, options.bins)
    return levels


def _volume_histogram(
    values: NDArray[np.float64], levels: NDArray[np.intp], options: RadiomicsOptions
) -> dict[str, float]:
    """Return features of the intensity-volume histogram, in the manner IBSI has for each kind.

    With bins of a width the unit of the image means something, so its own steps are kept.
    """
    if options.discretisation == "bin width":
        step = options.volume_histogram_step
        return intensity_volume(np.asarray(np.floor(values / step) * step), step)
    return intensity_volume(levels.astype(np.float64), 1.0)
