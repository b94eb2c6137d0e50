"""Rigid alignment of two CTs of the same patient.

Both images are brought to about 4 mm, the body is cut out so that couch and clothes do not
count, and six parameters are found in three steps, all through SimpleITK (ITK 5):

1. The best whole shift by masked normalised cross-correlation (Padfield, IEEE Trans Image
   Process 2012;21:2706, doi:10.1109/TIP.2011.2181402), so that scans whose tables, frames of
   reference or lengths differ still start close. Equal coordinates and equal centres of the
   body also compete.
2. Correlation of the soft-tissue window inside the body.
3. Correlation of the bone window around bone. Bone is what stays rigid while a patient
   breathes; where there is too little of it the second step stands.

Nothing is drawn at random: metric samples lie on a regular pattern.
"""

# mypy: allow-untyped-calls

from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy.ndimage import binary_fill_holes

from aegle.domain.registration import Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.options import option

Matrix = NDArray[np.float64]

AIR_HU = -1000.0
BODY_HU = -300.0
"""Skin and everything inside but lung lies above."""
SOFT_WINDOW_HU = (-500.0, 400.0)
BONE_WINDOW_HU = (150.0, 900.0)
COUCH_MM = 16.0
"""Thinner plates are not body."""
BODY_MARGIN_MM = 8.0
BONE_MARGIN_MM = 10.0
LEAST_BONE_ML = 60.0
"""A few vertebrae; with less bone six parameters are not determined."""
MOST_LOST_CORRELATION = 0.05
"""Bone that fits only where soft tissue does not was mistaken for other bone."""
SEED = 20240229
"""ITK shifts even regular samples at random inside their voxels."""
LEAST_VOXELS = 4
"""Along each axis, for ITK's recursive Gaussian filter."""
SEARCH_SPACING_MM = 10.0
LEAST_SEARCH_OVERLAP = 0.25


@dataclass(frozen=True, kw_only=True)
class RigidOptions:
    """How finely to align, and when to believe the result."""

    spacing_mm: Annotated[
        float, option("Voxel size at which images are compared", unit="mm", ge=1, le=10)
    ] = 4.0
    sampling: Annotated[float, option("Share of voxels at which they are compared", gt=0, le=1)] = (
        0.3
    )
    iterations: Annotated[int, option("Most optimiser steps per level", ge=1, le=1000)] = 100
    good_correlation: Annotated[
        float, option("Correlation inside the body from which an alignment is good", ge=0, le=1)
    ] = 0.85
    least_correlation: Annotated[
        float, option("Correlation below which an alignment has failed", ge=0, le=1)
    ] = 0.75
    good_overlap: Annotated[
        float, option("Share of the smaller body that must overlap for good", ge=0, le=1)
    ] = 0.5
    least_overlap: Annotated[
        float, option("Share of the smaller body below which an alignment failed", ge=0, le=1)
    ] = 0.2
    largest_rotation_degree: Annotated[
        float, option("Rotation above which an alignment is doubtful", unit="degree", gt=0)
    ] = 20.0


@plain_dataclass(frozen=True, eq=False)
class _Body:
    """One image made ready: small, couch removed."""

    soft: sitk.Image
    bone: sitk.Image
    inside: sitk.Image
    near_bone: sitk.Image
    volume_ml: float
    bone_ml: float


@plain_dataclass(frozen=True)
class _Agreement:
    """How well two bodies agree under a transform."""

    correlation: float
    overlap: float
    """Share of the smaller body."""


