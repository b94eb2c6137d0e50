"""Signed distances of simple shapes [mm]: negative inside, positive outside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Axes:
    """Coordinates of a box of voxels that broadcast to (slice, row, column) [mm]."""

    x: NDArray[Any]
    y: NDArray[Any]
    z: NDArray[Any]


@dataclass(frozen=True)
class Tube:
    """A bent, tapering tube: points of its axis [mm], shape (n, 3), and a radius at each [mm]."""

    points: NDArray[np.float64]
    radii: NDArray[np.float64]

    @classmethod
    def through(cls, *rows: tuple[float, float, float, float], steps: int = 4) -> "Tube":
        """Lay a smooth tube through rows of x, y, z and radius [mm]."""
        knots = np.asarray(rows, dtype=np.float64)
        smooth = _catmull_rom(knots, steps) if len(knots) > 2 else knots
        return cls(smooth[:, :3], smooth[:, 3])

    def segments(self) -> Iterator["Segment"]:
        """Yield the straight pieces of the tube."""
        for i in range(len(self.points) - 1):
            yield Segment(
                self.points[i], self.points[i + 1], float(self.radii[i]), float(self.radii[i + 1])
            )


@dataclass(frozen=True)
class Segment:
    """A straight, tapering piece of a tube with round ends [mm]."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    start_radius: float
    end_radius: float

    @property
    def radius(self) -> float:
        """Mean radius [mm]."""
        return (self.start_radius + self.end_radius) / 2

    def wider(self, by_mm: float) -> "Segment":
        """Return the same piece with radii larger by ``by_mm`` [mm]."""
        return replace(
            self,
            start_radius=max(self.start_radius + by_mm, 0.1),
            end_radius=max(self.end_radius + by_mm, 0.1),
        )

    def bounds(self, margin_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and highest corner of the box around it [mm]."""
        reach = max(self.start_radius, self.end_radius) + margin_mm
        return np.minimum(self.start, self.end) - reach, np.maximum(self.start, self.end) + reach

    def distance(self, at: Axes) -> Field:
        """Return the signed distance to its surface [mm]."""
        x, y, z = at.x - self.start[0], at.y - self.start[1], at.z - self.start[2]
        along = self.end - self.start
        length_squared = max(float(along @ along), 1e-6)
        part = x * np.float32(along[0]) + y * np.float32(along[1]) + z * np.float32(along[2])
        part = np.clip(part / np.float32(length_squared), 0, 1)
        squared = np.square(x - part * np.float32(along[0]))
        squared += np.square(y - part * np.float32(along[1]))
        squared += np.square(z - part * np.float32(along[2]))
        radius = self.start_radius + part * np.float32(self.end_radius - self.start_radius)
        return np.asarray(np.sqrt(squared) - radius, dtype=np.float32)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid: centre, half axes [mm] and the rotation whose columns are its axes."""

    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    axes: NDArray[np.float64]

    @classmethod
    def turned(
        cls,
        centre: tuple[float, float, float],
        half_axes: tuple[float, float, float],
        *,
        first: Sequence[float] = (1, 0, 0),
        second: Sequence[float] = (0, 1, 0),
    ) -> "Ellipsoid":
        """Point the first half axis along ``first``, the second as near to ``second`` as can be."""
        one = np.asarray(first, dtype=np.float64)
        one = one / np.linalg.norm(one)
        two = np.asarray(second, dtype=np.float64)
        two = two - (two @ one) * one
        two = two / np.linalg.norm(two)
        return cls(centre, half_axes, np.stack([one, two, np.cross(one, two)], axis=1))

    def distance(self, at: Axes) -> Field:
        """Return the signed distance to its surface [mm], exact to first order near it."""
        x, y, z = (a - np.float32(c) for a, c in zip((at.x, at.y, at.z), self.centre, strict=True))
        scaled: Any = 0.0
        steep: Any = 0.0
        for axis, half in zip(self.axes.T.astype(np.float32), self.half_axes, strict=True):
            along = (x * axis[0] + y * axis[1] + z * axis[2]) * np.float32(1 / half)
            squared = np.square(along)
            scaled = scaled + squared
            steep = steep + squared * np.float32(1 / half**2)
        radius = np.sqrt(scaled)
        return np.asarray(
            radius * (radius - 1) / np.sqrt(np.maximum(steep, 1e-9)), dtype=np.float32
        )


def smooth_union(first: Field, second: Field, reach_mm: float) -> Field:
    """Join two shapes, filling the groove between them over ``reach_mm``."""
    overlap = np.maximum(np.float32(reach_mm) - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - np.square(overlap) * np.float32(0.25 / reach_mm))


def smooth_overlap(first: Field, second: Field, reach_mm: float) -> Field:
    """Keep what two shapes share, rounding the edge between them over ``reach_mm``."""
    overlap = np.maximum(np.float32(reach_mm) - np.abs(first - second), 0)
    return np.asarray(np.maximum(first, second) + np.square(overlap) * np.float32(0.25 / reach_mm))


def coverage(distance: Field, width_mm: float) -> Field:
    """Return the part [0, 1] of a voxel ``width_mm`` wide that lies inside a shape."""
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(1 / width_mm), 0, 1))


def _catmull_rom(knots: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Return points on the Catmull-Rom spline through the knots, ``steps`` per piece."""
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    t = (np.arange(steps) / steps)[:, None]
    pieces = []
    for i in range(len(knots) - 1):
        a, b, c, d = padded[i : i + 4]
        pieces.append(
            b
            + 0.5 * t * (c - a)
            + t**2 * (a - 2.5 * b + 2 * c - 0.5 * d)
            + t**3 * (-0.5 * a + 1.5 * b - 1.5 * c + 0.5 * d)
        )
    return np.vstack([*pieces, knots[-1:]])
