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
    middle: Annotated[
        float,
        option("Distance to the edge, over the object's largest, above which its middle lies"),
    ] = 0.3
    smoothing: Annotated[
        float, option("Standard deviation that the distance is smoothed by", unit="voxel", ge=0)
    ] = 1.0
    smallest: Annotated[int, option("Voxels of the smallest object", ge=1)] = 10


def objects_of(
    foreground: NDArray[np.floating], distance: NDArray[np.floating], options: ObjectOptions
) -> NDArray[np.uint16]:
    """Return the number of the object that each voxel belongs to.

    Middles are the connected places where the smoothed distance is above a limit, and every
    connected foreground without such a place. Objects grow from them to where the distance is
    lower (watershed; Beucher and Meyer 1993), and share no voxel.

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
    if options.smoothing:
        depth = ndimage.gaussian_filter(depth, options.smoothing, mode="nearest")
    grown = _grown(shown, depth, options.middle)
    return _numbered(grown, options.smallest).reshape(inside.shape)


def _grown(
    inside: NDArray[np.bool_], depth: NDArray[np.float32], middle: float
) -> NDArray[np.int32]:
    """Return objects grown from their middles."""
    middles, count = ndimage.label(inside & (depth > middle))
    parts, parts_count = ndimage.label(inside)
    is_bare = np.ones(parts_count + 1, np.bool_)
    is_bare[0] = False
    is_bare[np.unique(parts[middles > 0])] = False
    markers: NDArray[np.int32] = np.where(is_bare[parts], parts + count, middles).astype(np.int32)
    if not count:
        return markers
    # What lies outside is reached last, so that no object grows through it into another part.
    height = np.where(inside, -depth, np.float32(np.abs(depth).max() + 1)).astype(np.float32)
    grown = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(height),
        sitk.GetImageFromArray(markers),
        markWatershedLine=False,
        fullyConnected=False,
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
