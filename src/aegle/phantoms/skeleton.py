"""Vertebrae with discs, arches and processes, in reference positions [mm]."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.phantoms.chest_wall import VERTEBRAE_MM
from aegle.phantoms.shapes import Field, Tube, smooth_union

_CURVE = np.array([
    # height, x, y of the middle of the vertebral bodies
    (190, 0, 30), (150, 1, 37), (120, 1, 44), (90, 2, 53), (50, 3, 60), (10, 3, 63),
    (-30, 2, 62.5), (-70, 0, 59), (-110, -2, 53), (-150, -3, 46), (-190, -3, 40),
])  # fmt: skip
CANAL_OFFSET_MM = 24.5
"""The spinal canal lies this far behind the middle of the vertebral bodies."""


def spine_centre(height: Any) -> tuple[Any, Any]:
    """Return x and y of the middle of the vertebral bodies at a height [mm]."""
    order = _CURVE[::-1]
    return (
        np.interp(height, order[:, 0], order[:, 1]),
        np.interp(height, order[:, 0], order[:, 2]),
    )


@dataclass(frozen=True)
class Spine:
    """Signed distances [mm] of the parts of the spine."""

    bone: Field
    disc: Field
    canal: Field
    hull: Field
    """Bodies, discs and canal as one smooth column."""


def spine(x: Field, y: Field, z: Field) -> Spine:
    """Return how far positions lie from bone, discs and canal of the spine [mm]."""
    table = _heights()
    row = np.rint((z - table.lowest) * np.float32(1 / table.step)).astype(np.int32)
    np.clip(row, 0, table.phase.size - 1, out=row)
    across = x - table.x[row]
    back = y - table.y[row]
    phase = table.phase[row]
    size = table.size[row]
    reach = np.sqrt(np.square(across / (1.22 * size)) + np.square((back + 1) / size))
    waist = 1 - 0.07 * (1 - np.square(phase))
    column = (reach - waist) * size
    disc_gap = (np.abs(phase) - 0.84) * table.pitch[row] / 2
    body = np.maximum(column, disc_gap)
    canal = np.hypot(across / 1.15, back - CANAL_OFFSET_MM) - 8.2
    bone = np.minimum(body, _arch(np.abs(across), back, phase * table.pitch[row] / 2))
    return Spine(
        np.maximum(bone, -canal).astype(np.float32),
        np.maximum(column + 0.8, -disc_gap).astype(np.float32),
        canal.astype(np.float32),
        smooth_union(((reach - 1) * size).astype(np.float32), (canal - 4).astype(np.float32), 10),
    )


def _arch(across: Any, back: Any, above: Any) -> Any:
    """Pedicles, laminae, transverse and spinous processes; ``above`` the body's middle [mm]."""
    ring = np.abs(np.hypot(across / 1.1, back - CANAL_OFFSET_MM) - 11.5) - 3.0
    ring = np.maximum(ring, np.abs(above + 0.3 * (back - 14) - 2) - 8)
    pedicle = np.maximum(np.hypot(across - 11, above - 4) - 4.6, np.abs(back - 16) - 9)
    out = across - 11
    wing = np.hypot(back - (26 + 0.38 * out), above - 3) - (5.4 - 0.05 * out)
    wing = np.maximum(wing, np.maximum(-out, out - 23))
    tail = back - 36
    spinous = np.hypot(across * 1.25, (above + 4 + 0.75 * tail) * 0.55) - 4.2
    spinous = np.maximum(spinous, np.maximum(-tail - 3, tail - 22))
    return np.minimum(np.minimum(ring, pedicle), np.minimum(wing, spinous))


@dataclass(frozen=True)
class _Heights:
    lowest: np.float32
    step: float
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    phase: NDArray[np.float32]
    """-1 and 1 in the middle of the discs below and above, 0 in the middle of the body."""
    pitch: NDArray[np.float32]
    size: NDArray[np.float32]


@lru_cache(maxsize=1)
def _heights() -> _Heights:
    height = np.arange(-190.0, 190.0, 0.25)
    x, y = spine_centre(height)
    middles = np.array(sorted(VERTEBRAE_MM.values()))
    borders = np.concatenate([[-200], (middles[1:] + middles[:-1]) / 2, [195]])
    which = np.clip(np.searchsorted(borders, height) - 1, 0, middles.size - 1)
    pitch = borders[which + 1] - borders[which]
    phase = (height - (borders[which + 1] + borders[which]) / 2) / (pitch / 2)
    size = np.interp(height, [-190, -100, 60, 130, 190], [17, 15.5, 13.2, 11.5, 10])
    to_float = [np.asarray(a, dtype=np.float32) for a in (x, y, phase, pitch, size)]
    return _Heights(np.float32(-190), 0.25, *to_float)


@lru_cache(maxsize=1)
def shoulder_bones() -> tuple[Tube, ...]:
    """Collar bones, spines of the shoulder blades and heads of the raised upper arms."""
    return (
        Tube.through(
            (-17, -73, 97, 7), (-48, -69, 108, 6), (-88, -48, 122, 5.5), (-128, -16, 132, 6)
        ),
        Tube.through((18, -74, 98, 7), (50, -70, 110, 6), (90, -49, 123, 5.5), (130, -17, 134, 6)),
        Tube.through((-84, 84, 88, 4.5), (-112, 72, 100, 5), (-138, 46, 114, 6.5)),
        Tube.through((84, 84, 90, 4.5), (112, 72, 102, 5), (138, 46, 116, 6.5)),
        Tube.through((-141, 22, 112, 13), (-142, 18, 124, 14)),
        Tube.through((142, 22, 113, 13), (143, 18, 125, 14)),
        Tube.through((-151, 10, 140, 21), (-154, 2, 176, 15)),
        Tube.through((152, 10, 141, 21), (155, 2, 176, 15)),
    )  # fmt: skip
