"""Touching objects told apart: grown from their middles, where the network sees them deepest."""

from typing import Annotated

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy import ndimage

from aegle.domain.errors import InputError
from aegle.options import option

MOST = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """How objects are parted."""

    inside: Annotated[
        float, option("Least probability of the foreground within an object", gt=0, lt=1)
    ] = 0.5
    rise: Annotated[
        float,
        option(
            "Distance to the edge, over the object's largest, that has to be climbed from one "
            "middle to the next",
            gt=0,
            le=1,
        ),
    ] = 0.2
    smallest: Annotated[int, option("Voxels of the smallest object", ge=1)] = 10


def objects_of(
    foreground: NDArray[np.floating], distance: NDArray[np.floating], options: ObjectOptions
) -> NDArray[np.uint16]:
    """Return the number of the object that each voxel belongs to.

    Middles are the highest places of the distance, together with those that are parted from a
    higher one by less than a limit (h-maxima; Soille, Morphological image analysis, 2003, 6.3.4).
    Objects grow from them to where the distance is lower (watershed; Beucher and Meyer 1993), and
    share no voxel.

    Args:
        foreground: Probability that a voxel belongs to any object, (slice, row, column).
        distance: Of the voxel to the edge of its object over the object's largest, same shape.
        options: Limits.

    Returns:
        0 outside, else 1 to the number of objects in the order of their first voxels, same shape.

    Raises:
        InputError: There are more than 65535 objects.
    """
    inside = np.asarray(foreground) >= options.inside
    flat = inside.shape[0] == 1
    shown = inside[0] if flat else inside
    depth = np.asarray(distance, np.float32).reshape(shown.shape)
    grown = _grown(shown, depth, options.rise)
    return _numbered(grown, options.smallest).reshape(inside.shape)


def _grown(inside: NDArray[np.bool_], depth: NDArray[np.float32], rise: float) -> NDArray[np.int32]:
    """Return objects grown from their middles."""
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    # What lies outside is reached last, so that no object grows through it into another part.
    height = np.where(inside, depth, -np.float32(np.abs(depth).max() + 1)).astype(np.float32)
    image = sitk.GetImageFromArray(height)
    peaks = sitk.GetArrayFromImage(sitk.RegionalMaxima(sitk.HMaxima(image, rise)))
    middles: NDArray[np.int32] = ndimage.label((peaks > 0) & inside)[0]
    grown = sitk.MorphologicalWatershedFromMarkers(
        -image, sitk.GetImageFromArray(middles), markWatershedLine=False, fullyConnected=False
    )
    result: NDArray[np.int32] = sitk.GetArrayFromImage(grown)
    result[~inside] = 0
    return result


def _numbered(grown: NDArray[np.int32], smallest: int) -> NDArray[np.uint16]:
    """Return objects that are large enough, numbered from 1 on."""
    numbers, first, back, sizes = np.unique(
        grown, return_index=True, return_inverse=True, return_counts=True
    )
    kept = np.flatnonzero((numbers > 0) & (sizes >= smallest))
    if len(kept) > MOST:
        raise InputError(
            f"{len(kept)} objects were found, at most {MOST} can be numbered; raise the size of "
            "the smallest object, or cut the image into parts."
        )
    kept = kept[np.argsort(first[kept], kind="stable")]
    renamed = np.zeros(len(numbers), np.uint16)
    renamed[kept] = np.arange(1, len(kept) + 1)
    return renamed[back].reshape(grown.shape)
