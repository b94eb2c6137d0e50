"""Deformations by ITK: diffeomorphic demons and B-splines, through SimpleITK.

Sources: Vercauteren T et al. NeuroImage 2009;45:S61 (demons, doi:10.1016/j.neuroimage.2008.10.040);
Rueckert D et al. IEEE Trans Med Imaging 1999;18:712 (B-splines, doi:10.1109/42.796284).
"""

# mypy: allow-untyped-calls

import numpy as np
import SimpleITK as sitk
import torch

from aegle.domain.grid import Points
from aegle.domain.volume import Volume
from aegle.imaging.deformation import Deformation, finished
from aegle.imaging.working_image import WorkingImage, moved, working_image

DEMONS_STEPS = (60, 40, 20)
"""Per resolution, coarse to fine."""
DEMONS_SMOOTHING = 1.5
"""[voxels]."""
KNOT_MM = 20.0
SEED = 20240229


def deformed(
    fixed: Volume, moving: Volume, matrix: Points, *, engine: str, spacing_mm: float
) -> Deformation:
    """Return a deformation after a motion, found by ITK on values in [0, 1].

    Args:
        fixed: The fixed image.
        moving: The moving image, of the same quantity.
        matrix: The motion, 4×4, LPS of fixed to LPS of moving [mm].
        engine: ``demons`` or ``b-spline``.
        spacing_mm: Voxel size at which images are compared [mm].
    """
    still, other = (
        working_image(v, spacing_mm, device=torch.device("cpu"), mask=None) for v in (fixed, moving)
    )
    brought, _ = moved(other, still.grid, matrix)
    images = _image(still.values, still), _image(brought, still)
    find = _demons if engine == "demons" else _b_spline
    field = find(*images)
    # ITK's vectors run along column, row, slice of a grid with our spacing and no turn.
    vectors = np.moveaxis(sitk.GetArrayFromImage(field), -1, 0)[::-1]
    voxels = vectors / np.asarray(still.grid.spacing_mm)[:, None, None, None]
    displacement = torch.from_numpy(np.ascontiguousarray(voxels, np.float32))
    return finished(still, other, matrix, displacement)


def _image(values: torch.Tensor, working: WorkingImage) -> sitk.Image:
    image = sitk.GetImageFromArray(values.numpy())
    image.SetSpacing(working.grid.spacing_mm[::-1])
    return image


def _demons(fixed: sitk.Image, moving: sitk.Image) -> sitk.Image:
    field: sitk.Image | None = None
    for shrink, steps in zip((4, 2, 1), DEMONS_STEPS, strict=True):
        still, other = (_smaller(image, shrink) for image in (fixed, moving))
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfIterations(steps)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(DEMONS_SMOOTHING)
        if field is None:
            field = demons.Execute(still, other)
        else:
            start = sitk.Resample(
                field, still, sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID(), True
            )
            field = demons.Execute(still, other, start)
    assert field is not None
    return field


def _smaller(image: sitk.Image, shrink: int) -> sitk.Image:
    if shrink == 1:
        return image
    smooth = sitk.DiscreteGaussian(image, [(0.5 * shrink) ** 2] * 3, 16, 0.01, False)
    small: sitk.Image = sitk.Shrink(smooth, [min(shrink, max(1, n // 4)) for n in image.GetSize()])
    return small


def _b_spline(fixed: sitk.Image, moving: sitk.Image) -> sitk.Image:
    size_mm = [n * s for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    start = sitk.BSplineTransformInitializer(fixed, [max(1, round(s / KNOT_MM)) for s in size_mm])
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.2, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGSB(numberOfIterations=30)
    method.SetShrinkFactorsPerLevel((4, 2))
    method.SetSmoothingSigmasPerLevel((2.0, 1.0))
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(fixed, moving)
    place = (fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection())
    field: sitk.Image = sitk.TransformToDisplacementField(found, sitk.sitkVectorFloat64, *place)
    return field
