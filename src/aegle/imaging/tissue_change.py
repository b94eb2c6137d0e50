"""What changed between two images of the same kind, where no lesions are delineated.

For disease such as multiple sclerosis on FLAIR: the later image is brought onto the earlier one,
brightness is made alike (a smooth field of ratios, then a curve through equal quantiles), and the
difference is divided by what it would be without change: image noise, and a small misalignment
where the image is steep. Voxels that stand out, and stand out from healthy tissue, seed regions
of changed tissue, which grow to a lower limit.
"""

from dataclasses import dataclass as record
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy import ndimage

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.tissue_change import Changed, TissueChange
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.morphology import TOUCHING
from aegle.options import option

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NOT_COMPARED = Text("The alignment failed, so change cannot be told from misalignment.")
CAUTION = Text("The alignment is doubtful; edges of tissue may look like change.")
LEAST_CORRELATION = 0.85
"""Of the two images inside the brain, below which their contrast is called different."""
_SLAB = 8
_PARTS = 40


@dataclass(frozen=True, kw_only=True)
class ChangeOptions:
    """What stands out as change."""

    smoothing_mm: Annotated[
        float, option("Smoothing of both images (standard deviation)", unit="mm", ge=0)
    ] = 0.7
    field_mm: Annotated[
        float,
        option("Smoothness of the field by which brightness is made alike", unit="mm", gt=0),
    ] = 15.0
    residual_mm: Annotated[
        float, option("Misalignment that is taken for none (standard deviation)", unit="mm", ge=0)
    ] = 0.3
    seed: Annotated[
        float, option("Change that starts a region, in standard deviations without change", gt=0)
    ] = 6.0
    limit: Annotated[float, option("Change at which a region ends, in the same unit", gt=0)] = 3.5
    brightness: Annotated[
        float,
        option(
            "A region starts in tissue that differs from what lies around it by so many deviations "
            "as lesions do: in the later image for what grew, in the earlier for what shrank"
        ),
    ] = 1.5
    least_ml: Annotated[float, option("Smallest region", unit="mL", ge=0)] = 0.03
    rim_mm: Annotated[
        float, option("Rim of the brain in which nothing counts", unit="mm", ge=0)
    ] = 5.0
    lesions: Annotated[
        Literal["bright", "dark", "any"], option("How lesions look on the image")
    ] = "bright"


def tissue_change(
    earlier: Volume,
    later: Volume,
    registration: Registration,
    brain: Structure,
    *,
    options: ChangeOptions,
) -> TissueChange:
    """Find what changed between two images of the same sequence.

    Args:
        earlier: The image of the first visit.
        later: The image of the second visit, on any grid.
        registration: The earlier image is fixed, the later one moving.
        brain: Tissue to compare, on the grid of the earlier image.
        options: What stands out.

    Raises:
        InputError: The alignment failed, the limits are in the wrong order, or the images share
            too little tissue.
        GeometryError: ``brain`` lies on another grid than the earlier image.
    """
    if registration.verdict is Verdict.FAILED:
        raise InputError(str(NOT_COMPARED))
    if options.limit >= options.seed:
        raise InputError(f"The limit {options.limit} must lie below the seed {options.seed}.")
    if not brain.grid.is_same_as(earlier.grid):
        raise GeometryError(
            f"'{brain.name}' and the earlier image lie on different grids; resample the mask first."
        )
    grid = earlier.grid
    moved, shown = carried(later, grid, registration)
    inside = brain.mask & shown
    if np.count_nonzero(inside) < 1000:
        raise InputError("The two images share fewer than 1000 voxels of tissue to compare.")
    first, second = (
        _smoothed(values, inside, options.smoothing_mm, grid)
        for values in (earlier.values.astype(np.float64), moved)
    )
    unlike = _unlike(first[inside], second[inside])
    second = _alike(first, second, inside, options.field_mm, grid)
    scores = _scores(first, second, inside, options, grid)
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=grid.spacing_mm)
    within = inside & (depth[1:-1, 1:-1, 1:-1] > options.rim_mm)
    sign = -1.0 if options.lesions == "dark" else 1.0
    then, now = (_standing_out(v, inside, options, grid) for v in (first, second))
    grown = _changed("grown", _Map(sign * scores, within, now), grid, options)
    shrunk = _changed("shrunk", _Map(-sign * scores, within, then), grid, options)
    is_doubtful = registration.verdict is Verdict.DOUBTFUL
    return TissueChange(
        difference=Volume(values=scores.astype(np.float32), grid=grid, quantity=Quantity.SIGNAL),
        compared=Structure.of("compared", inside, grid),
        grown=grown,
        shrunk=shrunk,
        notices=((CAUTION,) if is_doubtful else ()) + unlike,
    )


