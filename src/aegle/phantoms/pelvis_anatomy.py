"""Bones, organs and muscles of the made pelvis, in LPS positions [mm].

The hip joints lie at height 0; x to the patient's left, y to the back, z to the head.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from aegle.phantoms.shapes import Axes, Ellipsoid, Field, Tube, smooth_overlap, smooth_union

HEAD_CENTRES = {"femoral_head_right": (-89.0, -6.0, 1.0), "femoral_head_left": (90.0, -5.0, -1.0)}
HEAD_RADIUS_MM = 23.5


def body(at: Axes, layer_mm: Any = 0.0) -> Field:
    """Return the distance from the skin [mm]; a layer lies that far beneath it."""
    wide = 178 + 6 * np.exp(-np.square((at.z + 15) / 60)) - layer_mm
    front = 98 - layer_mm + 5 * np.exp(-np.square((at.z - 90) / 70))
    back = 106 + 12 * np.exp(-np.square((at.z + 30) / 70)) - 1.25 * layer_mm
    deep = np.where(at.y > 0, back, front)
    across = np.abs((at.x - 1) / wide) ** 2.6 + np.abs(at.y / deep) ** 2.6
    cleft = 13 * np.exp(-np.square(at.x / 9)) * (at.y > 40) / (1 + np.exp((at.z - 25) / 14))
    radius = np.hypot(at.x, at.y)
    return np.asarray(radius * (1 - across ** (-1 / 2.6)) + cleft, dtype=np.float32)


def cavity(at: Axes) -> Field:
    """Return the distance from the lining of the pelvis and lower abdomen [mm]."""
    opening = 1 / (1 + np.exp(-(at.z - 48) / 16))
    wide, deep = 58 + 50 * opening, 62 + 8 * opening
    across = np.sqrt(np.square(at.x / wide) + np.square((at.y + 8) / deep))
    floor = -48 - at.z
    return smooth_overlap(np.asarray((across - 1) * wide, dtype=np.float32), floor, 45)


def hip_plates(at: Axes) -> Field:
    """Return the distance from the wings of the hip bones [mm]."""
    total = np.full(np.broadcast_shapes(at.x.shape, at.y.shape, at.z.shape), 60, np.float32)
    for side in (-1.0, 1.0):
        bowl = Ellipsoid.turned((side * 24, -46, 92), (102, 124, 128), first=(1, 0, 0))
        thick = 4.2 + 3.0 * np.exp(-np.square((at.z - 30) / 22))
        plate = np.asarray(np.abs(bowl.distance(at)) - thick, dtype=np.float32)
        crest = at.z - 116 + 0.006 * np.square(at.y + 5)
        kept = np.maximum(np.maximum(crest, 16 - at.z), 42 - side * at.x)
        total = np.minimum(
            total, smooth_overlap(plate, np.maximum(kept, -46 - at.y).astype(np.float32), 4)
        )
    return total


def sacrum(at: Axes) -> Field:
    """Return the distance from sacrum and fifth lumbar vertebra [mm]."""
    bent = at.y - 78 + 0.004 * np.square(at.z - 45)
    wide = np.clip(12 + 0.46 * (at.z + 25), 6, 56)
    deep = np.clip(8 + 0.11 * (at.z + 25), 7, 20)
    reach = np.sqrt(np.square(at.x / wide) + np.square(bent / deep))
    wedge = np.maximum((reach - 1) * 14, np.maximum(at.z - 104, -34 - at.z))
    vertebra = np.maximum(
        np.hypot(at.x / 1.4, at.y - 34) - 18.5, np.maximum(112 - at.z, 3 - np.abs(at.z - 141))
    )
    arch = np.maximum(np.abs(np.hypot(at.x, at.y - 66) - 12) - 3.5, 112 - at.z)
    return np.asarray(np.minimum(np.minimum(wedge, vertebra), arch), dtype=np.float32)


@lru_cache(maxsize=1)
def hip_tubes() -> tuple[Tube, ...]:
    """Rami, seat bones, sockets' pillars and thigh bones."""
    tubes = []
    for s in (-1, 1):
        tubes += [
            Tube.through((s * 70, -26, 12, 12), (s * 44, -48, 6, 8.5), (s * 13, -60, -14, 10)),
            Tube.through((s * 12, -60, -18, 9), (s * 24, -44, -38, 6.5), (s * 44, -8, -62, 8)),
            Tube.through((s * 68, 16, 4, 16), (s * 64, 26, -22, 15), (s * 52, 18, -58, 15)),
            Tube.through((s * 74, -14, 36, 15), (s * 66, 14, 30, 14), (s * 66, 24, 8, 13)),
            Tube.through((s * 92, -6, 0, 17), (s * 112, 4, -14, 15.5), (s * 130, 12, -30, 19)),
            Tube.through((s * 130, 12, -18, 15), (s * 132, 10, -44, 17), (s * 134, 4, -190, 14)),
        ]
    return tuple(tubes)


