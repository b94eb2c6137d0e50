"""How a made patient lies and breathes differently at every visit.

Anatomy is described once, in *reference* positions (those of visit 0). A visit moves every
reference position by breathing, then turns and shifts the whole patient on the couch. All
positions are LPS [mm].
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.grid import Points

_STEPS = 40
"""Breathing moves neighbours by less than 0.7 mm per mm, so 40 steps leave below 1e-5 mm."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Breathing state and position of a patient at one visit, against visit 0."""

    diaphragm_mm: float = 0.0
    """Rise of the diaphragm towards the head [mm]; the apices stay."""
    chest_mm: float = 0.0
    """Rise of the front of the chest [mm]; the back stays."""
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Right-handed turns about the x, y and z axis, in this order [degrees]."""
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift of the turned patient [mm]."""

    @cached_property
    def rotation(self) -> NDArray[np.float64]:
        """3×3 rotation of the patient on the couch."""
        matrix = np.eye(3)
        for axis, degrees in enumerate(self.turn_deg):
            matrix = _turn_about(axis, np.deg2rad(degrees)) @ matrix
        return matrix

    def from_reference(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` positions at visit 0 to the same anatomy at this visit [mm]."""
        start = np.asarray(points_mm, dtype=np.float64)
        breathed = start
        for _ in range(_STEPS):
            breathed = start + self._breath(breathed)
        moved: Points = breathed @ self.rotation.T + np.asarray(self.shift_mm)
        return moved

    def to_reference(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` positions at this visit to the same anatomy at visit 0 [mm]."""
        points = np.asarray(points_mm, dtype=np.float64)
        breathed = (points - np.asarray(self.shift_mm)) @ self.rotation
        return np.asarray(breathed - self._breath(breathed))

    def reference_axes(
        self, x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Map the grid of coordinates z × y × x of a visit to reference positions [mm]."""
        axes = (x[None, None, :], y[None, :, None], z[:, None, None])
        shifted = [a - s for a, s in zip(axes, self.shift_mm, strict=True)]
        turned = [
            (
                float(self.rotation[0, i]) * shifted[0]
                + float(self.rotation[1, i]) * shifted[1]
                + float(self.rotation[2, i]) * shifted[2]
            ).astype(np.float32)
            for i in range(3)
        ]
        forward, upward = self._breath_of(*turned)
        return turned[0], turned[1] - forward, turned[2] - upward

    def _breath(self, points: Points) -> Points:
        forward, upward = self._breath_of(points[..., 0], points[..., 1], points[..., 2])
        return np.stack([np.zeros_like(points[..., 0]), forward, upward], axis=-1)

    def _breath_of(
        self, x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Displacement to the back and to the head [mm] at breathed positions."""
        if self.diaphragm_mm == 0 and self.chest_mm == 0:
            return np.zeros_like(y), np.zeros_like(z)
        off_wall = np.exp(-_fourth(x / 118) - _fourth((y + 8) / 82))
        off_spine = 1 - np.exp(-np.square(np.square(x / 34) + np.square((y - 72) / 34)))
        low = 1 / (1 + np.exp((z + 42) / 26))
        front = 1 / (1 + np.exp((y + 42) / 16))
        level = np.exp(-_fourth((z + 10) / 140))
        return -self.chest_mm * front * level, self.diaphragm_mm * low * off_wall * off_spine


def _turn_about(axis: int, angle: float) -> NDArray[np.float64]:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _fourth(value: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.square(np.square(value)))