def _unlike(first: Array, second: Array) -> tuple[Text, ...]:
    correlation = float(np.corrcoef(first, second)[0, 1])
    if correlation >= LEAST_CORRELATION:
        return ()
    return (
        Text(
            "The two images differ in contrast (correlation {correlation:.2f}), so changes are "
            "easily missed; compare images of the same sequence.",
            {"correlation": correlation},
        ),
    )


def carried(later: Volume, grid: Grid, registration: Registration) -> tuple[Array, Mask]:
    """Return the later image on the earlier grid, and where it shows anything.

    Args:
        later: The moving image.
        grid: Of the fixed image.
        registration: Maps places of the fixed image to the moving one.
    """
    values = np.zeros(grid.shape)
    shown = np.zeros(grid.shape, dtype=np.bool_)
    source = ndimage.spline_filter(later.values.astype(np.float64))
    rows, columns = (np.arange(n) for n in grid.shape[1:])
    for start in range(0, grid.shape[0], _SLAB):
        slices = np.arange(start, min(start + _SLAB, grid.shape[0]))
        indices = np.stack(np.meshgrid(slices, rows, columns, indexing="ij"), axis=-1)
        places_mm = registration.to_moving(grid.to_patient(indices.astype(np.float64)))
        offsets_mm = places_mm - np.asarray(later.grid.origin_mm)
        there = offsets_mm @ np.asarray(later.grid.axes).T / later.grid.spacing_mm
        shown[slices] = ((there >= -0.5) & (there <= np.array(later.grid.shape) - 0.5)).all(-1)
        values[slices] = ndimage.map_coordinates(
            source, np.moveaxis(there, -1, 0), order=3, mode="nearest", prefilter=False
        )
    return values, shown


def _smoothed(values: Array, inside: Mask, deviation_mm: float, grid: Grid) -> Array:
    """Return values smoothed with what lies inside alone; zero where nothing lies near."""
    sigma = [deviation_mm / step for step in grid.spacing_mm]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(
        np.where(inside, values, 0.0).astype(np.float32), sigma, truncate=3.0
    )
    return np.asarray(total / np.maximum(weight, 1e-6), dtype=np.float64)


def _alike(first: Array, second: Array, inside: Mask, field_mm: float, grid: Grid) -> Array:
    """Return the second image with the brightness of the first."""
    floor = 0.05 * float(np.median(first[inside]))
    level = float(np.median(first[inside]) / max(float(np.median(second[inside])), 1e-9))
    ratio = np.log(np.maximum(first, floor) / np.maximum(second * level, floor))
    # Change itself must not be taken for a difference of brightness.
    middle, spread = _middle_and_spread(ratio[inside])
    calm = inside & (np.abs(ratio - middle) <= 2.5 * spread)
    alike = second * level * np.exp(_smoothed(ratio, calm, field_mm, grid))
    return np.asarray(np.where(inside, _curve(alike, alike[calm], first[calm]), 0.0))


