"""Self-similarity around each voxel: what images of different kinds have in common.

The modality-independent neighbourhood descriptor with self-similarity context compares, around
each voxel, twelve pairs of small patches. How alike two patches are does not depend on which
tissue is bright, so CT, MR and PET become comparable.

Sources: Heinrich MP et al. Med Image Anal 2012;16:1423 (doi:10.1016/j.media.2012.05.008) and
MICCAI 2013;8149:187 (doi:10.1007/978-3-642-40811-3_24).
"""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from aegle.imaging.displacement import Box

NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
PAIRS = tuple(
    (a, b)
    for a, b in combinations(NEIGHBOURS, 2)
    if sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) == 2
)
"""The twelve pairs of neighbours that do not lie opposite each other."""
VARIANCE_RANGE = (1e-3, 1e3)
"""Local noise estimates are kept within these multiples of their mean."""


def mind_ssc(image: Tensor, *, distance: int = 2) -> Tensor:
    """Return the descriptor of an image.

    Args:
        image: Shape (slice, row, column), any unit.
        distance: Of the patches' centres from the voxel [voxels].

    Returns:
        Shape (12, slice, row, column), within (0, 1]; 0.5 everywhere for an even image.
    """
    rim = [distance if n > 1 else 0 for n in image.shape]
    padded = functional.pad(
        image[None, None], [r for r in reversed(rim) for _ in range(2)], mode="replicate"
    )[0]
    box = Box(image[None])
    distances = image.new_empty((len(PAIRS), *image.shape))
    difference = torch.empty_like(image[None])
    for number, (a, b) in enumerate(PAIRS):
        ahead, behind = (_shifted(padded, step, rim, image) for step in (a, b))
        torch.sub(ahead, behind, out=difference).square_()
        distances[number] = box.borrowed(difference)[0]
    distances -= distances.amin(0, keepdim=True)
    noise = distances.mean(0, keepdim=True)
    mean = float(noise.mean())
    if not mean > 0:
        return torch.full_like(distances, 0.5)
    low, high = VARIANCE_RANGE
    return distances.div_(noise.clamp_(low * mean, high * mean)).neg_().exp_()


def _shifted(padded: Tensor, step: tuple[int, ...], rim: list[int], image: Tensor) -> Tensor:
    """Return the image as seen from a neighbour."""
    for axis, (sign, reach, count) in enumerate(zip(step, rim, image.shape, strict=True), 1):
        padded = padded.narrow(axis, reach + sign * reach, count)
    return padded
