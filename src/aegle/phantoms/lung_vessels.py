"""Arteries and veins of the lungs, grown at random from the hilum towards points in the lung.

Each new point joins the branch that reaches it with the shortest detour; radii then follow
Murray's law (the cube of a parent's radius is the sum of its children's cubes, PNAS 1926;12:207).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aegle.phantoms.lesions import COURSES
from aegle.phantoms.shapes import Field, Tube
from aegle.phantoms.torso import LungMap, lung_map

_PIECE_MM = 9.0
_TIP_RADIUS_MM = 0.65
_CLEAR_MM = 4.5
"""Vessels keep this far from every lesion, so that its border is its own."""


@dataclass(frozen=True)
class _Tree:
    """Growing tree: positions [mm], parent of each and way from the root [mm]."""

    points: NDArray[np.float64]
    parents: list[int]
    ways: NDArray[np.float64]


_ROOTS = (
    # side, hilum, points to reach
    ("right", (-50.0, 6.0, 12.0), 520),
    ("right", (-47.0, 16.0, -16.0), 330),
    ("left", (54.0, 22.0, 14.0), 460),
    ("left", (53.0, 24.0, -18.0), 300),
)


@lru_cache(maxsize=4)
def lung_vessels(seed: int) -> tuple[Tube, ...]:
    """Return arteries and veins of both lungs in reference positions."""
    lungs = lung_map(seed)
    tubes: list[Tube] = []
    for number, (side, hilum, count) in enumerate(_ROOTS):
        rng = np.random.default_rng([seed, 3, number])
        field = lungs.right if side == "right" else lungs.left
        targets = _targets(lungs, field, count, rng)
        tubes.extend(_tubes(_grow(np.asarray(hilum), targets, lungs, field, rng)))
    return tuple(tubes)


def _targets(
    lungs: LungMap, field: Field, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw points spread evenly over a lung, off its surface and off the lesions."""
    inside = np.argwhere(field < -4)
    chosen = inside[rng.choice(len(inside), size=3 * count, replace=False)]
    points = lungs.canvas.grid.to_patient(chosen + rng.uniform(-0.5, 0.5, chosen.shape))
    return points[_is_clear(points)][:count]


def _is_clear(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    clear = np.ones(len(points), dtype=bool)
    for course in COURSES:
        reach = max(max(size) for size in course.diameters_mm if size is not None) / 2
        apart = np.linalg.norm(points - np.asarray(course.centre_mm), axis=1)
        clear &= apart > reach + _CLEAR_MM
    return clear


def _grow(
    root: NDArray[np.float64],
    targets: NDArray[np.float64],
    lungs: LungMap,
    field: Field,
    rng: np.random.Generator,
) -> _Tree:
    points, parents, ways = [root], [-1], [0.0]
    order = np.argsort(np.linalg.norm(targets - root, axis=1))
    # Far points first lay the large branches, near ones then fill in.
    order = np.concatenate([order[-12:][::-1], order[:-12]])
    for target in targets[order]:
        known = np.asarray(points)
        apart = np.linalg.norm(known - target, axis=1)
        for start in np.argsort(apart + 0.35 * np.asarray(ways))[:6]:
            path = _path(known[start], target, rng)
            if _stays_inside(path, lungs, field):
                _append(points, parents, ways, int(start), path)
                break
    return _Tree(np.asarray(points), parents, np.asarray(ways))


def _append(
    points: list[NDArray[np.float64]],
    parents: list[int],
    ways: list[float],
    start: int,
    path: NDArray[np.float64],
) -> None:
    before = start
    for point in path:
        ways.append(ways[before] + float(np.linalg.norm(point - points[before])))
        points.append(point)
        parents.append(before)
        before = len(points) - 1


def _path(
    start: NDArray[np.float64], end: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return points on a gently bent way from (not including) start to end."""
    length = float(np.linalg.norm(end - start))
    part = np.linspace(0, 1, max(int(np.ceil(length / _PIECE_MM)), 1) + 1)[1:, None]
    bend = rng.normal(0, 0.07 * length, 3)
    return np.asarray(start + part * (end - start) + 4 * part * (1 - part) * bend)


def _stays_inside(path: NDArray[np.float64], lungs: LungMap, field: Field) -> bool:
    index = np.rint(lungs.canvas.grid.to_indices(path)).astype(int)
    index = np.clip(index, 0, np.asarray(field.shape) - 1)
    return bool(np.all(field[tuple(index.T)] < -1) and np.all(_is_clear(path)))


def _tubes(tree: _Tree) -> list[Tube]:
    """Cut a tree into tubes of one piece each, thinner from parent to child."""
    cubes = np.zeros(len(tree.points))
    children = np.bincount(np.asarray(tree.parents[1:]), minlength=len(tree.points))
    cubes[children == 0] = _TIP_RADIUS_MM**3
    for node in range(len(tree.points) - 1, 0, -1):
        cubes[tree.parents[node]] += cubes[node]
    radii = np.cbrt(cubes)
    return [
        Tube(
            tree.points[[parent, node]],
            np.array([min(radii[parent], 1.25 * radii[node]), radii[node]]),
        )
        for node, parent in enumerate(tree.parents)
        if parent >= 0
    ]