def register_rigid(fixed: Volume, moving: Volume, *, options: RigidOptions) -> Registration:
    """Find where each point of ``fixed`` lies in ``moving``.

    Args:
        fixed: The earlier CT [HU].
        moving: The later CT [HU]; frame of reference, grid and extent may differ.
        options: Resolution and limits of trust.

    Returns:
        The rigid alignment, LPS of fixed to LPS of moving [mm]. Correlations are Pearson's,
        soft-tissue window, inside the fixed body where both images were acquired; 0 where
        they do not meet. An alignment that failed has the identity as its matrix.

    Raises:
        QuantityError: An image is not a CT in HU.
    """
    still, moved = (_prepare(v.require(Quantity.RADIODENSITY), options) for v in (fixed, moving))
    nothing = _Agreement(correlation=0.0, overlap=0.0)
    if min(*still.soft.GetSize(), *moved.soft.GetSize()) < LEAST_VOXELS:
        return _failed(nothing, nothing, Text("One of the images is too thin to be aligned."))
    if min(still.volume_ml, moved.volume_ml) <= 0:
        return _failed(nothing, nothing, Text("One of the images shows no body."))
    before = _agreement(still, moved, sitk.Euler3DTransform())
    try:
        found = _align(still, moved, options)
    except RuntimeError as error:
        if "map outside" not in str(error) and "valid points" not in str(error):
            raise
        return _failed(before, nothing, Text("The images do not overlap."))
    after = _agreement(still, moved, found)
    verdict, reason = _judge(before, after, _rotation_degree(found), still, options)
    if verdict is Verdict.FAILED:
        return _failed(before, after, reason)
    return _registration(_matrix(found), before, after, verdict, reason)


def _failed(before: _Agreement, after: _Agreement, reason: Text) -> Registration:
    return _registration(np.eye(4), before, after, Verdict.FAILED, reason)


def _registration(
    matrix: Matrix, before: _Agreement, after: _Agreement, verdict: Verdict, reason: Text
) -> Registration:
    # Sums over another number of threads differ in the 13th digit.
    rows = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in matrix.round(9))
    return Registration(
        matrix=rows,
        correlation_before=before.correlation,
        correlation_after=after.correlation,
        verdict=verdict,
        reason=reason,
    )


def _judge(
    before: _Agreement,
    after: _Agreement,
    rotation_degree: float,
    still: _Body,
    options: RigidOptions,
) -> tuple[Verdict, Text]:
    facts = {
        "before": before.correlation,
        "after": after.correlation,
        "overlap_percent": 100 * after.overlap,
        "rotation_degree": rotation_degree,
    }
    if after.overlap < options.least_overlap:
        return Verdict.FAILED, Text(
            "The images share only {overlap_percent:.0f} % of the body.", facts
        )
    if after.correlation < options.least_correlation:
        return Verdict.FAILED, Text("The images stay unlike: correlation {after:.2f}.", facts)
    if after.correlation < options.good_correlation:
        return Verdict.DOUBTFUL, Text(
            "Correlation {after:.2f} (was {before:.2f}) leaves doubt.", facts
        )
    if after.overlap < options.good_overlap:
        return Verdict.DOUBTFUL, Text(
            "Correlation {after:.2f}, but only {overlap_percent:.0f} % of the body is shared.",
            facts,
        )
    if rotation_degree > options.largest_rotation_degree:
        return Verdict.DOUBTFUL, Text(
            "Correlation {after:.2f}, but turned by {rotation_degree:.0f}°.", facts
        )
    if still.bone_ml < LEAST_BONE_ML:
        return Verdict.DOUBTFUL, Text(
            "Correlation {after:.2f}, but too little bone to rule out breathing.", facts
        )
    return Verdict.GOOD, Text("Correlation {after:.2f} (was {before:.2f}).", facts)


def _prepare(volume: Volume, options: RigidOptions) -> _Body:
    """Shrink an image and cut the body out of it."""
    image = sitk.GetImageFromArray(volume.values)
    image.SetSpacing([float(s) for s in reversed(volume.grid.spacing_mm)])
    image.SetOrigin([float(x) for x in volume.grid.origin_mm])
    image.SetDirection(np.asarray(volume.grid.axes)[::-1].T.ravel().tolist())
    image = sitk.Clamp(image, sitk.sitkFloat32, AIR_HU, 3000.0)
    factors = [max(1, round(options.spacing_mm / s)) for s in image.GetSpacing()]
    small = sitk.BinShrink(
        image, [min(f, n) for f, n in zip(factors, image.GetSize(), strict=True)]
    )
    body = _body(small)
    # Soft tissue is aligned by its outline too, so a margin of air belongs to it.
    inside = sitk.BinaryDilate(body, _voxels(BODY_MARGIN_MM, small))
    voxel_ml = float(np.prod(small.GetSpacing())) / 1000.0
    bone = _windowed(small, body, BONE_WINDOW_HU)
    is_bone = bone > BONE_WINDOW_HU[0] + 50.0
    return _Body(
        soft=_windowed(small, inside, SOFT_WINDOW_HU),
        bone=bone,
        inside=inside,
        near_bone=sitk.BinaryDilate(is_bone, _voxels(BONE_MARGIN_MM, small)),
        volume_ml=_count(inside) * voxel_ml,
        bone_ml=_count(is_bone) * voxel_ml,
    )


