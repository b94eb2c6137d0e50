"""Tubes and chambers between the lungs: airways, great vessels, gullet, cord and heart.

Positions are reference positions, LPS [mm]: x to the left, y to the back, z to the head.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aegle.phantoms.shapes import Axes, Ellipsoid, Field, Tube, smooth_union
from aegle.phantoms.skeleton import spine_centre


@lru_cache(maxsize=1)
def airways() -> tuple[Tube, ...]:
    """Trachea, two main bronchi, then lobar and segmental ones; radii of the lumen [mm]."""
    return (
        Tube.through(
            (-1, 0, 190, 8.5), (-1, 2, 150, 8.6), (-2, 8, 115, 8.7), (-2, 15, 85, 8.8),
            (1, 18, 60, 8.6), (1, 20, 42, 8.8), (0, 21, 31, 8.5),
        ),
        Tube.through((-2, 21, 32, 7.5), (-14, 22, 20, 7.4), (-28, 23, 11, 7.0), (-38, 23, 3, 6.2)),
        Tube.through((2, 21, 32, 6.8), (18, 24, 21, 6.6), (34, 28, 12, 6.2), (46, 31, 4, 5.6)),
        # Right upper, middle and lower lobe.
        Tube.through((-21, 22, 16, 5.2), (-36, 19, 19, 4.8), (-50, 17, 27, 3.8)),
        Tube.through((-50, 17, 27, 2.9), (-57, 11, 38, 2.2), (-60, 4, 46, 1.6)),
        Tube.through((-50, 17, 27, 2.9), (-62, 24, 34, 2.1), (-72, 31, 42, 1.5)),
        Tube.through((-50, 17, 27, 2.9), (-63, 8, 24, 2.1), (-76, -8, 22, 1.5)),
        Tube.through((-38, 23, 3, 4.0), (-50, 8, -8, 3.0), (-62, -16, -18, 2.0)),
        Tube.through(
            (-38, 23, 3, 5.4), (-46, 30, -12, 4.4), (-53, 38, -28, 3.2), (-60, 44, -48, 2)
        ),
        Tube.through((-46, 30, -12, 3.2), (-60, 34, -24, 2.3), (-76, 32, -40, 1.6)),
        # Left upper lobe with lingula, and lower lobe.
        Tube.through((42, 30, 7, 4.6), (54, 20, 10, 4.0), (60, 10, 22, 3.0), (62, 2, 38, 2.0)),
        Tube.through((54, 20, 10, 3.4), (66, 4, 0, 2.6), (76, -16, -12, 1.8)),
        Tube.through((46, 31, 4, 4.9), (52, 38, -10, 4.0), (58, 46, -28, 3.0), (64, 50, -48, 1.9)),
        Tube.through((52, 38, -10, 3.0), (68, 40, -22, 2.2), (82, 38, -36, 1.5)),
    )  # fmt: skip


@lru_cache(maxsize=1)
def aorta() -> tuple[Tube, ...]:
    """Root, arch and descending aorta as one tube."""
    return (
        Tube.through(
            (2, -14, -12, 12.5), (-6, -24, 4, 15), (-15, -29, 24, 14.5), (-15, -26, 44, 14),
            (-7, -14, 59, 13), (6, 4, 65, 12.5), (17, 24, 60, 12), (24, 40, 45, 11.5),
            (27, 45, 24, 11.2), (27, 47, -10, 10.8), (24, 46, -50, 10.4), (17, 41, -95, 10),
            (9, 33, -135, 9.5), (5, 27, -190, 9), steps=6,
        ),
    )  # fmt: skip


@lru_cache(maxsize=1)
def great_vessels() -> tuple[Tube, ...]:
    """Branches of the arch, caval and brachiocephalic veins, lung arteries and veins, azygos."""
    return (
        Tube.through((-8, -12, 66, 6.5), (-15, -8, 90, 6), (-22, -6, 112, 5.5), (-34, 0, 128, 4.5)),
        Tube.through((-22, -6, 112, 3.8), (-22, -8, 145, 3.6), (-24, -6, 190, 3.5)),
        Tube.through((-34, 0, 128, 4.4), (-70, 4, 142, 4.2), (-120, 0, 132, 4)),
        Tube.through((3, -3, 70, 4.2), (10, -2, 100, 3.9), (20, -6, 145, 3.7), (23, -6, 190, 3.6)),
        Tube.through(
            (14, 16, 67, 5.2), (22, 14, 96, 4.8), (34, 4, 128, 4.5), (72, 4, 141, 4.2),
            (122, 0, 130, 4),
        ),
        # Veins.
        Tube.through(
            (-31, -10, -14, 10), (-31, -12, 20, 9.2), (-30, -15, 50, 8.8), (-28, -24, 74, 8.6)
        ),
        Tube.through(
            (-28, -24, 74, 7.4), (-33, -20, 98, 7), (-40, -14, 122, 6.2), (-75, -8, 140, 5.6),
            (-122, -10, 128, 5),
        ),
        Tube.through(
            (-28, -24, 74, 7), (-10, -36, 82, 6.6), (14, -34, 94, 6.4), (34, -20, 114, 6.2),
            (74, -8, 138, 5.6), (124, -10, 126, 5),
        ),
        Tube.through((-40, -14, 122, 5), (-36, -14, 150, 5.4), (-34, -10, 190, 5.6)),
        Tube.through((34, -20, 114, 4.6), (35, -14, 150, 5), (34, -10, 190, 5)),
        Tube.through(
            (-26, 0, -44, 12), (-27, 4, -66, 11.5), (-26, 10, -100, 11.5), (-22, 14, -140, 11),
            (-18, 18, -190, 10.5),
        ),
        Tube.through(
            (-8, 42, -190, 3), (-8, 46, -150, 3), (-8, 50, -60, 3.6), (-9, 50, 10, 4),
            (-12, 42, 30, 4.4), (-26, 20, 34, 4.6), (-30, -4, 33, 4.8),
        ),
        # Pulmonary trunk with right and left artery.
        Tube.through((24, -52, -6, 14), (22, -45, 10, 14), (20, -29, 22, 13.2), (22, -10, 26, 12)),
        Tube.through((20, -14, 23, 10.4), (2, -6, 17, 10), (-20, 0, 12, 9.6), (-40, 5, 8, 8)),
        Tube.through((22, -14, 25, 10.4), (34, 4, 29, 9.8), (44, 20, 24, 8.6), (50, 26, 12, 6.8)),
    )  # fmt: skip


@lru_cache(maxsize=1)
def hilar_vessels() -> tuple[Tube, ...]:
    """First branches of the lung arteries and the four lung veins: inside the lungs."""
    return (
        Tube.through((-40, 5, 8, 6), (-52, 4, 22, 4.6), (-60, 6, 32, 3.4)),
        Tube.through((-40, 5, 8, 7), (-49, 18, -8, 5.8), (-55, 30, -26, 4.6)),
        Tube.through((50, 26, 12, 6.2), (56, 32, -6, 5.4), (60, 40, -24, 4.2)),
        Tube.through((44, 14, 27, 5), (54, 2, 34, 4), (62, -6, 42, 3)),
        Tube.through((-16, 8, -10, 6.8), (-34, -4, -3, 5.8), (-48, -8, 6, 4.4)),
        Tube.through((-14, 16, -22, 6.6), (-32, 22, -26, 5.6), (-48, 27, -30, 4.2)),
        Tube.through((30, 8, -8, 6.6), (44, -4, 2, 5.4), (56, -14, 10, 4)),
        Tube.through((30, 18, -20, 6.4), (44, 26, -24, 5.2), (56, 32, -30, 4)),
    )  # fmt: skip


@lru_cache(maxsize=1)
def liver_vessels() -> tuple[Tube, ...]:
    """Hepatic veins towards the vena cava, and the portal vein with its branches."""
    return (
        Tube.through(
            (-27, 4, -72, 6), (-52, 6, -80, 4.4), (-84, 14, -94, 2.6), (-104, 18, -108, 1.6)
        ),
        Tube.through((-27, 2, -73, 6), (-46, -22, -84, 4.2), (-66, -46, -100, 2.4)),
        Tube.through((-25, -2, -73, 5), (-12, -28, -84, 3.8), (6, -52, -96, 2.2)),
        Tube.through(
            (-14, 2, -150, 7), (-26, -4, -128, 6.6), (-46, -6, -118, 5), (-78, -2, -116, 3.4)
        ),
        Tube.through((-46, -6, -118, 4), (-70, -28, -122, 3), (-90, -40, -128, 1.8)),
        Tube.through((-46, -6, -118, 4), (-68, 22, -122, 3), (-88, 38, -130, 1.8)),
        Tube.through((-26, -4, -128, 5), (-8, -30, -118, 3.8), (14, -52, -112, 2.2)),
    )  # fmt: skip


@lru_cache(maxsize=1)
def oesophagus() -> tuple[Tube, ...]:
    """From the neck to the stomach; outer radius of the collapsed tube."""
    return (
        Tube.through(
            (4, 15, 190, 6.5), (5, 19, 140, 6.8), (6, 28, 95, 7), (7, 35, 60, 7),
            (6, 37, 25, 7.2), (7, 36, -15, 7.6), (12, 31, -50, 8), (19, 22, -78, 8.4),
            (34, 14, -96, 8.6),
        ),
    )  # fmt: skip


@lru_cache(maxsize=1)
def spinal_cord() -> tuple[Tube, ...]:
    """The cord in its canal, down to the second lumbar vertebra."""
    heights = np.arange(190.0, -176.0, -12.0)
    x, y = spine_centre(heights)
    points = np.stack([x, y + 24.5, heights], axis=1)
    radii = np.interp(heights, [-176, -130, -110, 60, 130, 190], [2.0, 4.8, 4.6, 4.3, 5.4, 5.6])
    return (Tube(points, radii),)


@dataclass(frozen=True)
class Heart:
    """Signed distances [mm] of the heart's parts."""

    outer: Field
    """Muscle and chambers within the pericardium."""
    blood: Field
    """All four chambers."""


