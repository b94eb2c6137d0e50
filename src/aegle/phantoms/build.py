"""How made patients differ in build: size, shape, heart, girth, lungs and gullet.

The anatomy is described once, for a model patient. A build maps every position in another patient
to the position of the same anatomy in the model: stretched along each axis, bent by long waves,
and swollen or shifted around some places. All positions are LPS [mm].
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.grid import Points
from aegle.phantoms import mediastinum
from aegle.phantoms.breathing import Motion
from aegle.phantoms.shapes import Tube

_STEPS = 60
"""A build moves neighbours by less than 0.6 mm per mm; 60 steps leave below 1e-9 mm."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Wave:
    """A bend that comes and goes along one direction."""

    moved_mm: Triple
    """Greatest displacement along x, y and z [mm]."""
    turns_per_mm: Triple
    """Angle by which the wave advances along x, y and z [rad/mm]."""
    phase: float


@dataclass(frozen=True, kw_only=True)
class Swelling:
    """A place that is larger or smaller than the model's, and lies elsewhere."""

    centre_mm: Triple
    reach_mm: float
    """Distance at which its effect has fallen to 0.61."""
    growth: float
    """Relative growth at its centre; negative where it is smaller."""
    moved_mm: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Build:
    """One patient's build against the model's; the default is the model itself."""

    size: Triple = (1.0, 1.0, 1.0)
    """Size along x, y and z against the model's."""
    waves: tuple[Wave, ...] = ()
    swellings: tuple[Swelling, ...] = ()
    girth: float = 1.0
    """Thickness of muscle and fat on the chest against the model's."""
    lung_hu: float = 0.0
    """Added to the radiodensity of the lungs [HU]."""
    gullet_mm: tuple[tuple[float, float], ...] = ()
    """Shifts of the gullet along x and y, at heights evenly spaced from its top down [mm]."""
    gullet_width: float = 1.0
    """Radius of the gullet against the model's."""
    gullet_air: tuple[float, float] | None = None
    """Part of the gullet's way, from 0 at its top to 1, that holds air; None for none."""

    def moved(self, x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
        """Return what is added to positions in this patient, scaled to the model's size [mm]."""
        shifts: list[Any] = [0.0, 0.0, 0.0]
        for wave in self.waves:
            a, b, c = (np.float32(turn) for turn in wave.turns_per_mm)
            height = np.sin(a * x + b * y + c * z + np.float32(wave.phase))
            for axis, most in enumerate(wave.moved_mm):
                shifts[axis] = shifts[axis] + np.float32(most) * height
        for place in self.swellings:
            offsets = [
                at - np.float32(middle)
                for at, middle in zip((x, y, z), place.centre_mm, strict=True)
            ]
            squared = sum(np.square(offset) for offset in offsets)
            near = np.exp(squared * np.float32(-0.5 / place.reach_mm**2))
            for axis, (offset, moved) in enumerate(zip(offsets, place.moved_mm, strict=True)):
                inward = offset * np.float32(place.growth) + np.float32(moved)
                shifts[axis] = shifts[axis] - inward * near
        return shifts[0], shifts[1], shifts[2]

    def gullet(self) -> tuple[Tube, ...]:
        """Return the gullet in the model's positions."""
        (tube,) = mediastinum.oesophagus()
        if not self.gullet_mm:
            return (replace(tube, radii=tube.radii * self.gullet_width),)
        part = np.linspace(0, 1, len(tube.points))
        knots = np.linspace(0, 1, len(self.gullet_mm))
        shifts = np.stack(
            [np.interp(part, knots, [pair[axis] for pair in self.gullet_mm]) for axis in (0, 1)],
            axis=1,
        )
        points = tube.points + np.column_stack([shifts, np.zeros(len(shifts))])
        return (Tube(points, tube.radii * self.gullet_width),)

    def gullet_lumen(self) -> tuple[Tube, ...]:
        """Return the part of the gullet that holds air."""
        if self.gullet_air is None:
            return ()
        (tube,) = self.gullet()
        first, last = (round(end * (len(tube.points) - 1)) for end in self.gullet_air)
        if last <= first:
            return ()
        return (Tube(tube.points[first : last + 1], 0.45 * tube.radii[first : last + 1]),)


MODEL = Build()
"""The model patient."""


@dataclass(frozen=True, kw_only=True)
class BuiltMotion(Motion):
    """Breathing state and position of a patient of some build, against the model at visit 0."""

    build: Build

    def from_reference(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` positions in the model to the same anatomy at this visit [mm]."""
        start = np.asarray(points_mm, dtype=np.float64)
        scaled = start
        for _ in range(_STEPS):
            scaled = start - self._shift(scaled)
        return super().from_reference(scaled * np.asarray(self.build.size))

    def to_reference(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` positions at this visit to the same anatomy in the model [mm]."""
        scaled = super().to_reference(points_mm) / np.asarray(self.build.size)
        return np.asarray(scaled + self._shift(scaled))

    def reference_axes(
        self, x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Map the grid of coordinates z × y × x of a visit to the model's positions [mm]."""
        still = super().reference_axes(x, y, z)
        scaled = [at / np.float32(size) for at, size in zip(still, self.build.size, strict=True)]
        shifts = self.build.moved(*scaled)
        one, two, three = (
            np.asarray(at + shift, np.float32) for at, shift in zip(scaled, shifts, strict=True)
        )
        return one, two, three

    def _shift(self, scaled: Points) -> Points:
        shifts = self.build.moved(scaled[..., 0], scaled[..., 1], scaled[..., 2])
        return np.stack([np.broadcast_to(s, scaled.shape[:-1]) for s in shifts], axis=-1)
