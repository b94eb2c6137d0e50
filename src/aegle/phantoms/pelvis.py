"""A made male pelvis: bones, bladder, rectum with gas, and a prostate with a lesion."""

from datetime import date, datetime
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.codes import StructureType
from aegle.domain.finding import LesionKind
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Patient
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.phantoms import pelvis_anatomy as anatomy
from aegle.phantoms import tissues
from aegle.phantoms.breathing import Motion
from aegle.phantoms.canvas import ALL, Canvas, Tissue
from aegle.phantoms.lesions import LesionCourse, made_lesion
from aegle.phantoms.made import MadeVisit
from aegle.phantoms.painting import Masks, paint_couch, paint_lesions
from aegle.phantoms.shapes import Axes, Field, Tube, coverage
from aegle.phantoms.texture import grain, scanned

FIELD_OF_VIEW_MM = (240.0, 400.0, 400.0)
"""Size of the image along slice, row and column [mm]."""
_LOWEST_MM = -80.0

PATIENT = Patient(id="MADE-PELVIS-1", name="Made^Pelvis", birth_date=date(1953, 9, 2), sex="M")

_ORGANS = (
    "body", "bone", "femoral_head_right", "femoral_head_left", "bladder", "rectum", "prostate",
)  # fmt: skip
_LESION = LesionCourse(
    name="prostate_lesion",
    kind=LesionKind.TUMOUR,
    site="prostate",
    centre_mm=(-11.0, 0.0, -12.0),
    diameters_mm=((16.0, 10.0, 13.0),),
    angle_deg=25.0,
    suv=6.0,
    hu=74.0,
)
_SLAB_SLICES = 8


@dataclass(frozen=True, kw_only=True)
class PelvisOptions:
    """How finely the made pelvis is imaged."""

    seed: Annotated[int, option("Seed of everything that is random", ge=0)] = 1
    shape: Annotated[
        tuple[int, int, int],
        option("Voxels along slice, row and column; the field of view stays 240 x 400 x 400 mm"),
    ] = (96, 256, 256)


def make_pelvis(*, options: PelvisOptions) -> MadeVisit:
    """Make a planning CT of the made pelvis.

    Args:
        options: Seed and number of voxels.

    Returns:
        CT [HU] and the truth: masks by voxel centre and the lesion of the prostate in closed form.
    """
    grid = _grid(options.shape)
    canvas = Canvas.blank(grid, with_uptake=False)
    masks = {name: np.zeros(grid.shape, dtype=np.bool_) for name in _ORGANS}
    for start in range(0, grid.shape[0], _SLAB_SLICES):
        stop = min(start + _SLAB_SLICES, grid.shape[0])
        slab = canvas.slab(start, stop)
        paint_couch(slab)
        _paint_slab(slab, {n: m[start:stop] for n, m in masks.items()}, options.seed)
    _paint_tubes(canvas, masks)
    lesion = made_lesion(_LESION, 0, Motion())
    paint_lesions(canvas, masks, (lesion,))
    ct = scanned(canvas.hu, spacing_mm=grid.spacing_mm, noise_hu=13, seed=(options.seed, 19))
    return MadeVisit(
        patient=PATIENT,
        description="CT pelvis, radiotherapy planning",
        acquired=datetime(2025, 3, 11, 8, 20),
        ct=Volume(values=ct, grid=grid, quantity=Quantity.RADIODENSITY),
        structures=_structures(masks, grid),
        lesions=(lesion,),
        motion=Motion(),
    )


def _grid(shape: tuple[int, int, int]) -> Grid:
    dz, dy, dx = (size / n for size, n in zip(FIELD_OF_VIEW_MM, shape, strict=True))
    first = (-(shape[2] - 1) / 2 * dx, -(shape[1] - 1) / 2 * dy + 14, _LOWEST_MM + dz / 2)
    return Grid(shape=shape, spacing_mm=(dz, dy, dx), origin_mm=first)


def _paint_slab(canvas: Canvas, masks: Masks, seed: int) -> None:
    x, y, z = Motion().reference_axes(*canvas.axes)
    shape = canvas.grid.shape
    at = Axes(*(np.broadcast_to(axis, shape) for axis in (x, y, z)))
    noise = grain(at.x, at.y, at.z, seed=seed)

    def lay(distance: NDArray[Any], tissue: Tissue) -> None:
        covered = coverage(distance.astype(np.float32, copy=False), canvas.width_mm)
        canvas.paint(ALL, covered, tissue)

    skin, cavity = anatomy.body(at), anatomy.cavity(at)
    fat = Tissue(tissues.FAT.hu + 8 * noise)
    muscle = Tissue(tissues.MUSCLE.hu + 7 * noise)
    lay(skin, tissues.SKIN)
    lay(skin + 2, fat)
    muscles = anatomy.body(at, 15 + 0.03 * (at.y + 60)) + 1.5 * noise
    lay(muscles, muscle)
    bundles = grain(0.35 * at.x, 0.35 * at.y, 0.12 * at.z, seed=seed)
    lay(np.maximum(np.maximum(np.abs(bundles) * 9 - 1.0, 6 - cavity), muscles), fat)
    lay(cavity + 6, fat)
    bones = (anatomy.hip_plates(at), anatomy.sacrum(at))
    for bone in bones:
        lay(bone, tissues.CORTEX)
        lay(bone + 2, Tissue(tissues.MARROW.hu + 30 * noise))
        masks["bone"][...] |= bone < 0
    masks["body"][...] = skin < 0
    for name, organ, wall_mm, tissue, content in (
        ("bladder", anatomy.bladder(at), 3.0, Tissue(38), Tissue(8)),
        ("prostate", anatomy.prostate(at), 2.0, Tissue(44 + 4 * noise), Tissue(40 + 5 * noise)),
    ):
        lay(organ, tissue)
        lay(organ + wall_mm, content)
        masks[name][...] = organ < 0
    masks["bladder"][...] &= ~masks["prostate"]


