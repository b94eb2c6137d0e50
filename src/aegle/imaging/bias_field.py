"""The slow change of brightness across an MR that its coils cause, and its removal.

The field multiplies the true signal, so it adds to the logarithm. N4 fits it with B-splines so
that the histogram becomes sharper.

Source: Tustison NJ et al. IEEE Trans Med Imaging 2010;29:1310-1320.
"""

from dataclasses import dataclass as record
from typing import Annotated

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.arrays import read_only
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.volume import Quantity, Volume
from aegle.options import option

Mask = NDArray[np.bool_]

_SPLINE_ORDER = 3
_CONTROL_POINTS = 4
_LEAST_PLANES = 8
"""An axis is not thinned out below so many planes."""
_REPEATED = 4
"""A single plane is repeated so often, since splines need an extent along every axis."""


@dataclass(frozen=True, kw_only=True)
class BiasFieldOptions:
    """How finely a bias field is fitted."""

    shrink: Annotated[
        int, option("The field is fitted on every so many voxels along each axis", ge=1, le=16)
    ] = 4
    levels: Annotated[int, option("Times the B-spline mesh is made twice as fine", ge=1, le=6)] = 3
    iterations: Annotated[
        int, option("Iterations at each level, at most", ge=1, le=500, source="N4: 50")
    ] = 50
    tolerance: Annotated[
        float, option("Change of the field below which a level ends", gt=0, source="N4: 0.001")
    ] = 0.001


@record(frozen=True, eq=False, kw_only=True)
class BiasCorrection:
    """An image without its bias field, and the field."""

    volume: Volume
    field: NDArray[np.float32]
    """What the true signal was multiplied by, mean 1 inside, shape (slice, row, column)."""
    inside: Mask
    """Voxels from which the field was told."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", read_only(self.field, np.float32))
        object.__setattr__(self, "inside", read_only(self.inside, np.bool_))


def correct_bias_field(
    mr: Volume, *, options: BiasFieldOptions, inside: Mask | None = None
) -> BiasCorrection:
    """Estimate the bias field of an MR and divide by it.

    Args:
        mr: Signal, not negative where it counts.
        options: How finely the field is fitted.
        inside: Voxels that count, shape of the image; by default what lies above Otsu's
            threshold. Voxels without signal never count.

    Returns:
        The corrected image, whose mean inside is that of the original; the field, also beyond
        the mask.

    Raises:
        QuantityError: The values are not a signal in arbitrary units.
        GeometryError: The mask has another shape than the image.
        InputError: The image has no signal.
    """
    mr.require(Quantity.SIGNAL)
    if inside is not None and inside.shape != mr.grid.shape:
        raise GeometryError(f"The mask has shape {inside.shape}, the image {mr.grid.shape}.")
    if not np.isfinite(mr.values).all() or mr.values.max() <= mr.values.min():
        raise InputError("The image has no signal that varies, so no bias field can be told.")
    chosen = foreground(mr.values) if inside is None else inside
    chosen = chosen & (mr.values > 0)
    if not chosen.any():
        raise InputError("No voxel inside the mask has a signal, so no bias field can be told.")
    log_field = _log_field(mr, chosen, options)
    field = np.exp(log_field - log_field[chosen].mean())
    corrected = mr.values / field
    scale = mr.values[chosen].mean(dtype=np.float64) / corrected[chosen].mean()
    return BiasCorrection(
        volume=Volume(
            values=(corrected * scale).astype(np.float32), grid=mr.grid, quantity=mr.quantity
        ),
        field=(field / scale).astype(np.float32),
        inside=chosen,
    )


def foreground(values: NDArray[np.float32]) -> Mask:
    """Return what lies above Otsu's threshold of all finite values."""
    image = sitk.GetImageFromArray(np.nan_to_num(values, posinf=0, neginf=0))
    return np.asarray(sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1, 200)), dtype=np.bool_)


def variation_coefficient(values: NDArray[np.float32], inside: Mask) -> float:
    """Return the standard deviation over the mean inside a mask, the measure of unevenness.

    Inside one tissue it falls when a bias field is removed.

    Raises:
        InputError: The mask is empty or the mean is not positive.
    """
    chosen = values[inside]
    mean = float(chosen.mean(dtype=np.float64)) if chosen.size else 0.0
    if mean <= 0:
        raise InputError("A coefficient of variation needs voxels with a positive mean.")
    return float(chosen.std(dtype=np.float64)) / mean


def _log_field(mr: Volume, chosen: Mask, options: BiasFieldOptions) -> NDArray[np.float64]:
    counts = [_REPEATED if size == 1 else 1 for size in mr.grid.shape]
    image, mask = (
        _image(np.tile(array, counts), mr) for array in (mr.values, chosen * np.uint8(1))
    )
    steps = [min(options.shrink, max(1, size // _LEAST_PLANES)) for size in image.GetSize()]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    # The sums of several threads are not always added in the same order.
    corrector.SetNumberOfThreads(1)
    corrector.SetSplineOrder(_SPLINE_ORDER)
    corrector.SetNumberOfControlPoints([_CONTROL_POINTS] * 3)
    corrector.SetMaximumNumberOfIterations([options.iterations] * options.levels)
    corrector.SetConvergenceThreshold(options.tolerance)
    corrector.Execute(sitk.Shrink(image, steps), sitk.Shrink(mask, steps))
    field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).astype(np.float64)
    slices, rows, columns = mr.grid.shape
    return np.asarray(field[:slices, :rows, :columns])


def _image(values: NDArray[np.generic], mr: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(mr.grid.spacing_mm[::-1])
    return image
