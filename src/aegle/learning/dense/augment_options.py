"""How far patches are changed in training.

The kinds of change and the shares of patches that they touch follow nnU-Net (Isensee 2021,
supplement), with smaller angles, since short trainings cannot make use of every view.
"""

from typing import Annotated

from pydantic.dataclasses import dataclass as checked

from aegle.options import option


@checked(frozen=True, kw_only=True)
class DenseAugmentOptions:
    """How patches are changed at random while training; shares are of the patches."""

    rotation_share: Annotated[float, option("Share that is turned", ge=0, le=1)] = 0.3
    rotation_deg: Annotated[
        float, option("Largest angle in each plane", unit="degree", ge=0, le=180)
    ] = 20.0
    scale_share: Annotated[float, option("Share that is enlarged or shrunk", ge=0, le=1)] = 0.3
    scale: Annotated[float, option("Largest relative change of size", ge=0, lt=0.9)] = 0.25
    mirror_slices: Annotated[
        bool | None, option("Mirror the order of slices, half of them; by default as rows")
    ] = None
    mirror_rows: Annotated[
        bool | None,
        option(
            "Mirror the order of rows, half of them; by default in pictures, and where the "
            "network is used with mirror images, since a body has a left and a right"
        ),
    ] = None
    mirror_columns: Annotated[
        bool | None, option("Mirror the order of columns, half of them; by default as rows")
    ] = None
    elastic_share: Annotated[float, option("Share that is bent", ge=0, le=1)] = 0.0
    elastic: Annotated[
        float, option("Standard deviation of bending, as a share of the patch", ge=0, le=0.2)
    ] = 0.03
    noise_share: Annotated[float, option("Share that gets noise", ge=0, le=1)] = 0.1
    noise: Annotated[
        float, option("Largest standard deviation of noise, of values of deviation 1", ge=0, le=2)
    ] = 0.3
    blur_share: Annotated[float, option("Share that is blurred", ge=0, le=1)] = 0.15
    blur: Annotated[
        float, option("Largest standard deviation of blur", unit="voxel", ge=0, le=5)
    ] = 1.0
    brightness_share: Annotated[float, option("Share made brighter or darker", ge=0, le=1)] = 0.15
    brightness: Annotated[float, option("Largest change, of values of deviation 1", ge=0, le=2)] = (
        0.25
    )
    contrast_share: Annotated[float, option("Share whose contrast changes", ge=0, le=1)] = 0.15
    contrast: Annotated[float, option("Largest relative change of contrast", ge=0, lt=1)] = 0.25
    gamma_share: Annotated[float, option("Share whose gamma changes", ge=0, le=1)] = 0.3
    gamma: Annotated[float, option("Largest change of the logarithm of gamma", ge=0, le=2)] = 0.35
    coarse_share: Annotated[
        float, option("Share that looks as if taken with fewer voxels", ge=0, le=1)
    ] = 0.15
    coarse: Annotated[
        float, option("Largest factor of the distance of voxels then", ge=1, le=8)
    ] = 2.0
