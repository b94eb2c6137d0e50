"""Lesions of the made patient: where they lie, how large they are at every visit.

Every lesion is an ellipsoid, so its volume and its diameters are known in closed form: an
axial cut through the centre of ``x' A x = 1`` is the ellipse of the upper left 2×2 block of
``A``, and parallel cuts are smaller copies of it.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.finding import LesionKind
from aegle.phantoms.breathing import Motion
from aegle.phantoms.shapes import Ellipsoid


@dataclass(frozen=True, kw_only=True)
class MadeLesion:
    """One lesion at one visit, exactly known."""

    name: str
    """The same at every visit, also the name of its structure."""
    kind: LesionKind
    site: str
    """Body part, a key of ``codes.BODY_PARTS``."""
    centre_mm: tuple[float, float, float]
    """LPS position at this visit [mm]."""
    volume_ml: float
    longest_mm: float
    """Longest diameter in an axial plane [mm]."""
    perpendicular_mm: float
    """Longest diameter perpendicular to it in the same plane [mm]."""
    hu: float
    """Radiodensity before blurring and noise [HU]."""
    suv: float
    """Uptake before blurring and noise [g/mL]."""
    shape: Ellipsoid

    @property
    def recist_diameter_mm(self) -> float:
        """Short axis of a lymph node, longest diameter of anything else (RECIST 1.1, 3.1)."""
        is_node = self.kind is LesionKind.LYMPH_NODE
        return self.perpendicular_mm if is_node else self.longest_mm


@dataclass(frozen=True, kw_only=True)
class LesionCourse:
    """One lesion over all visits, in reference positions."""

    name: str
    kind: LesionKind
    site: str
    centre_mm: tuple[float, float, float]
    diameters_mm: tuple[tuple[float, float, float] | None, ...]
    """At each visit: along its first and second axis, and along z; None while absent [mm]."""
    angle_deg: float
    """Direction of its first axis in the axial plane, from x (left) towards y (back)."""
    suv: float
    hu: float


COURSES = (
    LesionCourse(
        name="tumour",
        kind=LesionKind.TUMOUR,
        site="lung_right",
        centre_mm=(-79.0, -4.0, 60.0),
        diameters_mm=((34.0, 27.0, 30.0), (20.0, 16.0, 18.0), (21.0, 16.5, 18.5)),
        angle_deg=35.0,
        suv=8.5,
        hu=35.0,
    ),
    LesionCourse(
        name="nodule_right",
        kind=LesionKind.NODULE,
        site="lung_right",
        centre_mm=(-86.0, 40.0, -38.0),
        diameters_mm=((9.0, 8.0, 8.0),) * 3,
        angle_deg=-20.0,
        suv=0.9,
        hu=30.0,
    ),
    LesionCourse(
        name="nodule_left",
        kind=LesionKind.NODULE,
        site="lung_left",
        centre_mm=(92.0, 34.0, -22.0),
        diameters_mm=((7.0, 6.0, 6.5),) * 3,
        angle_deg=70.0,
        suv=0.8,
        hu=30.0,
    ),
    LesionCourse(
        name="lymph_node",
        kind=LesionKind.LYMPH_NODE,
        site="mediastinum",
        centre_mm=(-27.0, 12.0, 54.0),
        diameters_mm=((24.0, 17.0, 20.0), (13.0, 9.0, 11.0), (13.0, 9.0, 11.0)),
        angle_deg=-45.0,
        suv=5.0,
        hu=40.0,
    ),
    LesionCourse(
        name="new_lesion",
        kind=LesionKind.NODULE,
        site="lung_left",
        centre_mm=(74.0, -12.0, 52.0),
        diameters_mm=(None, None, (14.0, 12.0, 12.5)),
        angle_deg=110.0,
        suv=6.0,
        hu=35.0,
    ),
)


def lesions_at(visit: int, motion: Motion) -> tuple[MadeLesion, ...]:
    """Return the lesions present at a visit; they move with the anatomy but keep their shape."""
    return tuple(
        made_lesion(course, visit, motion)
        for course in COURSES
        if course.diameters_mm[visit] is not None
    )


def made_lesion(course: LesionCourse, visit: int, motion: Motion) -> MadeLesion:
    """Return a lesion at a visit at which it is present.

    Raises:
        InputError: The lesion is absent at this visit.
    """
    size = course.diameters_mm[visit]
    if size is None:
        raise InputError(f"'{course.name}' is absent at visit {visit}.")
    angle = np.deg2rad(course.angle_deg)
    upright = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    x, y, z = motion.from_reference(np.asarray(course.centre_mm)).tolist()
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    shape = Ellipsoid((x, y, z), half, motion.rotation @ upright)
    longest, perpendicular = axial_diameters_mm(shape)
    return MadeLesion(
        name=course.name,
        kind=course.kind,
        site=course.site,
        centre_mm=(x, y, z),
        volume_ml=4 / 3 * pi * half[0] * half[1] * half[2] / 1000,
        longest_mm=longest,
        perpendicular_mm=perpendicular,
        hu=course.hu,
        suv=course.suv,
        shape=shape,
    )


def axial_diameters_mm(shape: Ellipsoid) -> tuple[float, float]:
    """Return longest and perpendicular diameter of the largest axial cut [mm]."""
    quadric: NDArray[np.float64] = (
        shape.axes @ np.diag(np.asarray(shape.half_axes) ** -2.0) @ shape.axes.T
    )
    longest, perpendicular = 2 / np.sqrt(np.linalg.eigvalsh(quadric[:2, :2]))
    return float(longest), float(perpendicular)