def _body(image: sitk.Image) -> sitk.Image:
    """Return the largest dense part, couch removed, with what its slices enclose (lungs)."""
    dense = sitk.BinaryMorphologicalOpening(image > BODY_HU, _voxels(COUCH_MM / 2, image))
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(dense), sortByObjectSize=True)
    slices = sitk.GetArrayFromImage(parts == 1)
    filled = sitk.GetImageFromArray(
        np.stack([binary_fill_holes(s) for s in slices]).astype(np.uint8)
    )
    filled.CopyInformation(image)
    return filled


def _windowed(image: sitk.Image, inside: sitk.Image, window: tuple[float, float]) -> sitk.Image:
    low, high = window
    clamped = sitk.Clamp(image, sitk.sitkFloat32, low, high)
    masked: sitk.Image = sitk.Mask(clamped, inside, outsideValue=low)
    return masked


def _voxels(distance_mm: float, image: sitk.Image) -> list[int]:
    return [max(1, round(distance_mm / s)) for s in image.GetSpacing()]


def _count(mask: sitk.Image) -> int:
    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask)))


def _align(still: _Body, moved: _Body, options: RigidOptions) -> sitk.Transform:
    """Return the transform from fixed to moving points, coarse to fine."""
    start = _best_start(still, moved)
    found = _optimise((still.soft, moved.soft), still.inside, start, levels=(2, 1), options=options)
    fit = _agreement(still, moved, found).correlation
    if min(still.bone_ml, moved.bone_ml) < LEAST_BONE_ML or fit < options.least_correlation:
        return found
    on_bone = _optimise(
        (still.bone, moved.bone), still.near_bone, found, levels=(1,), options=options
    )
    lost = fit - _agreement(still, moved, on_bone).correlation
    return on_bone if lost < MOST_LOST_CORRELATION else found


def _best_start(still: _Body, moved: _Body) -> sitk.Euler3DTransform:
    """Return the shift among equal coordinates, equal centres and best overlay that fits best."""
    centre = _centroid(still.inside)
    shifts = [
        np.zeros(3),
        _centroid(moved.inside) - centre,
        _overlay_shift(still, moved),
    ]
    starts = []
    for shift in shifts:
        start = sitk.Euler3DTransform()
        start.SetCenter(centre.tolist())
        start.SetTranslation(shift.tolist())
        starts.append(start)
    return max(starts, key=lambda s: _merit(_agreement(still, moved, s)))


def _merit(agreement: _Agreement) -> float:
    # A sliver can agree by chance, so what little overlap agrees must not win.
    return agreement.correlation * min(1.0, agreement.overlap / LEAST_SEARCH_OVERLAP)


def _overlay_shift(still: _Body, moved: _Body) -> Matrix:
    """Return the shift [mm] at which the normalised cross-correlation is greatest."""
    fixed, fixed_inside, fixed_origin_mm = _coarse(still)
    moving, moving_inside, moving_origin_mm = _coarse(moved)
    scores = sitk.MaskedFFTNormalizedCorrelation(
        fixed, moving, fixed_inside, moving_inside, 0, LEAST_SEARCH_OVERLAP
    )
    values = sitk.GetArrayViewFromImage(scores)
    best = np.array(np.unravel_index(int(np.argmax(values)), values.shape)[::-1])
    # At index n-1 the first voxels of both images lie on each other.
    steps = best - (np.array(moving.GetSize()) - 1)
    return np.asarray(moving_origin_mm - (fixed_origin_mm + steps * SEARCH_SPACING_MM))


