"""The air in trachea and main bronchi on CT.

The trachea is the round, dark spot that runs through many slices between the lungs; from it
the air is followed downwards, at the highest radiodensity at which it does not yet spill
into the lung.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.imaging.morphology import IN_PLANE, Mask, parts, reached, window
from aegle.recognition.scan import AxialScan

LUMEN_HU = -800.0
AREA_MM2 = (30.0, 800.0)
"""Cross-section of a trachea; 10-25 mm wide in adults (Breatnach, AJR 1984;142:903)."""
SHORTEST_MM = 25.0
BRONCHI_ML = 45.0
"""The bronchi that can be told from lung hold at most this much air beside the trachea."""
LEAST_STEADY = 0.7
"""Bronchi are followed steadily if a threshold lower by 25 HU keeps at least this share."""
REACH_MM = (90.0, 70.0, 90.0)
"""How far below, before or behind, and beside the lower end of the trachea bronchi are sought."""


@dataclass(frozen=True, eq=False)
class _Spots:
    """Round dark spots on axial slices."""

    labels: NDArray[np.int32]
    slices: NDArray[np.int64]
    """Slice of each spot, highest number nearest to the head."""
    numbers: NDArray[np.int64]
    """Label of each spot."""
    areas: NDArray[np.int64]


def airways(scan: AxialScan, air: Mask, smallest_lung_ml: float) -> Mask:
    """Return trachea and main bronchi in blocks; empty if none is seen.

    Args:
        scan: The CT.
        air: All air inside the patient, lungs included.
        smallest_lung_ml: Size from which air counts as lung, beside which a trachea runs.
    """
    none = np.zeros(air.shape, dtype=np.bool_)
    labels, sizes = parts(air)
    lungs = (sizes * scan.block_ml >= smallest_lung_ml)[labels]
    if not lungs.any():
        return none
    trachea = _trachea(scan, air, lungs)
    if not trachea.any():
        return none
    return _with_bronchi(scan, air, trachea)


def _trachea(scan: AxialScan, air: Mask, lungs: Mask) -> Mask:
    spots = _spots(scan, air)
    previous, lengths = _chains(spots)
    step_mm = scan.spacing_mm[0]
    at_levels = np.flatnonzero(lungs.any(axis=(1, 2)))
    apex = at_levels[-1] - 50.0 / step_mm
    empty = np.zeros(air.shape, dtype=np.bool_)
    for last in np.argsort(-lengths, kind="stable"):
        chain = _chain(int(last), previous)
        if len(chain) * step_mm < SHORTEST_MM:
            return empty
        levels = spots.slices[chain]
        if levels.max() >= min(apex, air.shape[0] - 1) and levels.min() <= at_levels[-1]:
            return np.isin(spots.labels, spots.numbers[chain])
    return empty


def _spots(scan: AxialScan, air: Mask) -> _Spots:
    """Find dark regions of the size and compactness of a trachea, from head to feet."""
    dark = air & (scan.coarse.values < LUMEN_HU)
    labels, count = ndimage.label(dark, structure=IN_PLANE)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    pixel_mm2 = scan.spacing_mm[1] * scan.spacing_mm[2]
    boxes = ndimage.find_objects(labels)
    kept = []
    for number in np.flatnonzero((areas * pixel_mm2 >= AREA_MM2[0]) & (areas > 0)):
        if number == 0 or areas[number] * pixel_mm2 > AREA_MM2[1]:
            continue
        depth, rows, columns = boxes[number - 1]
        high = (rows.stop - rows.start) * scan.spacing_mm[1]
        wide = (columns.stop - columns.start) * scan.spacing_mm[2]
        if areas[number] * pixel_mm2 >= 0.5 * high * wide and max(high, wide) < 2.5 * min(
            high, wide
        ):
            kept.append((-depth.start, int(number)))
    order = np.array(sorted(kept), dtype=np.int64).reshape(-1, 2)
    return _Spots(labels, -order[:, 0], order[:, 1], areas[order[:, 1]])


def _chains(spots: _Spots) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join each spot to the one it overlaps on the slice above; return both and the lengths."""
    index_of = {int(number): index for index, number in enumerate(spots.numbers)}
    previous = np.full(len(spots.numbers), -1, dtype=np.int64)
    lengths = np.ones(len(spots.numbers), dtype=np.int64)
    for index, (level, number) in enumerate(zip(spots.slices, spots.numbers, strict=True)):
        if level + 1 >= spots.labels.shape[0]:
            continue
        above = spots.labels[level + 1][spots.labels[level] == number]
        for other in np.unique(above[above > 0]):
            upper = index_of.get(int(other))
            if upper is None or not 0.4 < spots.areas[index] / spots.areas[upper] < 2.5:
                continue
            if lengths[upper] >= lengths[index]:
                previous[index], lengths[index] = upper, lengths[upper] + 1
    return previous, lengths


def _chain(last: int, previous: NDArray[np.int64]) -> list[int]:
    chain = [last]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return chain


def _with_bronchi(scan: AxialScan, air: Mask, trachea: Mask) -> Mask:
    """Follow the air from the trachea downwards without spilling into the lung."""
    box = window(trachea)
    low = box[0].start
    rows, columns = np.nonzero(trachea[low])
    steps = [round(reach / step) for reach, step in zip(REACH_MM, scan.spacing_mm, strict=True)]
    row, column = int(rows.mean()), int(columns.mean())
    near = (
        slice(max(low - steps[0], 0), box[0].stop),
        slice(max(row - steps[1], 0), row + steps[1]),
        slice(max(column - steps[2], 0), column + steps[2]),
    )
    values, seed = scan.coarse.values[near], trachea[near]
    most = 0.3 * np.count_nonzero(seed) + BRONCHI_ML / scan.block_ml
    trees = [reached(air[near] & (values < limit), seed) for limit in range(-500, -1000, -25)]
    result = trachea.copy()
    for larger, smaller in pairwise(trees):
        # A lower threshold hardly changes a tree, but much of what has spilt into the lung.
        before, after = (np.count_nonzero(tree & ~seed) for tree in (larger, smaller))
        if before <= most and after >= LEAST_STEADY * before:
            result[near] |= larger
            break
    return result