def _curve(values: Array, x: Array, y: Array) -> Array:
    """Carry values along the curve through equal quantiles of both images.

    Unlike a line fitted to pairs, noise does not make it flatter; beyond its ends it goes on
    straight with the slope of its middle.
    """
    shares = np.linspace(0.02, 0.98, _PARTS)
    xs, ys = np.quantile(x, shares), np.quantile(y, shares)
    slope = float((ys[-1] - ys[0]) / max(xs[-1] - xs[0], 1e-9))
    beyond = np.minimum(values - xs[0], 0) + np.maximum(values - xs[-1], 0)
    return np.asarray(np.interp(values, xs, ys) + slope * beyond)


def _scores(first: Array, second: Array, inside: Mask, options: ChangeOptions, grid: Grid) -> Array:
    """Return the difference in standard deviations of what it would be without change."""
    difference = second - first
    slopes = np.gradient((first + second) / 2, *grid.spacing_mm)
    steep = options.residual_mm**2 * np.square(slopes).sum(axis=0)
    calm = inside & (steep <= np.quantile(steep[inside], 0.5))
    middle, noise = _middle_and_spread(difference[calm])
    scores = (difference - middle) / np.sqrt(max(noise, 1e-9) ** 2 + steep)
    # Where the images differ more all around, such as near the vertex, more is no change.
    usual = inside & (np.abs(scores) <= 3)
    around = np.sqrt(_smoothed(np.square(scores), usual, options.field_mm, grid))
    return np.asarray(np.where(inside, scores / np.maximum(around, 1.0), 0.0))


def _middle_and_spread(values: Array) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _standing_out(values: Array, inside: Mask, options: ChangeOptions, grid: Grid) -> Array:
    """Return by how many deviations tissue differs from what lies around it, as lesions do."""
    if options.lesions == "any":
        return np.where(inside, np.inf, 0.0)
    offset = values - _smoothed(values, inside, options.field_mm, grid)
    middle, spread = _middle_and_spread(offset[inside])
    sign = 1.0 if options.lesions == "bright" else -1.0
    return np.asarray(np.where(inside, sign * (offset - middle) / max(spread, 1e-9), 0.0))


@record(frozen=True, eq=False)
class _Map:
    """What regions are grown on."""

    scores: Array
    within: Mask
    standing_out: Array


def _changed(name: str, found: _Map, grid: Grid, options: ChangeOptions) -> Changed:
    """Return the regions whose scores stand out upwards."""
    region = _regions(found, options.limit, options.seed, options, grid)
    limit, seed = max(options.limit - 1, 0.5), max(options.seed - 2, options.limit)
    wider = _regions(found, limit, seed, options, grid)
    labels, count = ndimage.label(region, structure=TOUCHING)
    least = 0
    for number in range(1, count + 1):
        own = found.scores[labels == number]
        # Half of its height is where a region blurred by the image really ends.
        least += int(np.count_nonzero(own >= max(options.limit, np.percentile(own, 90) / 2)))
    voxel_ml = grid.voxel_volume_ml
    return Changed(
        structure=Structure.of(name, region, grid),
        count=int(count),
        volume_ml=int(np.count_nonzero(region)) * voxel_ml,
        interval_ml=(least * voxel_ml, int(np.count_nonzero(wider | region)) * voxel_ml),
    )


def _regions(found: _Map, limit: float, seed: float, options: ChangeOptions, grid: Grid) -> Mask:
    """Return regions above a limit that start where change and lesion are beyond doubt.

    They end where tissue looks like what lies around it: edges of ventricles change the other way.
    """
    may = found.within & (found.scores >= limit) & (found.standing_out >= 0)
    labels, count = ndimage.label(may, structure=TOUCHING)
    if count == 0:
        return np.zeros(grid.shape, dtype=np.bool_)
    starts = (labels > 0) & (found.standing_out >= options.brightness)
    highest = np.zeros(count + 1)
    np.maximum.at(highest, labels[starts], found.scores[starts])
    volumes_ml = np.bincount(labels.ravel(), minlength=count + 1)[1:] * grid.voxel_volume_ml
    kept = np.zeros(count + 1, dtype=np.bool_)
    kept[1:] = (highest[1:] >= seed) & (volumes_ml >= options.least_ml)
    return np.asarray(kept[labels])