def _paint_tubes(canvas: Canvas, masks: Masks) -> None:
    _lay_tubes(canvas, anatomy.muscles(), tissues.MUSCLE)
    _lay_tubes(canvas, anatomy.hip_tubes(), tissues.CORTEX, inside=masks["bone"])
    _lay_tubes(canvas, anatomy.hip_tubes(), tissues.MARROW, by_mm=-2.5)
    _paint_hip_joints(canvas, masks)
    _lay_tubes(canvas, anatomy.vessels(), tissues.FAT, by_mm=4.0)
    _lay_tubes(canvas, anatomy.vessels(), Tissue(46))
    _lay_tubes(canvas, anatomy.seminal_vesicles(), Tissue(34))
    _lay_tubes(canvas, anatomy.bowel(), Tissue(42))
    _lay_tubes(canvas, anatomy.bowel()[1:], Tissue(22), by_mm=-2.5)
    _lay_tubes(canvas, anatomy.bowel()[:1], tissues.AIR, by_mm=-3.5)
    _lay_tubes(canvas, (anatomy.rectum(),), Tissue(40), inside=masks["rectum"])
    _lay_tubes(canvas, (anatomy.rectum(),), Tissue(26), by_mm=-3.5)
    _paint_rectal_gas(canvas)
    masks["rectum"] &= ~masks["prostate"]


def _lay_tubes(
    canvas: Canvas,
    tubes: tuple[Tube, ...],
    tissue: Tissue,
    *,
    by_mm: float = 0.0,
    inside: NDArray[np.bool_] | None = None,
) -> None:
    for tube in tubes:
        for segment in tube.segments():
            canvas.paint_segment(segment.wider(by_mm), tissue, inside)


def _paint_hip_joints(canvas: Canvas, masks: Masks) -> None:
    """Sockets open outwards and downwards, cartilage, and the heads in them."""
    for name, centre in anatomy.HEAD_CENTRES.items():
        middle = np.asarray(centre)
        reach = anatomy.HEAD_RADIUS_MM + 16
        window = canvas.window(middle - reach, middle + reach)
        at = canvas.axes_of(window)
        side = np.sign(centre[0])
        x, y, z = side * (at.x - centre[0]), at.y - centre[1], at.z - centre[2]
        ball: Field = np.sqrt(x * x + y * y + z * z) - np.float32(anatomy.HEAD_RADIUS_MM)
        rim = 0.78 * x - 0.15 * y - 0.6 * z - 4
        socket = np.maximum(np.maximum(ball - 10, 3.5 - ball), rim)
        masks["bone"][window] |= (socket < 0) | (ball < 0)
        masks[name][window] = ball < 0
        for shape, tissue in (
            (np.maximum(ball - 3.5, rim), tissues.CARTILAGE),
            (socket, tissues.CORTEX),
            (socket + 2, tissues.MARROW),
            (ball, tissues.CORTEX),
            (ball + 2, Tissue(330)),
        ):
            covered = coverage(shape.astype(np.float32, copy=False), canvas.width_mm)
            canvas.paint(window, covered, tissue)


def _paint_rectal_gas(canvas: Canvas) -> None:
    """Gas gathers in the front of the rectum, as the patient lies on the back."""
    for segment in anatomy.rectum().segments():
        if segment.end[2] < -30 or segment.start[2] > 40:
            continue
        inner = segment.wider(-5.0)
        window = canvas.window(*inner.bounds(canvas.width_mm))
        at = canvas.axes_of(window)
        level = (segment.start[1] + segment.end[1]) / 2 - 2
        gas = np.maximum(inner.distance(at), at.y - level)
        canvas.paint(window, coverage(gas.astype(np.float32), canvas.width_mm), tissues.AIR)


def _structures(masks: Masks, grid: Grid) -> StructureSet:
    types = {"body": StructureType.EXTERNAL, _LESION.name: StructureType.LESION}
    return StructureSet(
        tuple(
            Structure.of(name, mask, grid, type=types.get(name, StructureType.ORGAN), origin="made")
            for name, mask in masks.items()
        )
    )
