"""Diaphragm and the organs right below it, in reference positions [mm]."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.phantoms.shapes import Axes, Ellipsoid, Field, smooth_overlap

_HALF_MM, _STEP_MM = 192.0, 0.5
_ACROSS = int(2 * _HALF_MM / _STEP_MM) + 1


@dataclass(frozen=True, eq=False)
class Diaphragm:
    """Height of the diaphragm over the axial plane: flattened tables."""

    height: NDArray[np.float32]
    """[mm]"""
    tilt: NDArray[np.float32]
    """Cosine of the angle between its surface and the axial plane."""


@lru_cache(maxsize=1)
def diaphragm() -> Diaphragm:
    """Two domes, the right one higher, deep behind and at the sides."""
    axis = np.linspace(-_HALF_MM, _HALF_MM, _ACROSS)
    x, y = axis[None, :], axis[:, None]
    right = _dome(x, y, centre=(-68, -12), half=(76, 90), top=-56, fall=58)
    left = _dome(x, y, centre=(66, -8), half=(72, 88), top=-71, fall=52)
    gap = np.maximum(14 - np.abs(right - left), 0)
    height = np.maximum(np.maximum(right, left) + gap**2 / 56, -185)
    down, across = np.gradient(height, _STEP_MM)
    tilt = 1 / np.sqrt(1 + down**2 + across**2)
    return Diaphragm(height.ravel().astype(np.float32), tilt.ravel().astype(np.float32))


def _dome(
    x: Any,
    y: Any,
    *,
    centre: tuple[float, float],
    half: tuple[float, float],
    top: float,
    fall: float,
) -> Any:
    across, along = (x - centre[0]) / half[0], (y - centre[1]) / half[1]
    reach = across**2 + along**2
    behind = 0.72 + 0.42 * np.tanh((y - 10) / 40)
    ripple = 2.0 * np.sin(x / 23 + y / 31)
    return top - fall * reach**1.45 * behind + ripple * np.exp(-reach)


def height_above_diaphragm(x: Field, y: Field, z: Field) -> Field:
    """Return the distance from the diaphragm [mm], positive on the side of the lungs."""
    table = diaphragm()
    scale, offset = np.float32(1 / _STEP_MM), np.float32(_HALF_MM / _STEP_MM)
    column = np.clip(np.rint(x * scale + offset).astype(np.int32), 0, _ACROSS - 1)
    row = np.clip(np.rint(y * scale + offset).astype(np.int32), 0, _ACROSS - 1)
    index = row * np.int32(_ACROSS) + column
    return np.asarray((z - table.height[index]) * table.tilt[index])


@dataclass(frozen=True)
class Abdomen:
    """Signed distances [mm] of the upper abdominal organs."""

    liver: Field
    spleen: Field
    stomach: Field
    gas: Field


_SPLEEN = Ellipsoid.turned(
    (98, 42, -118), (29, 52, 46), first=(0.86, -0.5, 0.1), second=(0.5, 0.86, 0)
)
_STOMACH = Ellipsoid.turned(
    (58, -24, -118), (44, 54, 38), first=(0.9, -0.3, 0), second=(0.3, 0.9, 0.2)
)
_NOTCH = Ellipsoid.turned((12, 62, -140), (46, 62, 140), first=(1, 0, 0))


def abdomen(at: Axes, beyond_cage: Field, above_diaphragm: Field) -> Abdomen:
    """Return how far positions lie from liver, spleen and stomach [mm].

    Args:
        at: Reference positions.
        beyond_cage: Distance outwards from the inner surface of the rib cage [mm].
        above_diaphragm: Distance from the diaphragm, positive above [mm].
    """
    room = smooth_overlap(beyond_cage + 2.5, above_diaphragm + 3.2, 8)
    edge = 0.74 * at.x + 0.64 * at.y + 0.22 * (at.z + 100) - 12
    edge = edge + 0.0016 * np.square(at.y + 30)
    edge = edge + 5 * np.sin((at.z + 0.5 * at.y) / 17) + 4 * np.sin((at.x + at.z) / 23)
    liver = smooth_overlap(np.asarray(edge, dtype=np.float32), room, 14)
    liver = smooth_overlap(liver, -_NOTCH.distance(at), 12)
    stomach = smooth_overlap(_STOMACH.distance(at), room + 2, 8)
    stomach = np.maximum(stomach, 3 - liver)
    spleen = smooth_overlap(_SPLEEN.distance(at), room + 1, 6)
    spleen = np.maximum(spleen, 4 - stomach)
    gas = np.maximum(stomach + 4.5, at.y + 34)
    return Abdomen(liver, spleen, stomach, np.asarray(gas, dtype=np.float32))
