"""A made chest patient, examined three times, whose every organ and lesion is known exactly.

Visit 0 is a low-dose screening CT. Visit 1, after treatment, is a contrast CT with PET in
another breathing state: the tumour has responded. At visit 2 a new lesion has appeared.
"""

from dataclasses import dataclass as record
from datetime import date, datetime
from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.domain.errors import OptionError
from aegle.domain.grid import Grid
from aegle.domain.study import Patient
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.phantoms import tissues
from aegle.phantoms.breathing import Motion
from aegle.phantoms.build import MODEL, Build
from aegle.phantoms.lesions import MadeLesion, lesions_at
from aegle.phantoms.made import MadeVisit
from aegle.phantoms.painting import Scene, paint_lesions, paint_patient
from aegle.phantoms.pet import pet_of
from aegle.phantoms.texture import scanned
from aegle.phantoms.treated import draw_treated
from aegle.phantoms.variation import (
    Examined,
    draw_build,
    draw_courses,
    draw_visit,
    drawn_lesions,
)

FIELD_OF_VIEW_MM = (300.0, 384.0, 384.0)
"""Size of the image along slice, row and column [mm]."""

PATIENT = Patient(id="MADE-THORAX-1", name="Made^Thorax", birth_date=date(1961, 3, 14), sex="F")


@dataclass(frozen=True, kw_only=True)
class ThoraxOptions:
    """Which made patient, and how finely it is imaged."""

    seed: Annotated[int, option("Seed of everything that is random", ge=0)] = 1
    shape: Annotated[
        tuple[int, int, int],
        option("Voxels along slice, row and column; the field of view stays 300 x 384 x 384 mm"),
    ] = (120, 256, 256)
    varied: Annotated[
        bool,
        option(
            "Whether build, lesions, contrast and noise differ from seed to seed; otherwise every "
            "patient is the model patient"
        ),
    ] = False
    treated: Annotated[
        bool,
        option(
            "Whether the lesions of a varied patient vanish, appear and change together, as "
            "tumours under treatment do"
        ),
    ] = False


@record(frozen=True, kw_only=True)
class _Plan:
    """What is fixed about a visit."""

    description: str
    acquired: datetime
    motion: Motion
    noise_hu: float
    perfused: tissues.Perfused
    has_pet: bool = False


_VISITS = (
    _Plan(
        description="Low-dose CT chest, lung cancer screening",
        acquired=datetime(2025, 1, 14, 9, 30),
        motion=Motion(),
        noise_hu=25.0,
        perfused=tissues.NATIVE,
    ),
    _Plan(
        description="PET/CT chest with contrast, after treatment",
        acquired=datetime(2025, 4, 22, 10, 15),
        motion=Motion(
            diaphragm_mm=12.0, chest_mm=-3.0, turn_deg=(0.8, -0.5, 1.5), shift_mm=(4.0, -1.5, 6.0)
        ),
        noise_hu=12.0,
        perfused=tissues.CONTRAST,
        has_pet=True,
    ),
    _Plan(
        description="CT chest with contrast, follow-up",
        acquired=datetime(2025, 8, 5, 14, 40),
        motion=Motion(
            diaphragm_mm=-6.0, chest_mm=2.0, turn_deg=(-0.5, 0.6, -1.2), shift_mm=(-5.0, 0.5, -4.0)
        ),
        noise_hu=12.0,
        perfused=tissues.CONTRAST,
    ),
)
VISITS = len(_VISITS)

__all__ = ["PATIENT", "VISITS", "MadeVisit", "ThoraxOptions", "make_visit", "thorax_grid"]


def make_visit(visit: int, *, options: ThoraxOptions) -> MadeVisit:
    """Make one examination of the made chest patient.

    Args:
        visit: 0 (screening), 1 (after treatment) or 2 (later, with a new lesion).
        options: Seed, number of voxels, and whether the patient differs from the model patient.

    Returns:
        CT [HU], at visit 1 also PET [g/mL], and the truth: masks by voxel centre, lesions in
        closed form, and the motion from visit 0. Lungs hold their vessels, bronchial walls and
        lesions, but not the air of the airways.

    Raises:
        OptionError: There is no such visit.
    """
    if visit not in range(VISITS):
        raise OptionError(f"No visit {visit}; the made patient has visits 0 to {VISITS - 1}.")
    plan = _VISITS[visit]
    patient = _varied(visit, options) if options.varied else _model(visit)
    examined, lesions = patient.examined, patient.lesions
    grid = thorax_grid(options.shape)
    scene = Scene.blank(
        grid,
        seed=options.seed,
        with_uptake=plan.has_pet,
        motion=examined.motion,
        perfused=examined.perfused,
        build=patient.build,
    )
    canvas = scene.canvas
    paint_patient(scene)
    paint_lesions(canvas, scene.masks, lesions)
    ct = scanned(
        canvas.hu,
        spacing_mm=grid.spacing_mm,
        noise_hu=examined.noise_hu,
        seed=(options.seed, 11, visit),
    )
    pet = None
    if canvas.suv is not None:
        pet = pet_of(canvas.suv, grid, seed=(options.seed, 13, visit))
    return MadeVisit(
        patient=PATIENT,
        description=plan.description,
        acquired=plan.acquired,
        ct=Volume(values=ct, grid=grid, quantity=Quantity.RADIODENSITY),
        pet=pet,
        structures=scene.structures(lesions),
        lesions=lesions,
        motion=examined.motion,
    )


@record(frozen=True, kw_only=True)
class _Patient:
    """Whom a visit shows."""

    build: Build
    examined: Examined
    lesions: tuple[MadeLesion, ...]


def _model(visit: int) -> _Patient:
    plan = _VISITS[visit]
    return _Patient(
        build=MODEL,
        examined=Examined(motion=plan.motion, perfused=plan.perfused, noise_hu=plan.noise_hu),
        lesions=lesions_at(visit, plan.motion),
    )


def _varied(visit: int, options: ThoraxOptions) -> _Patient:
    seed = options.seed
    build = draw_build(seed)
    examined = draw_visit(seed, visit, _VISITS[visit].motion, build)
    courses = (draw_treated if options.treated else draw_courses)(seed, build)
    return _Patient(
        build=build, examined=examined, lesions=drawn_lesions(courses, visit, examined.motion)
    )


def thorax_grid(shape: tuple[int, int, int]) -> Grid:
    """Return the CT grid with the fixed field of view for a number of voxels."""
    dz, dy, dx = (size / n for size, n in zip(FIELD_OF_VIEW_MM, shape, strict=True))
    first = (-(shape[2] - 1) / 2 * dx, -(shape[1] - 1) / 2 * dy, -(shape[0] - 1) / 2 * dz)
    return Grid(shape=shape, spacing_mm=(dz, dy, dx), origin_mm=first)