_LONG_AXIS = (0.72, -0.48, -0.50)
_VENTRICLES = Ellipsoid.turned((30, -34, -42), (60, 44, 41), first=_LONG_AXIS, second=(0, 0, 1))
_RIGHT_ATRIUM = Ellipsoid.turned((-28, -16, -28), (24, 27, 36), first=(1, -0.2, 0))
_LEFT_ATRIUM = Ellipsoid.turned((7, 13, -16), (36, 21, 22), first=(1, 0.12, 0))
_OUTFLOW = Ellipsoid.turned((18, -46, -10), (22, 20, 26), first=(1, 0, 0))
_CAVITIES = (
    Ellipsoid.turned((39, -22, -41), (42, 21, 22), first=_LONG_AXIS, second=(0, 0, 1)),
    Ellipsoid.turned((14, -56, -46), (40, 14, 27), first=(0.8, -0.2, -0.5), second=(-0.3, -1, 0)),
    Ellipsoid.turned((-28, -16, -28), (20, 23, 32), first=(1, -0.2, 0)),
    Ellipsoid.turned((7, 13, -16), (32, 17, 18), first=(1, 0.12, 0)),
    Ellipsoid.turned((19, -48, -12), (13, 14, 22), first=(1, 0, 0)),
)


def heart(at: Axes) -> Heart:
    """Return how far positions lie from the heart and its chambers [mm]."""
    if at.z.min() > 40 or at.z.max() < -115:
        nowhere = np.full(np.broadcast_shapes(at.x.shape, at.y.shape, at.z.shape), 40, np.float32)
        return Heart(nowhere, nowhere)
    outer = _VENTRICLES.distance(at)
    for part, reach in ((_RIGHT_ATRIUM, 14), (_LEFT_ATRIUM, 12), (_OUTFLOW, 12)):
        outer = smooth_union(outer, part.distance(at), reach)
    blood = _CAVITIES[0].distance(at)
    for cavity in _CAVITIES[1:]:
        blood = np.minimum(blood, cavity.distance(at))
    return Heart(outer, np.maximum(blood, outer + 3))
