"""Texture features of grey levels as IBSI defines them (sections 3.6 to 3.11).

Each matrix is made on slices and in space. ``2D``: features of every slice are averaged; ``2_5D``:
the matrices of all slices are added up first; ``3D``: neighbours in space. Where a matrix has a
direction, ``avg`` averages the features over directions and ``comb`` adds the matrices up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.imaging.radiomics_matrices import (
    STEPS_2D,
    STEPS_3D,
    Levels,
    Matrix,
    border_distances,
    co_occurrence,
    neighbourhood,
    runs,
    slices_of,
    zones,
)

Features = dict[str, float]


def texture(levels: Levels, inside: NDArray[np.bool_]) -> Features:
    """Return all texture features.

    Args:
        levels: Grey levels from 1 on, 0 where there is none.
        inside: The delineation to whose border distances count; may hold voxels without level.
    """
    most = int(levels.max())
    slices = slices_of(levels)
    return {
        **_directed(
            "cm", levels, slices, lambda part, step: co_occurrence(part, step, most), _glcm
        ),
        **_directed_runs(levels, slices, most),
        **_zones(levels, inside, most),
        **_neighbourhoods(levels, slices, most),
    }


def _directed(
    prefix: str,
    levels: Levels,
    slices: Sequence[Levels],
    matrix: Callable[[Levels, tuple[int, int, int]], Matrix],
    features: Callable[[Matrix], Features],
) -> Features:
    """Return features of matrices that have a direction, in the six ways of adding them up."""
    flat = [[matrix(part, step) for step in STEPS_2D] for part in slices]
    space = [matrix(levels, step) for step in STEPS_3D]
    ways = {
        "2D_avg": [m for part in flat for m in part],
        "2D_comb": [_sum(part) for part in flat],
        "2_5D_avg": [_sum(column) for column in zip(*flat, strict=True)],
        "2_5D_comb": [_sum(m for part in flat for m in part)],
        "3D_avg": space,
        "3D_comb": [_sum(space)],
    }
    return _named(prefix, ways, features)


def _named(
    prefix: str, ways: Mapping[str, Sequence[Matrix]], features: Callable[[Matrix], Features]
) -> Features:
    result = {}
    for way, matrices in ways.items():
        found = [features(m) for m in matrices if m.sum() > 0]
        for name in found[0] if found else ():
            result[f"{prefix}_{name}_{way}"] = float(np.mean([f[name] for f in found]))
    return result


def _sum(matrices: Iterable[Matrix]) -> Matrix:
    total, *rest = matrices
    for matrix in rest:
        total = total + matrix
    return total


def _glcm(counts: Matrix) -> Features:
    p = counts / counts.sum()
    size = len(p)
    i, j = np.indices(p.shape) + 1.0
    level = np.arange(1, size + 1)
    apart, together = np.arange(size), np.arange(2, 2 * size + 1)
    difference = np.bincount(np.abs(i - j).astype(int).ravel(), p.ravel(), minlength=size)
    sums = np.bincount((i + j).astype(int).ravel(), p.ravel(), minlength=2 * size + 1)[2:]
    rows = p.sum(axis=1)
    mean = float((level * rows).sum())
    variance = float(((level - mean) ** 2 * rows).sum())
    difference_mean = float((apart * difference).sum())
    sum_mean = float((together * sums).sum())
    entropy, row_entropy = _entropy(p), _entropy(rows)
    independent = rows[:, None] * rows[None]
    used = independent > 0
    first = float(-(p[used] * np.log2(independent[used])).sum())
    second = _entropy(independent)
    off = np.abs(i - j)
    return {
        "joint_max": float(p.max()),
        "joint_avg": mean,
        "joint_var": variance,
        "joint_entr": entropy,
        "diff_avg": difference_mean,
        "diff_var": float(((apart - difference_mean) ** 2 * difference).sum()),
        "diff_entr": _entropy(difference),
        "sum_avg": sum_mean,
        "sum_var": float(((together - sum_mean) ** 2 * sums).sum()),
        "sum_entr": _entropy(sums),
        "energy": float(np.square(p).sum()),
        "contrast": float((off**2 * p).sum()),
        "dissimilarity": float((off * p).sum()),
        "inv_diff": float((p / (1 + off)).sum()),
        "inv_diff_norm": float((p / (1 + off / size)).sum()),
        "inv_diff_mom": float((p / (1 + off**2)).sum()),
        "inv_diff_mom_norm": float((p / (1 + (off / size) ** 2)).sum()),
        "inv_var": float((p[off > 0] / off[off > 0] ** 2).sum()),
        "corr": float(((i - mean) * (j - mean) * p).sum() / variance) if variance else 1.0,
        "auto_corr": float((i * j * p).sum()),
        "clust_tend": float(((i + j - 2 * mean) ** 2 * p).sum()),
        "clust_shade": float(((i + j - 2 * mean) ** 3 * p).sum()),
        "clust_prom": float(((i + j - 2 * mean) ** 4 * p).sum()),
        "info_corr1": (entropy - first) / row_entropy if row_entropy else 0.0,
        "info_corr2": float(np.sqrt(1 - np.exp(-2 * (second - entropy))))
        if second > entropy
        else 0.0,
    }


def _entropy(p: NDArray[Any]) -> float:
    used = p[p > 0]
    return float(-(used * np.log2(used)).sum())


def _directed_runs(levels: Levels, slices: Sequence[Levels], most: int) -> Features:
    """Return run features; the share of runs relates to the voxels that each matrix saw."""
    longest = max(levels.shape)

    def of(part: Levels, step: tuple[int, int, int]) -> Matrix:
        found = runs(part, step, most)
        return np.pad(found, ((0, 0), (0, longest - found.shape[1])))

    return _directed("rlm", levels, slices, of, lambda m: _emphases(_RUNS, m, _voxels(m)))


def _voxels(matrix: Matrix) -> float:
    """Return how many voxels a matrix of runs or zones of sizes holds."""
    return float((matrix * np.arange(1, matrix.shape[1] + 1)).sum())


_RUNS = ("sre", "lre", "lgre", "hgre", "srlge", "srhge", "lrlge", "lrhge", "rlnu", "r_perc", "rl")
_SIZES = ("sze", "lze", "lgze", "hgze", "szlge", "szhge", "lzlge", "lzhge", "zsnu", "z_perc", "zs")
_DEEP = ("sde", "lde", "lgze", "hgze", "sdlge", "sdhge", "ldlge", "ldhge", "zdnu", "z_perc", "zd")
_DEPEND = (
    *("lde", "hde", "lgce", "hgce", "ldlge", "ldhge", "hdlge", "hdhge", "dcnu", "dc_perc", "dc"),
)


def _emphases(names: tuple[str, ...], matrix: Matrix, voxels: float) -> Features:
    """Return what matrices of runs, zones and dependences have in common.

    Args:
        names: Of the features.
        matrix: Counts by level and by length, size, distance or dependence.
        voxels: That the share of counts relates to.
    """
    total = matrix.sum()
    i, j = np.indices(matrix.shape) + 1.0
    p = matrix / total
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    low, high = ((p * weight).sum() for weight in (1 / j**2, j**2))
    level_mean, length_mean = (p * i).sum(), (p * j).sum()
    *emphases, uniformity, share, kind = names
    values = (
        low,
        high,
        (p / i**2).sum(),
        (p * i**2).sum(),
        (p / i**2 / j**2).sum(),
        (p * i**2 / j**2).sum(),
        (p * j**2 / i**2).sum(),
        (p * i**2 * j**2).sum(),
    )
    return {
        **{name: float(value) for name, value in zip(emphases, values, strict=True)},
        "glnu": float(np.square(rows).sum() / total),
        "glnu_norm": float(np.square(rows).sum() / total**2),
        uniformity: float(np.square(columns).sum() / total),
        f"{uniformity}_norm": float(np.square(columns).sum() / total**2),
        share: float(total / voxels),
        "gl_var": float((p * (i - level_mean) ** 2).sum()),
        f"{kind}_var": float((p * (j - length_mean) ** 2).sum()),
        f"{kind}_entr": _entropy(p),
    }


def _zones(levels: Levels, inside: NDArray[np.bool_], most: int) -> Features:
    """Return features of zones by size, and by distance to the border."""
    slices = slices_of(levels)
    used = np.flatnonzero((levels > 0).any(axis=(1, 2)))
    flat = [
        zones(part, border_distances(inside[k : k + 1], per_slice=True), most, per_slice=True)
        for part, k in zip(slices, used, strict=True)
    ]
    space = zones(levels, border_distances(inside, per_slice=False), most, per_slice=False)
    voxels = [float(np.count_nonzero(part)) for part in slices]
    result = {}
    for which, prefix, names in ((0, "szm", _SIZES), (1, "dzm", _DEEP)):
        ways = _ways([pair[which] for pair in flat], space[which], voxels)
        result.update(_by_way(prefix, ways, partial(_emphases, names)))
    return result


def _neighbourhoods(levels: Levels, slices: Sequence[Levels], most: int) -> Features:
    """Return features of neighbourhood differences and of dependence."""
    flat = [neighbourhood(part, most, per_slice=True) for part in slices]
    space = neighbourhood(levels, most, per_slice=False)
    voxels = [float(np.count_nonzero(part)) for part in slices]
    tones = _ways([pair[0] for pair in flat], space[0], voxels)
    dependence = _ways([pair[1] for pair in flat], space[1], voxels)
    return {
        **_by_way("ngt", tones, lambda m, _: _ngtdm(m)),
        **_by_way("ngl", dependence, _ngldm),
    }


_Way = Sequence[tuple[Matrix, float]]


def _ways(flat: Sequence[Matrix], space: Matrix, voxels: Sequence[float]) -> dict[str, _Way]:
    """Return the matrices of each way of adding up, with the voxels each was made from."""
    width = max(m.shape[1] for m in flat)
    alike = [np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in flat]
    return {
        "2D": list(zip(flat, voxels, strict=True)),
        "2_5D": [(_sum(alike), sum(voxels))],
        "3D": [(space, sum(voxels))],
    }


def _by_way(
    prefix: str, ways: Mapping[str, _Way], features: Callable[[Matrix, float], Features]
) -> Features:
    result = {}
    for way, matrices in ways.items():
        found = [features(m, voxels) for m, voxels in matrices if m.sum() > 0]
        for name in found[0] if found else ():
            result[f"{prefix}_{name}_{way}"] = float(np.mean([f[name] for f in found]))
    return result


def _ngldm(matrix: Matrix, voxels: float) -> Features:
    found = _emphases(_DEPEND, matrix, voxels)
    return {**found, "dc_energy": float(np.square(matrix / matrix.sum()).sum())}


def _ngtdm(tones: Matrix) -> Features:
    counts, differences = tones.T
    total = counts.sum()
    level = np.flatnonzero(counts) + 1.0
    p, s = counts[counts > 0] / total, differences[counts > 0]
    weighted = float((p * s).sum())
    pi, pj = p[:, None], p[None]
    apart = level[:, None] - level[None]
    busy = float(np.abs(level[:, None] * pi - level[None] * pj).sum())
    kinds = len(level)
    return {
        "coarseness": 1 / weighted if weighted else 1e6,
        "contrast": float((pi * pj * apart**2).sum() / (kinds * (kinds - 1)) * s.sum() / total)
        if kinds > 1
        else 0.0,
        "busyness": weighted / busy if kinds > 1 and busy else 0.0,
        "complexity": float(
            (np.abs(apart) * (pi * s[:, None] + pj * s[None]) / (pi + pj)).sum() / total
        ),
        "strength": float(((pi + pj) * apart**2).sum() / s.sum()) if s.sum() else 0.0,
    }