@lru_cache(maxsize=1)
def muscles() -> tuple[Tube, ...]:
    """Psoas with iliacus, and the piriform muscles: muscle within the cavity."""
    return (
        Tube.through((-46, 8, 190, 24), (-58, -8, 90, 23), (-80, -34, 40, 19), (-96, -42, -10, 15)),
        Tube.through((45, 8, 190, 25), (57, -8, 90, 24), (79, -34, 40, 20), (96, -42, -10, 16)),
        Tube.through((-30, 66, 38, 9), (-72, 54, 26, 12), (-110, 30, 10, 9)),
        Tube.through((30, 66, 38, 9), (72, 54, 26, 12), (110, 30, 10, 9)),
    )  # fmt: skip


@lru_cache(maxsize=1)
def vessels() -> tuple[Tube, ...]:
    """Iliac and femoral arteries and veins."""
    return (
        Tube.through(
            (-6, 6, 190, 7), (-26, 0, 110, 5.6), (-56, -30, 60, 5), (-68, -66, 4, 5),
            (-74, -70, -90, 4.6),
        ),
        Tube.through(
            (6, 6, 190, 7), (24, 0, 110, 5.6), (55, -30, 60, 5), (67, -66, 4, 5),
            (74, -70, -90, 4.6),
        ),
        Tube.through(
            (-14, 14, 190, 8), (-34, 10, 110, 7), (-50, -22, 58, 6.4), (-58, -62, 2, 6.4),
            (-66, -64, -90, 5.6),
        ),
        Tube.through(
            (-10, 16, 150, 7), (26, 13, 108, 7), (50, -20, 58, 6.4), (57, -62, 2, 6.4),
            (65, -64, -90, 5.6),
        ),
    )  # fmt: skip


@lru_cache(maxsize=1)
def bowel() -> tuple[Tube, ...]:
    """Loops of bowel: the outer radius; every third holds gas."""
    rng = np.random.default_rng(23)
    loops = []
    for level in (84.0, 104.0, 124.0, 146.0):
        x = np.linspace(-72, 66, 7)
        y = -52 + 14 * np.sin(np.arange(7) * 1.9 + level) + rng.normal(0, 3, 7)
        z = level + 9 * np.cos(np.arange(7) * 1.5 + level)
        rows = np.stack([x, y, z, rng.uniform(9, 12, 7)], axis=1)
        loops.append(Tube.through(*(tuple(row) for row in rows.tolist())))
    return tuple(loops)


@lru_cache(maxsize=1)
def rectum() -> Tube:
    """From the anal canal along the sacrum to the sigmoid colon; outer radius."""
    return Tube.through(
        (0, 36, -80, 9), (0, 28, -52, 11), (-2, 26, -26, 15), (-3, 30, -8, 16), (-3, 40, 10, 16),
        (2, 46, 34, 15), (16, 36, 58, 14), (40, 20, 66, 13), (60, -4, 74, 12), (74, -10, 110, 12),
        (78, -10, 190, 12),
    )  # fmt: skip


def prostate(at: Axes) -> Field:
    """Return the distance from the prostate [mm]: broad, flatter behind, tapering downwards."""
    gland = Ellipsoid.turned((0, -8, -12), (25, 17, 20), first=(1, 0, 0.03))
    apex = Ellipsoid.turned((0, -5, -26), (13, 12, 12), first=(1, 0, 0))
    return smooth_union(gland.distance(at), apex.distance(at), 8)


def bladder(at: Axes) -> Field:
    """Return the distance from the outer wall of the bladder [mm]."""
    dome = Ellipsoid.turned((4, -28, 40), (44, 33, 31), first=(1, 0.05, 0.06))
    neck = Ellipsoid.turned((0, -17, 16), (20, 16, 12), first=(1, 0, 0))
    return smooth_union(dome.distance(at), neck.distance(at), 14)


@lru_cache(maxsize=1)
def seminal_vesicles() -> tuple[Tube, ...]:
    """Two lobed pouches behind the bladder."""
    return (
        Tube.through((-3, 4, 8, 4), (-16, 8, 14, 6), (-30, 8, 22, 5)),
        Tube.through((3, 4, 8, 4), (16, 8, 15, 6), (31, 7, 21, 5)),
    )
