"""How far inside its object each pixel lies, by which touching objects are told apart."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor


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


def object_targets(labels: Tensor) -> Tensor:
    """Return what a network that parts objects is to draw.

    Args:
        labels: Numbers of objects, (image, row, column) or with slices before rows; -1 is
            ignored.

    Returns:
        (image, 2, ...): 1 inside of objects, 0 outside, -1 where ignored; and the distance to
        the object's edge, 0 to 1.
    """
    numbers = labels.cpu().numpy()
    distances = np.stack([_distances(one) for one in numbers])
    inside = labels.clamp(-1, 1).float()
    return torch.stack([inside, torch.from_numpy(distances).to(inside.device)], dim=1)


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
