"""Shapes grown, shrunk, joined and taken apart, by distances in millimetres.

Beyond the edge of an array nothing is known: growing stops there and nothing is eaten away
from there.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Window = tuple[slice, slice, slice]

TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)
"""Voxels are neighbours if they share a face, an edge or a corner."""


def distance_mm(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
    """Return the distance of every voxel centre to the nearest one inside [mm].

    Zero inside; infinite everywhere if the mask is empty.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    signed = sitk.SignedMaurerDistanceMap(image, False, False, True)
    distances: NDArray[np.float32] = sitk.GetArrayFromImage(signed)
    return np.maximum(distances, 0, out=distances)


def depth_mm(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
    """Return how far every voxel inside lies from the nearest one outside [mm]; 0 outside."""
    return distance_mm(~mask, spacing_mm)


def window(mask: Mask, margin: tuple[int, int, int] = (0, 0, 0)) -> Window:
    """Return the smallest box around a mask, widened by a margin [voxels] within the array."""
    spans = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if spans[0].size == 0:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    a, b, c = (
        slice(max(int(span[0]) - rim, 0), min(int(span[-1]) + 1 + rim, size))
        for span, rim, size in zip(spans, margin, mask.shape, strict=True)
    )
    return a, b, c


def margin(radius_mm: float, spacing_mm: Spacing) -> tuple[int, int, int]:
    """Return how many voxels a radius spans along each axis, and one more."""
    a, b, c = (int(np.ceil(radius_mm / step)) + 1 for step in spacing_mm)
    return a, b, c


def grown(mask: Mask, radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Return a mask with all voxels within a distance added."""
    result = np.zeros(mask.shape, dtype=np.bool_)
    box = window(mask, margin(radius_mm, spacing_mm))
    if mask[box].size:
        result[box] = distance_mm(mask[box], spacing_mm) <= radius_mm
    return result


def shrunk(mask: Mask, radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Return a mask without the voxels that lie within a distance of the outside."""
    result = np.zeros(mask.shape, dtype=np.bool_)
    box = window(mask, (1, 1, 1))
    if mask[box].size:
        result[box] = depth_mm(mask[box], spacing_mm) > radius_mm
    return result


def opened(mask: Mask, radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Return the parts of a mask into which a ball fits."""
    return mask & grown(shrunk(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def closed(mask: Mask, radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Return a mask with the gaps and notches filled into which no ball fits from outside."""
    rims = margin(radius_mm, spacing_mm)
    box = window(mask)
    if not mask[box].size:
        return mask
    padded = np.pad(mask[box], [(rim, rim) for rim in rims])
    wide = distance_mm(padded, spacing_mm) <= radius_mm
    inner = depth_mm(wide, spacing_mm) > radius_mm
    unpadded = tuple(
        slice(rim, rim + size) for rim, size in zip(rims, mask[box].shape, strict=True)
    )
    result = mask.copy()
    result[box] |= inner[unpadded]
    return result


def without_holes(mask: Mask) -> Mask:
    """Return a mask with every cavity filled from which no way leads to the array's edge."""
    labels, count = ndimage.label(~mask)
    open_to_edge = np.zeros(count + 1, dtype=np.bool_)
    for axis in range(3):
        for end in (0, -1):
            open_to_edge[np.unique(np.take(labels, end, axis=axis))] = True
    open_to_edge[0] = False
    return np.asarray(~open_to_edge[labels])


IN_PLANE = ndimage.generate_binary_structure(3, 1)
"""Voxels are neighbours if they share an edge on the same slice."""
IN_PLANE[[0, 2]] = False


def enclosed_on_slices(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Number the holes that a mask encloses on single slices; return them and their number."""
    if not mask.size:
        return np.zeros(mask.shape, np.int32), 0
    labels, count = ndimage.label(~mask, structure=IN_PLANE)
    is_hole = np.ones(count + 1, dtype=np.bool_)
    is_hole[0] = False
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_hole[np.unique(edge)] = False
    renumbered = np.where(is_hole, np.cumsum(is_hole), 0).astype(np.int32)
    return renumbered[labels], int(is_hole.sum())


def parts(mask: Mask, *, touching: bool = False) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the connected parts of a mask.

    Args:
        mask: Any mask.
        touching: Whether voxels that share only an edge or a corner are connected.

    Returns:
        The number of each voxel's part, 0 outside; and the voxels of each part, the first
        entry (outside) being 0.
    """
    labels, count = ndimage.label(mask, structure=TOUCHING if touching else None)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels, sizes


def reached(mask: Mask, seed: Mask) -> Mask:
    """Return the connected parts of a mask that hold a seed voxel."""
    labels, sizes = parts(mask)
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    chosen[np.unique(labels[seed & mask])] = True
    chosen[0] = False
    return np.asarray(chosen[labels])


def largest(mask: Mask, *, share: float = 1.0) -> Mask:
    """Return the largest connected part and all others of at least a share of its size."""
    labels, sizes = parts(mask)
    return np.asarray(((sizes >= share * sizes.max()) & (sizes > 0))[labels])
