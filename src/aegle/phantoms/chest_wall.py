"""The wall of the chest as a map over angle and height: cage, ribs, muscle, fat and skin.

Around the patient's long axis every direction (angle) and height has one inner surface of
the rib cage. All that lies on it (ribs, sternum, shoulder blades, muscle, fat, skin) is given
by its distance from this surface, so each voxel finds its tissue by one table look-up.
Angles run from the patient's left (0°) over the back (90°) to the right (180°) and the
front (270°). Heights and distances are reference positions [mm].
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.phantoms.shapes import Field

ANGLES = 1440
"""Columns of each table: one per quarter of a degree."""
LOWEST_MM, HIGHEST_MM, STEP_MM = -190.0, 190.0, 0.5

VERTEBRAE_MM = {
    "C5": 174.0, "C6": 157.5, "C7": 140.5, "T1": 122.0, "T2": 103.0, "T3": 83.0, "T4": 63.0,
    "T5": 42.5, "T6": 21.5, "T7": 0.0, "T8": -22.0, "T9": -45.0, "T10": -68.5, "T11": -93.0,
    "T12": -118.5, "L1": -145.5, "L2": -174.0,
}  # fmt: skip
"""Height of the middle of each vertebral body."""

_CAGE = np.array([
    # height, half width, depth to the front, depth to the back
    (190, 62, 22, 66), (150, 78, 34, 72), (130, 84, 44, 78), (110, 95, 57, 84), (90, 107, 68, 90),
    (60, 121, 79, 95), (30, 128, 87, 97), (0, 132, 92, 97), (-40, 135, 96, 96),
    (-80, 136, 97, 94), (-120, 136, 96, 91), (-190, 134, 94, 88),
])  # fmt: skip
_SKIN = np.array([
    (190, 150, 55, 104), (150, 180, 62, 112), (130, 184, 71, 117), (110, 181, 83, 122),
    (90, 175, 94, 126), (60, 168, 104, 128), (30, 165, 109, 129), (0, 164, 113, 129),
    (-40, 163, 115, 128), (-80, 162, 116, 127), (-120, 161, 116, 125), (-190, 160, 114, 122),
])  # fmt: skip

_RIB_DROP_MM = (22, 42, 60, 72, 82, 88, 92, 90, 84, 72, 52, 34)
"""How far each rib descends from the spine to its front end."""
_RIB_END_DEG = (138, 140, 141, 141, 140, 138, 135, 130, 124, 116, 92, 58)
"""Angle from the back at which bone ends (and cartilage begins)."""
_CARTILAGE_END_DEG = (158, 168, 170, 170, 169, 168, 164, 150, 142, 132, 92, 58)
_CARTILAGE_RISE_MM = (-4, -2, 2, 8, 18, 32, 44, 40, 34, 26, 0, 0)


@dataclass(frozen=True, eq=False)
class Wall:
    """Tables of shape (height, angle) [mm]."""

    cage: Field
    """Distance of the inner surface of the cage from the long axis."""
    muscle: Field
    """Distance of the outer surface of the muscles."""
    skin: Field
    """Distance of the skin."""
    rib: Field
    """Distance along the cage to the axis of the nearest bony rib."""
    cartilage: Field
    """Distance along the cage to the axis of the nearest rib cartilage."""
    sternum: Field
    """Distance along the cage to the border of the sternum, negative on it."""
    blade: Field
    """Distance along the cage to the border of the nearest shoulder blade, negative on it."""

    def index(self, x: Field, y: Field, z: Field) -> NDArray[np.int32]:
        """Return where in the (flattened) tables positions are found."""
        angle = np.arctan2(y, x)
        angle *= np.float32(ANGLES / (2 * np.pi))
        column = np.rint(angle).astype(np.int32) % ANGLES
        row = np.rint((z - np.float32(LOWEST_MM)) * np.float32(1 / STEP_MM)).astype(np.int32)
        np.clip(row, 0, self.cage.shape[0] - 1, out=row)
        return np.asarray(row * np.int32(ANGLES) + column)


@lru_cache(maxsize=4)
def wall(seed: int) -> Wall:
    """Build the chest wall of one made patient."""
    rng = np.random.default_rng([seed, 1])
    height = np.arange(LOWEST_MM, HIGHEST_MM + STEP_MM / 2, STEP_MM)[:, None]
    angle = (2 * np.pi / ANGLES * np.arange(ANGLES))[None, :]
    cage = _outline(_CAGE, height, angle, exponent=2.35) * _unevenness(rng, angle, 0.006)
    skin = _outline(_SKIN, height, angle, exponent=2.45) * _unevenness(rng, angle, 0.006)
    skin += _bulges(height, angle, depth_mm=24.0)
    skin = np.maximum(skin, cage + 16)
    muscle = np.minimum(skin - _fat(height, angle), cage + _muscle(height, angle))
    bone, cartilage = _ribs(height, angle, cage, rng)
    return Wall(
        *(
            np.ascontiguousarray(np.broadcast_to(table, cage.shape), dtype=np.float32)
            for table in (
                cage,
                np.maximum(muscle, cage + 12),
                skin,
                bone,
                cartilage,
                _sternum(height, angle, cage),
                _blades(height, angle, cage),
            )
        )
    )


def _outline(profile: Any, height: Any, angle: Any, *, exponent: float) -> NDArray[np.float64]:
    """Return the radius of a superellipse whose half axes change with height."""
    order = np.argsort(profile[:, 0])
    wide, front, back = (np.interp(height, profile[order, 0], profile[order, i]) for i in (1, 2, 3))
    deep = np.where(np.sin(angle) > 0, back, front)
    across = np.abs(np.cos(angle) / wide) ** exponent + np.abs(np.sin(angle) / deep) ** exponent
    return np.asarray(across ** (-1 / exponent))


def _unevenness(rng: np.random.Generator, angle: Any, amount: float) -> Any:
    """Return a smooth factor that makes the two sides differ."""
    total = np.ones_like(angle)
    for order in (1, 2, 3):
        phase, size = rng.uniform(0, 2 * np.pi), rng.normal(0, amount)
        total = total + size * np.cos(order * angle + phase)
    return total


def _apart(angle: Any, degrees: float) -> Any:
    """Return the angle to a direction [degrees], between -180 and 180."""
    return (np.rad2deg(angle) - degrees + 180) % 360 - 180


def _bump(distance: Any, width: float) -> Any:
    return np.exp(-np.square(distance / width))


def _bulges(height: Any, angle: Any, *, depth_mm: float) -> Any:
    """Return breasts, the furrow of the spine and shoulder muscles on the skin [mm]."""
    breasts = sum(
        size * _bump(_apart(angle, at), 19) * _bump(height + level, 46)
        for at, size, level in ((234, depth_mm, 22), (307, 1.06 * depth_mm, 26))
    )
    furrow = -7 * _bump(_apart(angle, 90), 7)
    cleft = -3 * _bump(_apart(angle, 270), 12)
    return breasts + furrow + cleft


def _fat(height: Any, angle: Any) -> Any:
    """Return the thickness of skin and fat beneath it [mm]."""
    low = 1 / (1 + np.exp((height - 10) / 30))
    back = 1 + np.sin(angle)
    return 7 + 5 * low + 2.5 * back + 3 * low * _bump(_apart(angle, 180), 40)


def _muscle(height: Any, angle: Any) -> Any:
    """Return how far muscles may reach beyond the cage [mm]."""
    high = 1 / (1 + np.exp(-(height - 35) / 14))
    shoulders = high * (12 + 90 * np.abs(np.cos(angle)) ** 1.5 + 30 * np.maximum(np.sin(angle), 0))
    paraspinal = 40 * _bump(_apart(angle, 90), 28)
    flanks = sum(9 * _bump(_apart(angle, at), 34) for at in (28, 152))
    return 14 + shoulders + paraspinal + flanks


def _ribs(height: Any, angle: Any, cage: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    bone, cartilage = np.full(cage.shape, 60.0), np.full(cage.shape, 60.0)
    levels = [VERTEBRAE_MM[f"T{i}"] for i in range(1, 13)]
    for number, level in enumerate(levels):
        for side in (-1, 1):
            _lay_rib(bone, cartilage, (height, angle, cage), number, side, level + rng.normal(0, 1))
    return bone, cartilage


def _lay_rib(bone: Any, cartilage: Any, place: Any, number: int, side: int, level: float) -> None:
    """Lower the distance tables around one rib (in place)."""
    height, angle, cage = place
    drop, end = _RIB_DROP_MM[number], _RIB_END_DEG[number]
    low, high = level - drop - 20, level + 55
    rows = slice(
        max(int((low - LOWEST_MM) / STEP_MM), 0), max(int((high - LOWEST_MM) / STEP_MM), 0)
    )
    # Angle from the back, growing along the rib; negative on the other side.
    along = (-side * _apart(angle, 90))[0]
    radius = cage[rows]
    z = height[rows]
    last = _CARTILAGE_END_DEG[number]
    axis = _rib_height(along, level, number)
    slope = np.gradient(axis) / (np.gradient(along) * np.pi / 180)
    tilt = np.cos(np.arctan2(slope[None, :], radius))
    off_axis = np.abs(z - axis[None, :]) * tilt
    arc = radius * np.pi / 180

    def within(first: float, final: float) -> Any:
        outside = np.maximum(np.maximum(first - along, along - final), 0)[None, :] * arc
        return np.hypot(off_axis, outside)

    np.minimum(bone[rows], within(9, end), out=bone[rows])
    if last > end:
        np.minimum(cartilage[rows], within(end, last), out=cartilage[rows])


def _rib_height(along: Any, level: float, number: int) -> Any:
    """Return the height of a rib's axis at angles from the back [mm]."""
    end = _RIB_END_DEG[number]
    part = np.clip((along - 12) / (end - 12), 0, 1)
    beyond = np.clip((along - end) / 35, 0, 1)
    descent = _RIB_DROP_MM[number] * np.sin(np.pi / 2 * part) ** 1.4
    return level + 4 - descent + _CARTILAGE_RISE_MM[number] * beyond**1.3


def _sternum(height: Any, angle: Any, cage: Any) -> Any:
    """Manubrium, body and xiphoid as one plate that narrows and widens."""
    z = [-62, -50, -30, 10, 45, 55, 70, 92, 100]
    half = [4, 7, 17, 15, 12, 13, 19, 26, 22]
    across = np.abs(_apart(angle, 269)) * np.pi / 180 * cage - np.interp(height, z, half)
    beyond = np.maximum(height - 100, -62 - height)
    return np.maximum(across, beyond)


def _blades(height: Any, angle: Any, cage: Any) -> Any:
    """Shoulder blades: triangles with the tip down, further out at the top (arms raised)."""
    total = np.full(cage.shape, 60.0)
    for side, tip in ((1, -22.0), (-1, -16.0)):
        out = -side * _apart(angle, 90)
        inner = 38 + 14 * np.clip((60 - height) / 90, 0, 1) ** 2
        outer = 52 + 0.42 * (height - tip)
        sideways = np.maximum(inner - out, out - np.minimum(outer, 92)) * np.pi / 180 * cage
        total = np.minimum(total, np.maximum(sideways, np.maximum(tip - height, height - 112)))
    return total