def _coarse(body: _Body) -> tuple[sitk.Image, sitk.Image, Matrix]:
    """Return soft tissue and body on a coarse grid along the patient's axes, and its origin.

    The grids themselves start at 0, since ITK correlates only images in the same place.
    """
    corners = [
        body.soft.TransformIndexToPhysicalPoint([int(i) for i in index])
        for index in np.stack(np.meshgrid(*[(0, n - 1) for n in body.soft.GetSize()]), -1).reshape(
            -1, 3
        )
    ]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    grid = sitk.Image(
        [int(n) for n in np.ceil((high - low) / SEARCH_SPACING_MM) + 1], sitk.sitkFloat32
    )
    grid.SetSpacing([SEARCH_SPACING_MM] * 3)
    grid.SetOrigin(low.tolist())
    smooth = sitk.SmoothingRecursiveGaussian(body.soft, SEARCH_SPACING_MM / 2)
    still = sitk.Transform(3, sitk.sitkIdentity)
    images = (
        sitk.Resample(smooth, grid, still, sitk.sitkLinear, SOFT_WINDOW_HU[0]),
        sitk.Resample(body.inside, grid, still, sitk.sitkNearestNeighbor, 0, sitk.sitkFloat32),
    )
    for image in images:
        image.SetOrigin([0.0, 0.0, 0.0])
    return *images, low


def _optimise(
    images: tuple[sitk.Image, sitk.Image],
    where: sitk.Image,
    start: sitk.Euler3DTransform,
    *,
    levels: tuple[int, ...],
    options: RigidOptions,
) -> sitk.Euler3DTransform:
    """Return the six parameters of greatest correlation, shrinking by each of ``levels``."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(where)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(options.sampling, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.005, numberOfIterations=options.iterations
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(levels)
    method.SetSmoothingSigmasPerLevel([options.spacing_mm * n / 2 for n in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=False)
    found = sitk.CompositeTransform(method.Execute(*images)).GetBackTransform()
    return sitk.Euler3DTransform(found)


def _agreement(still: _Body, moved: _Body, transform: sitk.Transform) -> _Agreement:
    """Compare two bodies where the moving image was acquired."""
    nowhere = float(np.finfo(np.float32).max)
    soft = sitk.Resample(moved.soft, still.soft, transform, sitk.sitkLinear, nowhere)
    inside = sitk.Resample(moved.inside, still.soft, transform, sitk.sitkNearestNeighbor, 0)
    here = sitk.GetArrayViewFromImage(still.inside) > 0
    there = sitk.GetArrayViewFromImage(inside) > 0
    values = sitk.GetArrayViewFromImage(soft)
    compared = here & (values < nowhere)
    smaller_ml = min(still.volume_ml, moved.volume_ml)
    voxel_ml = float(np.prod(still.soft.GetSpacing())) / 1000.0
    shared = float(np.count_nonzero(here & there)) * voxel_ml / smaller_ml if smaller_ml else 0.0
    return _Agreement(
        correlation=_pearson(sitk.GetArrayViewFromImage(still.soft)[compared], values[compared]),
        overlap=min(1.0, shared),
    )


def _pearson(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.nan_to_num(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1]))


def _centroid(mask: sitk.Image) -> Matrix:
    """Return the mean LPS position of the voxels inside [mm]."""
    index = np.argwhere(sitk.GetArrayViewFromImage(mask)).mean(axis=0)[::-1]
    return np.array(mask.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _matrix(transform: sitk.Transform) -> Matrix:
    """Return a SimpleITK transform as 4×4: y = R (x - centre) + centre + translation."""
    rigid = sitk.Euler3DTransform(transform)
    rotation = np.array(rigid.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(rigid.GetCenter()), np.array(rigid.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + shift - rotation @ centre
    return matrix


def _rotation_degree(transform: sitk.Transform) -> float:
    trace = float(np.trace(_matrix(transform)[:3, :3]))
    return float(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))))
