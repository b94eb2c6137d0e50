"""Draws made chest patients that differ: build, breathing, contrast, and lesions of all sizes.

The ranges are wide rather than true to a population: a network that has seen them is to find its
way in patients who are like none of them.
"""

from dataclasses import dataclass
from math import log, pi

import numpy as np

from aegle.domain.finding import LesionKind
from aegle.phantoms import tissues
from aegle.phantoms.breathing import Motion
from aegle.phantoms.build import Build, BuiltMotion, Swelling, Triple, Wave
from aegle.phantoms.canvas import Tissue
from aegle.phantoms.lesions import COURSES, LesionCourse, MadeLesion, made_lesion
from aegle.phantoms.tissues import Perfused
from aegle.phantoms.torso import lung_map

DIAMETERS_MM = (8.0, 65.0)
"""Equivalent diameters of lesions in the lungs at the first visit."""
_LESIONS = (2, 6)
"""Fewest and most lesions that are drawn; those without room are left out."""
_TOUCHING = 0.6
"""Share of the lesions that touch chest wall or mediastinum."""
_WAVES = 6
_HEART_MM = (18.0, -26.0, -38.0)
_HEART_REACH_MM = 46.0
_NODE = next(course for course in COURSES if course.kind is LesionKind.LYMPH_NODE)
_BUILD, _COURSES, _VISIT = 21, 22, 23
"""Streams of random numbers of one seed."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What differs from visit to visit of one patient."""

    motion: Motion
    perfused: Perfused
    noise_hu: float


def draw_build(seed: int) -> Build:
    """Return the build of the patient of a seed."""
    rng = np.random.default_rng([seed, _BUILD])
    frame = rng.uniform(0.90, 1.10)
    size = frame * rng.uniform(0.95, 1.05, 3)
    heart = Swelling(
        centre_mm=_HEART_MM,
        reach_mm=_HEART_REACH_MM,
        growth=rng.uniform(-0.18, 0.22),
        moved_mm=_triple(rng.normal(0, (4, 3, 4))),
    )
    air = np.sort(rng.uniform(0, 1, 2))
    return Build(
        size=_triple(size),
        waves=tuple(_wave(rng) for _ in range(_WAVES)),
        swellings=(heart, *(_swelling(rng) for _ in range(4))),
        girth=rng.uniform(0.75, 1.5),
        lung_hu=rng.uniform(-50, 110),
        gullet_mm=tuple((float(x), float(y)) for x, y in rng.normal(0, (2.5, 1.8), (5, 2))),
        gullet_width=rng.uniform(0.8, 1.25),
        gullet_air=(float(air[0]), float(air[1])) if rng.random() < 0.5 else None,
    )


def draw_visit(seed: int, visit: int, base: Motion, build: Build) -> Examined:
    """Return how the patient of a seed lies, breathes and is imaged at a visit.

    Args:
        seed: Of the patient.
        visit: 0, 1 or 2.
        base: Motion of the model patient at this visit, to which the patient's own is added.
        build: From :func:`draw_build`.
    """
    rng = np.random.default_rng([seed, _VISIT, visit])
    motion = BuiltMotion(
        diaphragm_mm=base.diaphragm_mm + rng.uniform(-10, 10),
        chest_mm=base.chest_mm + rng.uniform(-4, 4),
        turn_deg=_triple(np.add(base.turn_deg, rng.uniform(-4, 4, 3))),
        shift_mm=_triple(np.add(base.shift_mm, rng.uniform(-8, 8, 3))),
        build=build,
    )
    return Examined(motion=motion, perfused=_perfused(rng), noise_hu=rng.uniform(6, 40))


def draw_courses(seed: int, build: Build) -> tuple[LesionCourse, ...]:
    """Return the lesions of the patient of a seed: a few in the lungs, perhaps a node.

    The first is the ``tumour``. Of those that touch chest wall or mediastinum up to about a
    quarter lies outside of the lung.
    """
    rng = np.random.default_rng([seed, _COURSES])
    chosen: list[LesionCourse] = []
    for number in range(int(rng.integers(_LESIONS[0], _LESIONS[1] + 1))):
        course = _lesion(seed, number, rng, chosen, build)
        chosen += [course] if course is not None else []
    return (*chosen, _NODE) if rng.random() < 0.5 else tuple(chosen)


