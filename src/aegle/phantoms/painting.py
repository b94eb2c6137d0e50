"""Paints the torso slab by slab, then tubes and lesions, and keeps the true masks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.phantoms import mediastinum, tissues
from aegle.phantoms.abdomen import abdomen
from aegle.phantoms.breathing import Motion
from aegle.phantoms.build import MODEL, Build
from aegle.phantoms.canvas import ALL, Canvas, Tissue, Window
from aegle.phantoms.chest_wall import wall
from aegle.phantoms.lesions import MadeLesion
from aegle.phantoms.lung_vessels import lung_vessels
from aegle.phantoms.shapes import Axes, Ellipsoid, Field, coverage
from aegle.phantoms.skeleton import Spine, shoulder_bones
from aegle.phantoms.texture import grain
from aegle.phantoms.tissues import Perfused
from aegle.phantoms.torso import Chest, Place, chest, mediastinal_tubes, moved, place, tube_field

Masks = dict[str, NDArray[np.bool_]]

ORGANS = (
    "body", "lung_right", "lung_left", "airways", "heart", "aorta", "great_vessels", "spine",
    "ribs", "bone", "spinal_cord", "oesophagus", "liver", "spleen", "stomach",
)  # fmt: skip
_SLAB_SLICES = 8


@dataclass(frozen=True, eq=False)
class Scene:
    """A patient under construction."""

    canvas: Canvas
    masks: Masks
    motion: Motion
    perfused: Perfused
    seed: int
    with_couch: bool = True
    build: Build = MODEL

    @classmethod
    def blank(cls, grid: Grid, *, seed: int, with_uptake: bool = False, **facts: Any) -> "Scene":
        """Return a scene of air on a grid."""
        return cls(
            canvas=Canvas.blank(grid, with_uptake=with_uptake),
            masks={name: np.zeros(grid.shape, dtype=np.bool_) for name in ORGANS},
            seed=seed,
            **facts,
        )

    def structures(self, lesions: Iterable[MadeLesion]) -> StructureSet:
        """Return the true masks as structures."""
        types = dict.fromkeys((lesion.name for lesion in lesions), StructureType.LESION)
        types["body"] = StructureType.EXTERNAL
        return StructureSet(
            tuple(
                Structure.of(
                    name,
                    mask,
                    self.canvas.grid,
                    type=types.get(name, StructureType.ORGAN),
                    origin="made",
                )
                for name, mask in self.masks.items()
            )
        )


def paint_patient(scene: Scene) -> None:
    """Paint everything but the lesions."""
    tubes = tube_field(scene.canvas, mediastinal_tubes(scene.motion, scene.build.gullet()))
    for start in range(0, scene.canvas.grid.shape[0], _SLAB_SLICES):
        stop = min(start + _SLAB_SLICES, scene.canvas.grid.shape[0])
        slab = _Slab.of(scene, start, stop)
        if scene.with_couch:
            paint_couch(slab.canvas)
        _paint_wall(slab)
        _paint_abdomen(slab)
        _paint_chest(slab, chest(slab.where, tubes[start:stop]))
    _paint_tubes(scene)


def paint_lesions(canvas: Canvas, masks: Masks, lesions: Iterable[MadeLesion]) -> None:
    """Paint lesions with the exact part of each voxel that they fill (4×4×4 samples)."""
    for lesion in lesions:
        reach = max(lesion.shape.half_axes) + 2 * max(canvas.grid.spacing_mm)
        centre = np.asarray(lesion.centre_mm)
        window = canvas.window(centre - reach, centre + reach)
        at = canvas.axes_of(window)
        canvas.paint(window, _filled(canvas, lesion, at), Tissue(lesion.hu, lesion.suv))
        mask = np.zeros(canvas.grid.shape, dtype=np.bool_)
        mask[window] = lesion.shape.distance(at) < 0
        masks[lesion.name] = mask


def _filled(canvas: Canvas, lesion: MadeLesion, at: Axes) -> Field:
    parts = (np.arange(4) - 1.5) / 4
    dz, dy, dx = canvas.grid.spacing_mm
    total: Any = 0.0
    for k in parts:
        for j in parts:
            for i in parts:
                shifted = Axes(at.x + i * dx, at.y + j * dy, at.z + k * dz)
                total = total + (lesion.shape.distance(shifted) < 0)
    return np.asarray(total / 64, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Slab:
    """A few neighbouring slices of the scene."""

    scene: Scene
    canvas: Canvas
    where: Place
    masks: Masks
    grain: Field

    @classmethod
    def of(cls, scene: Scene, start: int, stop: int) -> "_Slab":
        canvas = scene.canvas.slab(start, stop)
        at = Axes(*scene.motion.reference_axes(*canvas.axes))
        masks = {name: mask[start:stop] for name, mask in scene.masks.items()}
        texture = grain(at.x, at.y, at.z, seed=scene.seed)
        return cls(scene, canvas, place(at, scene.seed, scene.build.girth), masks, texture)

    def table(self, name: str) -> Field:
        """Look up a table of the chest wall."""
        table: Field = getattr(wall(self.scene.seed), name)
        return np.asarray(table.ravel()[self.where.index])

    def lay(self, distance: NDArray[Any], tissue: Tissue, window: Window = ALL) -> None:
        """Paint a shape whose distances fill a window of the slab."""
        covered = coverage(distance.astype(np.float32, copy=False), self.canvas.width_mm)
        self.canvas.paint(window, covered, tissue)


def paint_couch(canvas: Canvas) -> None:
    """A foam pad on a hollow carbon-fibre board, fixed to the scanner."""
    at = canvas.axes_of(ALL)
    board = 138 - 7 * np.square(at.x / 190)
    shape = canvas.grid.shape
    for top, bottom, tissue in (
        (-5.0, 5.0, tissues.FOAM),
        (5.0, 8.0, tissues.CARBON_SHELL),
        (8.0, 26.0, tissues.FOAM),
        (26.0, 29.0, tissues.CARBON_SHELL),
    ):
        layer = np.maximum(board + top - at.y, at.y - board - bottom)
        covered = np.broadcast_to(coverage(layer, canvas.grid.spacing_mm[1]), shape)
        canvas.paint(ALL, covered.astype(np.float32), tissue)


def _paint_wall(slab: _Slab) -> None:
    where, noise = slab.where, slab.grain
    skin = where.radius - slab.table("skin")
    muscle = where.radius - slab.table("muscle")
    slab.masks["body"][...] = skin < 0
    fat = Tissue(tissues.FAT.hu + 9 * noise, tissues.FAT.suv)
    slab.lay(skin, tissues.SKIN)
    slab.lay(skin + 2, fat)
    slab.lay(muscle + 1.2 * noise, Tissue(tissues.MUSCLE.hu + 7 * noise, tissues.MUSCLE.suv))
    beyond = where.beyond_cage
    between = np.abs(beyond - 13.5 - 1.5 * noise) - 0.9
    slab.lay(np.maximum(between, muscle), fat)
    slab.lay(beyond + 0.5, fat)
    _paint_soft_parts(slab, skin, muscle, fat)
    _paint_cage_bones(slab)


_ARMPITS = (
    Ellipsoid.turned((-128, -14, 86), (19, 34, 44), first=(1, -0.35, 0.25)),
    Ellipsoid.turned((129, -16, 88), (19, 35, 44), first=(1, 0.35, -0.25)),
)
_GLANDS = (
    Ellipsoid.turned((-66, -103, -22), (34, 13, 26), first=(1, -0.45, 0)),
    Ellipsoid.turned((69, -104, -26), (36, 13, 27), first=(1, 0.45, 0)),
)


def _paint_soft_parts(slab: _Slab, skin: Field, muscle: Field, fat: Tissue) -> None:
    """Fat of the armpits and between muscles, glands of the breasts, muscles of the neck."""
    at, beyond, noise = slab.where.at, slab.where.beyond_cage, slab.grain
    if at.z.max() > 30:
        for armpit in _ARMPITS:
            slab.lay(np.maximum(armpit.distance(at) + 3 * noise, 13 - beyond), fat)
        layers = np.abs((beyond + 9 * noise) % 26 - 13) - 0.8
        slab.lay(np.maximum(np.maximum(layers, 24 - beyond), muscle + 3), fat)
        bundles = grain(0.4 * at.x, 0.4 * at.y, 0.2 * at.z, seed=slab.scene.seed)
        neck = np.maximum(beyond + 4, 118 - at.z + 4 * noise)
        slab.lay(np.maximum(neck, 2.5 - 9 * np.abs(bundles)), tissues.MUSCLE)
    if at.z.min() < 15:
        for gland in _GLANDS:
            streaks = np.maximum(gland.distance(at) + 6 * noise, np.maximum(skin + 6, 3 - muscle))
            slab.lay(streaks, tissues.GLAND)


def _paint_cage_bones(slab: _Slab) -> None:
    beyond = slab.where.beyond_cage
    depth = (beyond - 5.5) / 3.6
    ribs = (np.hypot(depth, slab.table("rib") / 6.0) - 1) * 4.2
    cartilage = (np.hypot(depth, slab.table("cartilage") / 6.5) - 1) * 4.4
    sternum = np.maximum(slab.table("sternum"), np.abs(beyond - 6.5) - 4.3)
    blade = np.maximum(slab.table("blade"), np.abs(beyond - 20) - 2.4)
    slab.lay(cartilage, tissues.CARTILAGE)
    for bone in (ribs, sternum, blade):
        slab.lay(bone, tissues.CORTEX)
        slab.lay(bone + 1.5, tissues.MARROW)
        slab.masks["bone"][...] |= bone < 0
    slab.masks["ribs"][...] = ribs < 0


def _paint_abdomen(slab: _Slab) -> None:
    above, beyond = slab.where.above_diaphragm, slab.where.beyond_cage
    if above.min() > 4:
        return
    organs = abdomen(slab.where.at, beyond, above)
    perfused, noise = slab.scene.perfused, slab.grain
    slab.lay(np.maximum(np.abs(above + 1.5) - 1.5, beyond), tissues.DIAPHRAGM)
    slab.lay(organs.liver, Tissue(perfused.liver.hu + 4 * noise, perfused.liver.suv))
    slab.lay(organs.spleen, perfused.spleen)
    slab.lay(organs.stomach, tissues.STOMACH_WALL)
    slab.lay(organs.stomach + 4.5, tissues.STOMACH_CONTENT)
    slab.lay(organs.gas, tissues.AIR)
    for name in ("liver", "spleen", "stomach"):
        slab.masks[name][...] = getattr(organs, name) < 0


def _paint_chest(slab: _Slab, found: Chest) -> None:
    perfused, noise, at = slab.scene.perfused, slab.grain, slab.where.at
    airy_hu = -862 + slab.scene.build.lung_hu
    lung = Tissue(airy_hu + 0.22 * at.y + 11 * noise + 95 * _fissures(at, noise), 0.45)
    for side, field in (("lung_right", found.right_lung), ("lung_left", found.left_lung)):
        slab.lay(field, lung)
        slab.masks[side][...] = field < 0
    slab.lay(found.heart.outer, perfused.heart_muscle, found.middle)
    slab.lay(found.heart.blood, perfused.vein, found.middle)
    slab.masks["heart"][found.middle] = found.heart.outer < 0
    _paint_spine(slab, found.spine, found.middle)


def _paint_spine(slab: _Slab, spine: Spine, window: Window) -> None:
    marrow = tissues.MARROW.hu + 30 * slab.grain[window]
    slab.lay(spine.canal - 1.5, tissues.FAT, window)
    slab.lay(spine.bone, tissues.CORTEX, window)
    slab.lay(spine.bone + 1.6, Tissue(marrow, tissues.MARROW.suv), window)
    slab.lay(spine.disc, tissues.DISC, window)
    slab.lay(spine.canal + 1.5, tissues.CANAL_FLUID, window)
    slab.masks["spine"][window] = np.minimum(spine.bone, spine.disc) < 0
    slab.masks["bone"][window] |= spine.bone < 0


def _fissures(at: Axes, noise: Field) -> Field:
    """Return how much of each voxel an interlobar fissure fills, about [0, 1]."""
    wave = 2 * noise + 3 * np.sin(at.x / 31)
    oblique = (at.z + 12 - 1.02 * at.y + wave) * 0.7
    minor = at.z - 6 + 0.0011 * np.square(at.x + 70) - 0.1 * at.y + 0.5 * wave
    minor = np.where((oblique > 0) & (at.x < 0), minor, 99)
    nearest = np.minimum(np.abs(oblique), np.abs(minor))
    return np.asarray(np.maximum(1 - nearest * np.float32(0.8), 0), dtype=np.float32)


def _paint_tubes(scene: Scene) -> None:
    perfused, masks = scene.perfused, scene.masks
    vessels = (
        (mediastinum.great_vessels(), perfused.vein, "great_vessels"),
        (mediastinum.aorta(), perfused.artery, "aorta"),
        (scene.build.gullet(), tissues.OESOPHAGUS, "oesophagus"),
        (mediastinum.spinal_cord(), tissues.CORD, "spinal_cord"),
        (mediastinum.hilar_vessels(), perfused.lung_vessel, None),
        (lung_vessels(scene.seed), perfused.lung_vessel, None),
        (mediastinum.liver_vessels(), perfused.vein, None),
    )
    _paint_shoulder_bones(scene)
    for tubes, tissue, name in vessels:
        for segment in moved(tubes, scene.motion):
            scene.canvas.paint_segment(segment, tissue, masks.get(name) if name else None)
    for segment in moved(scene.build.gullet_lumen(), scene.motion):
        scene.canvas.paint_segment(segment, tissues.AIR)
    _paint_airways(scene)


def _paint_shoulder_bones(scene: Scene) -> None:
    bones = moved(shoulder_bones(), scene.motion)
    for bone in bones:
        scene.canvas.paint_segment(bone, tissues.CORTEX, scene.masks["bone"])
    for bone in bones:
        scene.canvas.paint_segment(bone.wider(-1.8), tissues.MARROW)


def _paint_airways(scene: Scene) -> None:
    lumen = moved(mediastinum.airways(), scene.motion)
    for segment in lumen:
        thick = 0.9 + 0.1 * segment.radius
        scene.canvas.paint_segment(segment.wider(thick), tissues.AIRWAY_WALL)
    for segment in lumen:
        scene.canvas.paint_segment(segment, tissues.AIR, scene.masks["airways"])
    for side in ("lung_right", "lung_left"):
        scene.masks[side] &= ~scene.masks["airways"]
