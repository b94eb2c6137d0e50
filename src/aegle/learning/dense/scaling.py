"""Values and labels brought to the scale and the distances that the network sees.

Grids share their outer edges: voxel ``i`` of ``n`` reaches from ``i / n`` to ``(i + 1) / n`` of the
image, before and after. Outside, the value at the edge goes on.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.imaging.cubic import Order, nearest_voxels, resized
from aegle.learning.dense.configuration import ChannelScaling, Configuration

Shape = tuple[int, int, int]

_LEAST_DEVIATION = 1e-6
"""Below it an image is taken to hold one value only."""


def scaled(values: NDArray[np.float32], scaling: tuple[ChannelScaling, ...]) -> NDArray[np.float32]:
    """Return values on the scale that the network sees.

    Args:
        values: As stored, (channel, slice, row, column); one channel becomes several.
        scaling: Of each channel.

    Raises:
        InputError: The image has other channels, or values that are no numbers.
    """
    if len(values) not in {1, len(scaling)}:
        raise InputError(
            f"The image has {len(values)} channels, {len(scaling)} are expected; bring all "
            "images to the same channels."
        )
    if not np.isfinite(values).all():
        raise InputError("The image holds values that are no finite numbers; correct the file.")
    channels = np.broadcast_to(values, (len(scaling), *values.shape[1:]))
    return np.stack([_scaled(one, how) for one, how in zip(channels, scaling, strict=True)])


def prepared_shape(grid: Grid, configuration: Configuration) -> Shape:
    """Return the voxels that an image has at the configuration's spacing; at least one each.

    Pictures keep their slices.
    """
    counts = [
        max(1, round(count * spacing / wanted))
        for count, spacing, wanted in zip(
            grid.shape, grid.spacing_mm, configuration.spacing_mm, strict=True
        )
    ]
    if configuration.axes == 2:
        counts[0] = grid.shape[0]
    return counts[0], counts[1], counts[2]


def resampled(values: NDArray[np.float32], shape: Shape, *, order: int) -> NDArray[np.float32]:
    """Return channels with other numbers of voxels.

    Args:
        values: (channel, slice, row, column).
        shape: Wanted slices, rows and columns.
        order: 3 for cubic splines; 1 for straight lines between slices, cubic splines within.
    """
    if values.shape[1:] == shape:
        return values
    between: Order = 1 if order == 1 else 3
    return np.stack([resized(channel, shape, order=(between, 3, 3)) for channel in values])


def without_fine_detail(values: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """Return pictures without the detail that fewer pixels cannot show, which would turn to noise.

    Each slice is smoothed by a normal distribution of half of what a new pixel is wider than an
    old one.

    Args:
        values: (channel, slice, row, column).
        shape: The slices, rows and columns that are wanted next.
    """
    have = values.shape[2:]
    rows, columns = (max(0.0, (h / w - 1) / 2) for h, w in zip(have, shape[1:], strict=True))
    if not (rows or columns):
        return values
    result: NDArray[np.float32] = ndimage.gaussian_filter(
        values, (0, 0, rows, columns), mode="nearest"
    )
    return result


def resampled_labels(labels: NDArray[np.int32], shape: Shape, *, smooth: bool) -> NDArray[np.int16]:
    """Return labels with other numbers of voxels.

    Args:
        labels: (slice, row, column).
        shape: Wanted.
        smooth: Whether each label's share of a voxel is interpolated linearly and the largest
            one wins; else the nearest voxel counts, which keeps numbers of objects apart.
    """
    if labels.shape == shape:
        return labels.astype(np.int16)
    counts = list(zip(labels.shape, shape, strict=True))
    if smooth:
        return _largest_share(labels, shape, [_positions(have, want) for have, want in counts])
    nearest = np.ix_(*(nearest_voxels(have, want) for have, want in counts))
    chosen: NDArray[np.int16] = labels[nearest].astype(np.int16)
    return chosen


def _largest_share(
    labels: NDArray[np.int32], shape: Shape, positions: list[NDArray[np.float64]]
) -> NDArray[np.int16]:
    """Return the label with the largest share of each voxel; each is made in its box alone."""
    largest = np.zeros(shape, np.float32)
    result = np.zeros(shape, np.int16)
    rest = np.ones(shape, np.float32)
    lowest = min(0, int(labels.min()))
    boxes = ndimage.find_objects(labels - lowest + 1)
    for number, box in enumerate(boxes):
        label = number + lowest
        if box is None or label == 0:
            continue
        part, window = _share(labels[box] == label, box, positions)
        is_larger = part > largest[window]
        result[window][is_larger] = label
        largest[window][is_larger] = part[is_larger]
        rest[window] -= part
    result[rest >= largest] = 0
    return result


def _share(
    inside: NDArray[np.bool_], box: tuple[slice, ...], positions: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """Return a mask, linearly interpolated, and the window of the result that it reaches."""
    share = inside.astype(np.float32)
    window = []
    for axis, (span, where) in enumerate(zip(box, positions, strict=True)):
        reached = np.flatnonzero((where > span.start - 1) & (where < span.stop))
        window.append(slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0))
        local = where[reached] - span.start
        below = np.floor(local).astype(int)
        weight = np.expand_dims(
            (local - below).astype(np.float32), [other for other in range(3) if other != axis]
        )
        # One voxel of background on either side of the box.
        padded = np.pad(share, [(1, 1) if other == axis else (0, 0) for other in range(3)])
        share = padded.take(below + 1, axis) * (1 - weight) + padded.take(below + 2, axis) * weight
    return share, tuple(window)


def _positions(have: int, want: int) -> NDArray[np.float64]:
    """Return where the wanted voxels lie among those at hand, within the outer centres."""
    return ((np.arange(want) + 0.5) * have / want - 0.5).clip(0, have - 1)


def _scaled(values: NDArray[np.float32], how: ChannelScaling) -> NDArray[np.float32]:
    if how.scheme == "ct":
        return (np.clip(values, how.low, how.high) - how.mean) / _divisor(how.deviation)
    if how.scheme == "range":
        span = how.high - how.low if how.high > how.low else 255.0
        return ((values - how.low) / span - how.mean) / _divisor(how.deviation)
    inside = values != 0 if how.scheme == "z-score-inside" else np.ones(values.shape, np.bool_)
    mean, deviation = _moments(values, inside)
    result = (values - np.float32(mean)) / _divisor(deviation)
    result[~inside] = 0
    return result


def _moments(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return mean and deviation of chosen voxels, slice by slice in double precision."""
    count = max(1, int(np.count_nonzero(inside)))
    mean = (
        sum(
            float(one.sum(where=here, dtype=np.float64))
            for one, here in zip(values, inside, strict=True)
        )
        / count
    )
    squares = sum(
        float(np.square(one[here].astype(np.float64) - mean).sum())
        for one, here in zip(values, inside, strict=True)
    )
    return mean, float(np.sqrt(squares / count))


def _divisor(deviation: float) -> np.float32:
    return np.float32(deviation if deviation > _LEAST_DEVIATION else 1.0)
