"""Bone and the spinal canal on CT."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.imaging.morphology import (
    Mask,
    Window,
    closed,
    enclosed_on_slices,
    grown,
    margin,
    parts,
    window,
)
from aegle.recognition.scan import AxialScan

CORTEX_HU = 400.0
LEAST_CORTEX = 0.03
"""A bone holds at least this share of cortex; vessels filled with contrast agent do not."""
SMALLEST_BONE_ML = 0.5
MARROW_CLOSING_MM = 3.0
LARGEST_MARROW_MM2 = 3000.0
"""Larger holes on a slice are the inside of the skull or of a rib cage."""

CANAL_AREA_MM2 = (70.0, 600.0)
"""Cross-section of the spinal canal."""
CANAL_HU = (-10.0, 80.0)
"""Median of what lies in the canal."""
OPENING_MM = 5.0
"""Half the width of the gaps between vertebral arches that are bridged."""
RIM_MM = 6.0
RIM_HU = 100.0
"""Spongy and thin bone around the canal: at least so dense, within ``RIM_MM`` of other bone."""
BESIDE_MM = 80.0
"""The canal lies no farther beside the middle of all bone."""
SHORTEST_CANAL_MM = 80.0
LEAST_SEEN = 0.25
"""Share of the slices on which the ring is closed."""
LARGEST_STEP = 0.6
"""How far the canal moves sideways per way upwards."""
LONGEST_GAP_MM = 35.0


def bones(scan: AxialScan, body: Mask, bone_hu: float) -> Mask:
    """Return the bones in blocks, marrow included; empty if none is in view."""
    dense = body & (scan.coarse.values >= bone_hu)
    labels, sizes = parts(dense, touching=True)
    cortex = np.bincount(labels[dense & (scan.coarse.values >= CORTEX_HU)], minlength=len(sizes))
    hard = (sizes * scan.block_ml >= SMALLEST_BONE_ML) & (cortex >= LEAST_CORTEX * sizes)
    hard[0] = False
    bone: Mask = hard[labels]
    if bone.any():
        box = window(bone, margin(MARROW_CLOSING_MM, scan.spacing_mm))
        bone[box] |= _marrow(scan, box, bone[box]) & body[box]
    return bone


def _marrow(scan: AxialScan, box: Window, bone: Mask) -> Mask:
    """Return what cortex encloses on a slice, but for the spinal canal and the brain."""
    rim = closed(bone, MARROW_CLOSING_MM, scan.spacing_mm)
    labels, count = enclosed_on_slices(rim)
    areas_mm2, medians_hu = _described(scan, scan.coarse.values[box], labels, count)
    is_canal = (medians_hu > CANAL_HU[0]) & (medians_hu < CANAL_HU[1])
    is_marrow = np.concatenate([[False], (areas_mm2 < LARGEST_MARROW_MM2) & ~is_canal])
    inner = is_marrow[labels]
    return inner | (rim & grown(inner, MARROW_CLOSING_MM, scan.spacing_mm))


def _described(
    scan: AxialScan, values: NDArray[np.float32], labels: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return area [mm^2] and median radiodensity [HU] of numbered holes."""
    inside = labels > 0
    numbers, inner_hu = labels[inside], values[inside]
    areas = np.bincount(numbers, minlength=count + 1)[1:]
    # Sorted by hole and then by value, the median of each hole stands in its middle.
    middles = np.cumsum(areas) - (areas + 1) // 2
    medians_hu = np.asarray(inner_hu[np.lexsort((inner_hu, numbers))][middles], dtype=float)
    return np.asarray(areas * scan.spacing_mm[1] * scan.spacing_mm[2]), medians_hu


def canal(scan: AxialScan, bone: Mask, levels: slice) -> Mask:
    """Return the spinal canal in blocks; empty if it is not clearly seen.

    On each slice the canal is a hole of soft tissue in the ring of a vertebra whose gaps are
    bridged; the holes that follow each other most smoothly over the longest way are it. Where
    the ring is open (at the discs) a disc of the usual size continues it.

    Args:
        scan: The CT.
        bone: All bone.
        levels: Slices between which it is sought.
    """
    result = np.zeros(bone.shape, dtype=np.bool_)
    if not bone[levels].any():
        return result
    labels, places_mm, slices = _holes(scan, bone[levels], levels)
    if not slices.size:
        return result
    chain = _smoothest(places_mm, slices, scan.spacing_mm[0])
    rise = int(np.ptp(slices[chain])) + 1
    if rise * scan.spacing_mm[0] < SHORTEST_CANAL_MM or len(chain) < LEAST_SEEN * rise:
        return result
    result[levels] = _tube(scan, labels, chain, places_mm, slices)
    # Of bone that was filled in as marrow, what belongs to the canal is given back.
    return result & ~(bone & (scan.coarse.values >= RIM_HU))