def drawn_lesions(
    courses: tuple[LesionCourse, ...], visit: int, motion: Motion
) -> tuple[MadeLesion, ...]:
    """Return the lesions that are there at a visit."""
    return tuple(
        made_lesion(course, visit, motion)
        for course in courses
        if course.diameters_mm[visit] is not None
    )


def _lesion(
    seed: int, number: int, rng: np.random.Generator, others: list[LesionCourse], build: Build
) -> LesionCourse | None:
    """Draw one lesion that keeps clear of the others; None if there is no room for it."""
    lungs = lung_map(seed)
    diameter_mm = float(np.exp(rng.uniform(log(DIAMETERS_MM[0]), log(DIAMETERS_MM[1]))))
    side = "lung_right" if rng.random() < 0.5 else "lung_left"
    field = lungs.right if side == "lung_right" else lungs.left
    scale = float(np.mean(build.size))
    radius_mm = diameter_mm / 2 / scale
    least, most = (0.3, 0.85) if rng.random() < _TOUCHING else (1.1, np.inf)
    fits = np.argwhere((field < -least * radius_mm) & (field > -most * radius_mm))
    if len(fits) < 1:
        fits = np.argwhere(field < 0.9 * field.min())
    points = lungs.canvas.grid.to_patient(fits[rng.permutation(len(fits))[:40]].astype(float))
    apart_mm = [
        np.linalg.norm(points - np.asarray(other.centre_mm), axis=1)
        - radius_mm
        - max(size for size in other.diameters_mm[0] or (0.0,)) / 2
        for other in (*others, _NODE)
    ]
    clear = points[np.min(apart_mm, axis=0) > 6]
    if len(clear) < 1:
        return None
    shape = np.exp(rng.normal(0, 0.16, 3))
    shape = shape / np.cbrt(shape.prod()) * diameter_mm
    grown = (1.0, *np.exp(rng.uniform(-0.35, 0.3, 2)))
    is_tumour = not others
    return LesionCourse(
        name="tumour" if is_tumour else f"nodule_{number}",
        kind=LesionKind.TUMOUR if is_tumour else LesionKind.NODULE,
        site=side,
        centre_mm=_triple(clear[0]),
        diameters_mm=tuple(_triple(shape * factor) for factor in grown),
        angle_deg=rng.uniform(0, 180),
        suv=rng.uniform(1, 10),
        hu=rng.uniform(5, 80),
    )


def _wave(rng: np.random.Generator) -> Wave:
    direction = rng.normal(size=3)
    length_mm = rng.uniform(140, 320)
    moved = rng.normal(size=3)
    most_mm = rng.uniform(0.5, 4.0) * length_mm / 240
    turns = direction / np.linalg.norm(direction) * 2 * pi / length_mm
    return Wave(
        moved_mm=_triple(moved / np.linalg.norm(moved) * most_mm),
        turns_per_mm=_triple(turns),
        phase=rng.uniform(0, 2 * pi),
    )


def _swelling(rng: np.random.Generator) -> Swelling:
    return Swelling(
        centre_mm=_triple(rng.uniform((-110, -80, -130), (110, 80, 120))),
        reach_mm=rng.uniform(25, 50),
        growth=rng.uniform(-0.12, 0.14),
    )


def _perfused(rng: np.random.Generator) -> Perfused:
    """Draw a phase: none, early (bright arteries) or late, and how bright."""
    native, late = tissues.NATIVE, tissues.CONTRAST
    strength = 0.0 if rng.random() < 0.35 else rng.uniform(0.3, 1.3)
    early = rng.uniform(-0.5, 1.0) if strength else 0.0

    def between(name: str, by: float) -> Tissue:
        first, second = getattr(native, name), getattr(late, name)
        hu = first.hu + max(0.0, strength * (1 + by)) * (second.hu - first.hu)
        return Tissue(hu + rng.normal(0, 4), first.suv)

    return Perfused(
        artery=between("artery", early),
        vein=between("vein", -0.6 * early),
        lung_vessel=between("lung_vessel", rng.uniform(-0.3, 0.3)),
        heart_muscle=between("heart_muscle", 0.0),
        liver=between("liver", -0.6 * early),
        spleen=between("spleen", 0.3 * early),
    )


def _triple(values: object) -> Triple:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z
