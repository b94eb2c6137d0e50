"""Right and left lung on CT, with their vessels and the lesions at their surface."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from aegle.imaging.morphology import (
    Mask,
    Window,
    closed,
    depth_mm,
    distance_mm,
    grown,
    margin,
    parts,
    window,
    without_holes,
)
from aegle.recognition.scan import AxialScan, inner_blocks

LUNG_MEDIAN_HU = (-960.0, -550.0)
"""Air whose inner blocks have their median outside is gas in bowel or cavity, not lung."""
STRAY_ML = 2.0
"""Smaller pieces of air apart from the lungs are left out."""
FARTHEST_STRAY_MM = 40.0
BRONCHIAL_WALL_MM = 2.5
LEAST_SHARE = 0.15
"""The smaller lung holds at least this share of the larger one."""


@dataclass(frozen=True, eq=False)
class Lung:
    """One lung in blocks."""

    air: Mask
    """Blocks below the threshold."""
    whole: Mask
    """With vessels and lesions."""


def lungs(
    scan: AxialScan, air: Mask, airways: Mask, *, closing_mm: float, smallest_ml: float
) -> dict[str, Lung]:
    """Return the lungs by name, ``lung_right`` and ``lung_left``; those that are seen.

    Args:
        scan: The CT.
        air: All air inside the patient.
        airways: Trachea and main bronchi.
        closing_mm: Radius of the ball that rolls along the inner chest wall [mm].
        smallest_ml: Smallest piece of air that counts as a lung of its own [mL].
    """
    wall_mm = max(BRONCHIAL_WALL_MM, 1.01 * min(scan.spacing_mm))
    free = air & ~grown(airways, wall_mm, scan.spacing_mm)
    pieces, strays = _pieces(scan, free, smallest_ml)
    if not pieces.any():
        return {}
    sides = _sides(scan, pieces)
    sides = _with_strays(scan, sides, strays)
    whole = {name: _filled(scan, side, closing_mm) for name, side in sides.items()}
    _part(scan, sides, whole)
    return {name: Lung(side, whole[name] & ~airways) for name, side in sides.items()}


def _pieces(scan: AxialScan, free: Mask, smallest_ml: float) -> tuple[Mask, Mask]:
    """Return large pieces of air that look like lung, and small ones."""
    labels, sizes = parts(free)
    sizes_ml = sizes * scan.block_ml
    inner_hu = scan.coarse.values + np.where(inner_blocks(free), 0, np.float32(np.nan))
    numbers = np.flatnonzero(sizes_ml >= STRAY_ML)
    medians_hu = np.full(len(sizes), np.nan)
    for number, box in zip(numbers, _boxes(labels, numbers), strict=True):
        inside = inner_hu[box][labels[box] == number]
        inside = inside[np.isfinite(inside)]
        medians_hu[number] = np.median(inside) if inside.size else np.nan
    is_lung = (medians_hu >= LUNG_MEDIAN_HU[0]) & (medians_hu <= LUNG_MEDIAN_HU[1])
    is_large = sizes_ml >= smallest_ml
    # Foam of a table that the image cuts off looks like a small piece of lung.
    is_cut = np.zeros(len(sizes), dtype=np.bool_)
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_cut[np.unique(edge)] = True
    return (is_lung & is_large)[labels], (is_lung & ~is_large & ~is_cut)[labels]


def _boxes(labels: NDArray[np.int32], numbers: NDArray[np.intp]) -> list[Window]:
    boxes = ndimage.find_objects(labels)
    return [boxes[number - 1] for number in numbers]


def _sides(scan: AxialScan, pieces: Mask) -> dict[str, Mask]:
    """Tell right from left, parting the lungs where they touch."""
    labels, sizes = parts(pieces)
    numbers = np.flatnonzero(sizes)
    apart = [labels == number for number in numbers[np.argsort(-sizes[numbers])]]
    apart = apart[:6]
    if len(apart) == 1 or apart[1].sum() < LEAST_SHARE * apart[0].sum():
        apart = [*_parted(scan, apart[0]), *apart[1:]]
    if len(apart) == 1 or apart[1].sum() < 0.05 * apart[0].sum():
        return {_side_of_one(scan, apart[0]): pieces}
    positions = [scan.left_mm(piece) for piece in apart]
    middle_mm = (positions[0] + positions[1]) / 2
    sides = {"lung_right": np.zeros_like(pieces), "lung_left": np.zeros_like(pieces)}
    for piece, position_mm in zip(apart, positions, strict=True):
        sides["lung_right" if position_mm < middle_mm else "lung_left"] |= piece
    return sides


def _parted(scan: AxialScan, joined: Mask) -> list[Mask]:
    """Cut a mask at its narrowest bridge into two parts of like size, if there is one."""
    box = window(joined, (1, 1, 1))
    depths_mm: NDArray[np.float32] = depth_mm(joined[box], scan.spacing_mm)
    for radius_mm in np.arange(1.0, 9.0) * min(scan.spacing_mm):
        labels, sizes = parts(depths_mm > radius_mm)
        largest_two = np.argsort(-sizes)[:2]
        if len(sizes) > 2 and sizes[largest_two[1]] >= LEAST_SHARE * sizes[largest_two[0]]:
            return _flooded(joined, box, depths_mm, [labels == n for n in largest_two])
    return [joined]


def _flooded(
    joined: Mask,
    box: Window,
    depths_mm: NDArray[np.float32],
    cores: list[Mask],
) -> list[Mask]:
    """Give every voxel to the core from which it is flooded first, deep voxels first."""
    markers = np.zeros(depths_mm.shape, dtype=np.uint8)
    for number, core in enumerate(cores, start=1):
        markers[core] = number
    basins = sitk.GetArrayFromImage(
        sitk.MorphologicalWatershedFromMarkers(
            sitk.GetImageFromArray(-depths_mm), sitk.GetImageFromArray(markers), False, False
        )
    )
    result = []
    for number in (1, 2):
        part = np.zeros(joined.shape, dtype=np.bool_)
        part[box] = joined[box] & np.asarray(basins == number)
        result.append(part)
    return result


def _side_of_one(scan: AxialScan, lung: Mask) -> str:
    """Return on which side of the patient a single lung lies: the bones tell the middle."""
    levels = np.asarray(lung.any(axis=(1, 2)))
    bone = (scan.coarse.values > 300) & levels[:, None, None]
    tissue = (scan.coarse.values > -200) & levels[:, None, None]
    middle_mm = scan.left_mm(bone if bone.any() else tissue)
    return "lung_right" if scan.left_mm(lung) < middle_mm else "lung_left"


def _with_strays(scan: AxialScan, sides: dict[str, Mask], strays: Mask) -> dict[str, Mask]:
    """Give small pieces of lung to the side on which they lie."""
    result = {name: side.copy() for name, side in sides.items()}
    box = window(strays, margin(FARTHEST_STRAY_MM, scan.spacing_mm))
    labels, _ = parts(strays[box])
    if not labels.size:
        return result
    apart_mm = {name: distance_mm(side[box], scan.spacing_mm) for name, side in sides.items()}
    for number, part in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[part] == number
        nearest_mm = {name: float(d[part][inside].min()) for name, d in apart_mm.items()}
        name = min(nearest_mm, key=lambda side: nearest_mm[side])
        if nearest_mm[name] <= FARTHEST_STRAY_MM:
            chosen = result[name][box][part]
            np.logical_or(chosen, inside, out=chosen)
    return result


def _filled(scan: AxialScan, side: Mask, closing_mm: float) -> Mask:
    """Add vessels and lesions: what is enclosed, and what a ball along the wall cannot enter."""
    box = window(side, margin(closing_mm, scan.spacing_mm))
    result = side.copy()
    result[box] = without_holes(closed(side[box], closing_mm, scan.spacing_mm))
    return result


def _part(scan: AxialScan, sides: dict[str, Mask], whole: dict[str, Mask]) -> None:
    """Give what both lungs claim to the nearer one, and no lung the other's air."""
    if len(whole) < 2:
        return
    whole["lung_right"] &= ~sides["lung_left"]
    whole["lung_left"] &= ~sides["lung_right"]
    both = whole["lung_right"] & whole["lung_left"]
    if not both.any():
        return
    box = window(both, margin(30.0, scan.spacing_mm))
    to_right = distance_mm(sides["lung_right"][box], scan.spacing_mm)
    nearer_right = to_right <= distance_mm(sides["lung_left"][box], scan.spacing_mm)
    whole["lung_left"][box] &= ~(both[box] & nearer_right)
    whole["lung_right"][box] &= ~(both[box] & ~nearer_right)
