"""Images that show the same: a short code of what is seen, and clusters of alike codes.

The code is a difference hash of 256 bits: whether each of 16 × 16 pixels of the shrunken image is
darker than its right neighbour. Scaling, recompression and a change of brightness leave most bits
as they are. Source: N. Krawetz, "Kind of Like That", hackerfactor.com (2013), there of 64 bits.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 16
WORDS = SIDE * SIDE // 64
"""A code is kept in so many 64-bit numbers."""
_BLOCK = 64
"""Codes that are compared with the others at a time: few, so that they stay in the cache."""
_MIDDLE = 1
"""The part of a code, above the middle of the image, that is compared before the others: at the
border images are often alike."""

Codes = NDArray[np.uint64]
"""Shape (image, 4)."""


def difference_code(pixels: NDArray[np.generic]) -> Codes:
    """Return the code of an image, shape (4,); of a volume, that of its middle slice.

    Args:
        pixels: (row, column), (row, column, 3) or (slice, row, column), all finite.
    """
    image = np.asarray(pixels)
    if image.ndim == 3:
        is_colour = image.shape[-1] == 3
        image = image.mean(axis=2) if is_colour else image[len(image) // 2]
    low, high = float(image.min()), float(image.max())
    if image.dtype != np.uint8:
        image = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-30))
    # Whole numbers keep flat background equal, so that its bits do not depend on rounding.
    grey = Image.fromarray(np.rint(image).astype(np.uint8))
    small = np.asarray(grey.resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS))
    bits = small[:, :-1] < small[:, 1:]
    return np.packbits(bits).view(np.uint64)


def clusters(codes: Codes, distance: int = 16) -> NDArray[np.int64]:
    """Return for each code the number of its cluster, counted from 0 in order of appearance.

    Codes that differ in at most ``distance`` bits share a cluster, and so do those joined by a
    chain of such pairs.

    Args:
        codes: Shape (image, 4).
        distance: Bits, 0 to 256.
    """
    if not len(codes):
        return np.zeros(0, np.int64)
    distinct, place = np.unique(codes, axis=0, return_inverse=True)
    ones = np.bitwise_count(distinct).sum(axis=1).astype(np.int64)
    order = np.argsort(ones, kind="stable")
    first, second = _pairs(distinct[order], ones[order], distance)
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(order),) * 2)
    _, parts = connected_components(graph, directed=False)
    by_distinct = np.empty(len(order), np.int64)
    by_distinct[order] = parts
    return _numbered(by_distinct[place.reshape(-1)])


def _pairs(
    codes: Codes, ones: NDArray[np.int64], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of alike codes, given in order of how many bits they set.

    Codes whose numbers of set bits lie further apart than ``distance`` need no comparison.
    """
    firsts, seconds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    buffer = np.empty((_BLOCK, len(codes)), np.uint64)
    middle = codes[:, _MIDDLE].copy()
    for start in range(0, len(codes), _BLOCK):
        end = min(start + _BLOCK, len(codes))
        stop = int(np.searchsorted(ones, ones[end - 1] + distance, side="right"))
        differing = buffer[: end - start, : stop - start]
        np.bitwise_xor(middle[start:end, None], middle[None, start:stop], out=differing)
        first, second = np.nonzero(np.bitwise_count(differing) <= distance)
        is_once = first < second
        first, second = first[is_once] + start, second[is_once] + start
        is_alike = np.bitwise_count(codes[first] ^ codes[second]).sum(axis=1) <= distance
        firsts.append(first[is_alike])
        seconds.append(second[is_alike])
    return np.concatenate(firsts), np.concatenate(seconds)


def _numbered(parts: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(parts, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]
