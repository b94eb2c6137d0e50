"""How far inside its object each pixel lies, and where two objects meet."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

REACH = 2
"""Voxels on every side of one in which a second object makes it part of a seam."""


def object_distances(labels: NDArray[np.integer], *, flat: bool) -> NDArray[np.float32]:
    """Return the distance of each voxel to the edge of its object over the object's largest.

    Edges are where the number changes, to the background and to other objects alike; the border
    of the image is none, since objects go on beyond it.

    Args:
        labels: Numbers of objects, (slice, row, column); 0 and below is no object.
        flat: Whether each slice is taken by itself.

    Returns:
        0 outside of objects; inside above 0 and up to 1, same shape.
    """
    if flat:
        return np.concatenate([_distances(one)[None] for one in labels])
    return _distances(labels)


def object_targets(labels: Tensor, distances: Tensor) -> Tensor:
    """Return what a network that parts objects is to draw.

    Args:
        labels: Numbers of objects, (image, row, column) or with slices before rows; -1 is
            ignored.
        distances: From ``object_distances``, same shape.

    Returns:
        (image, 3, ...): 1 inside of objects, 0 outside, -1 where ignored; the distance to the
        object's edge, 0 to 1; and 1 where two objects meet, see ``seams``.
    """
    inside = labels.clamp(-1, 1).float()
    return torch.stack([inside, distances.to(inside), seams(labels)], dim=1)


def seams(labels: Tensor) -> Tensor:
    """Return where objects touch or nearly do, which a distance drawn smoothly blurs.

    Networks that draw such seams as a class of their own won the Data Science Bowl of 2018
    (Caicedo, Nat Methods 2019).

    Args:
        labels: Numbers of objects, (image, row, column) or with slices before rows; 0 and below
            is no object.

    Returns:
        1 where two objects lie within ``REACH`` voxels along every axis, else 0, same shape.
    """
    numbers = labels.float()[:, None]
    pool = functional.max_pool2d if numbers.ndim == 4 else functional.max_pool3d
    nothing = torch.full_like(numbers, -torch.inf)
    is_object, size = numbers > 0, 2 * REACH + 1
    last = pool(torch.where(is_object, numbers, nothing), size, 1, REACH)
    first = -pool(torch.where(is_object, -numbers, nothing), size, 1, REACH)
    return (last > first).float()[:, 0]


def _distances(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    result = np.zeros(labels.shape, np.float32)
    whole = np.where(labels > 0, labels, 0)
    for number, box in enumerate(ndimage.find_objects(whole), 1):
        if box is None:
            continue
        # One more voxel around, so that the edges of the object lie within.
        window = tuple(slice(max(0, span.start - 1), span.stop + 1) for span in box)
        inside = labels[window] == number
        result[window][inside] = _depth(inside)[inside]
    return result


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance to the edges of an object's voxels over the largest; 1 if it has none."""
    if inside.all():
        return np.ones(inside.shape, np.float32)
    # Centres of voxels lie half a voxel from the edge that they share.
    depth = ndimage.distance_transform_edt(inside) - 0.5
    share: NDArray[np.float32] = (depth / depth.max()).astype(np.float32)
    return share