def _holes(
    scan: AxialScan, bone: Mask, levels: slice
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Return numbered holes, their middle (row, column) [mm] and their slice."""
    box = _around_spine(scan, bone)
    flat_mm = (1e4, scan.spacing_mm[1], scan.spacing_mm[2])
    values = scan.coarse.values[levels][box]
    rim = grown(bone[box], RIM_MM, scan.spacing_mm) & (values >= RIM_HU)
    numbers, count = enclosed_on_slices(closed(bone[box] | rim, OPENING_MM, flat_mm))
    areas_mm2, medians_hu = _described(scan, values, numbers, count)
    good = (areas_mm2 >= CANAL_AREA_MM2[0]) & (areas_mm2 <= CANAL_AREA_MM2[1])
    good &= (medians_hu > CANAL_HU[0]) & (medians_hu < CANAL_HU[1])
    kept = np.concatenate([[0], np.where(good, np.cumsum(good), 0)]).astype(np.int32)
    labels = np.zeros(bone.shape, dtype=np.int32)
    labels[box] = kept[numbers]
    where = np.argwhere(labels)
    numbers = labels[tuple(where.T)] - 1
    sizes = np.bincount(numbers, minlength=int(good.sum()))
    centres = np.column_stack(
        [np.bincount(numbers, where[:, axis], minlength=len(sizes)) / sizes for axis in range(3)]
    )
    return labels, centres[:, 1:] * scan.spacing_mm[1:], np.rint(centres[:, 0]).astype(np.int64)


def _around_spine(scan: AxialScan, bone: Mask) -> Window:
    """Return the box around bone, no wider than a spine and its bends beside the median bone."""
    slices, rows, columns = window(bone, margin(RIM_MM, scan.spacing_mm))
    weights = bone.sum(axis=(0, 1))
    middle = int(np.searchsorted(np.cumsum(weights), weights.sum() / 2))
    reach = max(1, round(BESIDE_MM / scan.spacing_mm[2]))
    first, last = max(columns.start, middle - reach), min(columns.stop, middle + reach)
    return slices, rows, slice(first, last)


def _smoothest(places: NDArray[np.float64], levels: NDArray[np.int64], step_mm: float) -> list[int]:
    """Return the longest chain of holes that follow each other upwards."""
    order = np.argsort(levels, kind="stable")
    score = np.zeros(len(levels))
    previous = np.full(len(levels), -1)
    for position, index in enumerate(order):
        score[index] += 1
        earlier = order[:position]
        rise_mm = (levels[index] - levels[earlier]) * step_mm
        move_mm = np.linalg.norm(places[index] - places[earlier], axis=1)
        fits = (rise_mm > 0) & (rise_mm <= LONGEST_GAP_MM)
        fits &= move_mm <= 5.0 + LARGEST_STEP * rise_mm
        if fits.any():
            gain = score[earlier] - 0.05 * move_mm - 0.02 * rise_mm
            best = earlier[fits][np.argmax(gain[fits])]
            score[index] += max(gain[fits].max(), 0)
            previous[index] = best
    chain = [int(np.argmax(score))]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return chain[::-1]


def _tube(
    scan: AxialScan,
    labels: NDArray[np.int32],
    chain: list[int],
    places_mm: NDArray[np.float64],
    slices: NDArray[np.int64],
) -> Mask:
    """Return the holes of a chain, and discs where a hole is missing or of unlikely size."""
    result = np.zeros(labels.shape, dtype=np.bool_)
    areas = np.bincount(labels.ravel())[np.asarray(chain) + 1]
    usual = float(np.median(areas))
    radius_mm = float(np.sqrt(usual * scan.spacing_mm[1] * scan.spacing_mm[2] / np.pi))
    likely = (areas > 0.6 * usual) & (areas < 1.5 * usual)
    seen = {int(slices[hole]): hole for hole in np.asarray(chain)[likely]}
    known = np.array(sorted(seen))
    path_mm = places_mm[[seen[level] for level in known]]
    path_mm = ndimage.median_filter(path_mm, size=(5, 1), mode="nearest")
    rows_mm = np.arange(labels.shape[1])[:, None] * scan.spacing_mm[1]
    columns_mm = np.arange(labels.shape[2])[None, :] * scan.spacing_mm[2]
    for level in range(int(known[0]), int(known[-1]) + 1):
        row_mm, column_mm = (np.interp(level, known, path_mm[:, axis]) for axis in (0, 1))
        away_mm = np.hypot(rows_mm - row_mm, columns_mm - column_mm)
        hole = seen.get(level)
        drawn = away_mm <= radius_mm if hole is None else labels[level] == hole + 1
        result[level] = drawn & (away_mm <= 2 * radius_mm)
    return result
