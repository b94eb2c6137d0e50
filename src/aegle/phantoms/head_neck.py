"""A made head and neck with a tumour of the tonsil or of the pharynx.

Shapes are ellipsoids, tubes and shells: enough that glands, swallowing muscles, cord and brainstem
lie beside the target as they do in patients, not a picture of an atlas.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal

import numpy as np
from pydantic.dataclasses import dataclass

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Patient
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.phantoms import tissues
from aegle.phantoms.breathing import Motion
from aegle.phantoms.canvas import ALL, Canvas, Tissue
from aegle.phantoms.made import MadeVisit
from aegle.phantoms.shapes import Axes, Ellipsoid, Field, coverage, smooth_union
from aegle.phantoms.texture import grain, scanned

FIELD_OF_VIEW_MM = (260.0, 260.0, 260.0)
"""Size of the image along slice, row and column [mm]."""
PATIENT = Patient(id="MADE-NECK-1", name="Made^Neck", birth_date=date(1961, 5, 17), sex="F")

Triple = tuple[float, float, float]

_PAIRED: Mapping[str, tuple[Triple, Triple, float]] = {
    "parotid": ((51.0, 0.0, 14.0), (10.0, 15.0, 22.0), 15.0),
    "submandibular": ((28.0, -30.0, -24.0), (9.0, 13.0, 10.0), 40.0),
}
"""Centre of the left organ, half axes [mm] and radiodensity [HU]."""
_SINGLE: Mapping[str, tuple[Triple, Triple, float]] = {
    "oral_cavity": ((0.0, -52.0, 8.0), (29.0, 36.0, 24.0), 45.0),
    "larynx": ((0.0, -24.0, -52.0), (15.0, 16.0, 16.0), 60.0),
    "brainstem": ((0.0, 26.0, 62.0), (12.0, 11.0, 20.0), 36.0),
}
_CONSTRICTORS = {
    "constrictor_superior": (8.0, 34.0),
    "constrictor_middle": (-18.0, 8.0),
    "constrictor_inferior": (-44.0, -18.0),
}
"""Lowest and highest z of the parts of the pharyngeal wall [mm]."""
_GROSS = {
    "tonsil": ((24.0, -10.0, 6.0), (12.0, 14.0, 16.0)),
    "pharynx": ((0.0, -12.0, 2.0), (24.0, 13.0, 24.0)),
}
_NECK = ((38.0, 2.0, -26.0), (11.0, 15.0, 36.0))
"""Lymph nodes of the left side of the neck."""
_MICROSCOPIC_MM, _SETUP_MM, _SKIN_MM = 6.0, 4.0, 5.0
_CORD = (0.0, 38.0)
"""x and y of the cord's axis [mm]."""


@dataclass(frozen=True, kw_only=True)
class HeadNeckOptions:
    """How the made head and neck is imaged, and where its tumour grows."""

    seed: Annotated[int, option("Seed of everything that is random", ge=0)] = 1
    shape: Annotated[
        tuple[int, int, int],
        option("Voxels along slice, row and column; the field of view stays 260 mm wide"),
    ] = (104, 130, 130)
    tumour: Annotated[
        Literal["tonsil", "pharynx"],
        option(
            "tonsil: on the left, nodes of that side are treated; pharynx: in the middle, "
            "nodes of both sides are"
        ),
    ] = "tonsil"


def make_head_neck(*, options: HeadNeckOptions) -> MadeVisit:
    """Make a planning CT of a made head and neck.

    Args:
        options: Tumour, seed and number of voxels.

    Returns:
        CT [HU] and masks by voxel centre: organs, ``GTV``, ``CTV`` and ``PTV``.
    """
    canvas = Canvas.blank(_grid(options.shape), with_uptake=False)
    at = canvas.axes_of(ALL)
    shapes = {"body": _body(at), **_organs(at), **_targets(at, options.tumour)}
    shapes["PTV"] = np.maximum(shapes["PTV"], shapes["body"] + np.float32(_SKIN_MM))
    _paint(canvas, at, shapes, options.seed)
    grid = canvas.grid
    ct = scanned(canvas.hu, spacing_mm=grid.spacing_mm, noise_hu=10, seed=(options.seed, 23))
    types = {
        "body": StructureType.EXTERNAL,
        "GTV": StructureType.LESION,
        "CTV": StructureType.TARGET,
        "PTV": StructureType.TARGET,
    }
    found = [
        Structure.of(
            name,
            np.broadcast_to(shape < 0, grid.shape),
            grid,
            type=types.get(name, StructureType.ORGAN),
            origin="made",
        )
        for name, shape in shapes.items()
    ]
    return MadeVisit(
        patient=PATIENT,
        description="CT head and neck, radiotherapy planning",
        acquired=datetime(2025, 6, 3, 9, 10),
        ct=Volume(values=ct, grid=grid, quantity=Quantity.RADIODENSITY),
        structures=StructureSet(tuple(found)),
        lesions=(),
        motion=Motion(),
    )


def _grid(shape: tuple[int, int, int]) -> Grid:
    dz, dy, dx = (size / n for size, n in zip(FIELD_OF_VIEW_MM, shape, strict=True))
    low_z = -FIELD_OF_VIEW_MM[0] / 2
    first = (-(shape[2] - 1) / 2 * dx, -(shape[1] - 1) / 2 * dy, low_z + dz / 2)
    return Grid(shape=shape, spacing_mm=(dz, dy, dx), origin_mm=first)


def _ellipsoid(at: Axes, centre: Triple, half_axes: Triple) -> Field:
    return Ellipsoid.turned(centre, half_axes).distance(at)


def _body(at: Axes) -> Field:
    head = _ellipsoid(at, (0.0, -8.0, 62.0), (76.0, 96.0, 104.0))
    neck = np.hypot(at.x / 62, (at.y - 8) / 62) * 62 - 62
    # The neck ends inside the head.
    neck = np.maximum(neck, at.z - 60)
    jaw = _ellipsoid(at, (0.0, -44.0, 0.0), (56.0, 56.0, 42.0))
    return smooth_union(smooth_union(head, np.broadcast_to(neck, head.shape), 24.0), jaw, 16.0)


def _organs(at: Axes) -> dict[str, Field]:
    found = {}
    for name, (centre, half_axes, _) in _PAIRED.items():
        for side, sign in (("left", 1.0), ("right", -1.0)):
            found[f"{name}_{side}"] = _ellipsoid(at, (sign * centre[0], *centre[1:]), half_axes)
    for name, (centre, half_axes, _) in _SINGLE.items():
        found[name] = _ellipsoid(at, centre, half_axes)
    wall = np.maximum(np.abs(at.x) - 16, np.abs(at.y - 8) - 3)
    for name, (low, high) in _CONSTRICTORS.items():
        middle, half = (low + high) / 2, (high - low) / 2
        found[name] = np.maximum(wall, np.abs(at.z - middle) - half)
    cord = np.hypot(at.x - _CORD[0], at.y - _CORD[1]) - 5
    found["spinal_cord"] = np.maximum(cord, at.z - 44)
    found["mandible"] = _mandible(at)
    return found


def _mandible(at: Axes) -> Field:
    """A horseshoe that opens to the back."""
    bow = np.abs(np.hypot(at.x, 0.8 * (at.y + 38)) - 44) - 4
    shape = np.maximum(np.maximum(bow, np.abs(at.z + 2) - 13), at.y + 20)
    return np.asarray(shape, np.float32)


def _targets(at: Axes, tumour: str) -> dict[str, Field]:
    gross = _ellipsoid(at, *_GROSS[tumour])
    spread = gross - np.float32(_MICROSCOPIC_MM)
    (x, y, z), half_axes = _NECK
    for sign in (1.0,) if tumour == "tonsil" else (1.0, -1.0):
        spread = np.minimum(spread, _ellipsoid(at, (sign * x, y, z), half_axes))
    return {"GTV": gross, "CTV": spread, "PTV": spread - np.float32(_SETUP_MM)}


def _paint(canvas: Canvas, at: Axes, shapes: Mapping[str, Field], seed: int) -> None:
    noise = grain(*np.broadcast_arrays(at.x, at.y, at.z), seed=seed)

    def lay(distance: Field, hu: float, texture: float = 0.0) -> None:
        covered = coverage(np.broadcast_to(distance, canvas.grid.shape), canvas.width_mm)
        canvas.paint(ALL, covered.astype(np.float32), Tissue(hu + texture * noise))

    body = shapes["body"]
    lay(body, tissues.SKIN.hu)
    lay(body + 2, tissues.FAT.hu, 8)
    lay(body + 7, tissues.MUSCLE.hu, 7)
    skull = np.maximum(body + 6, 46 - at.z)
    lay(skull, tissues.CORTEX.hu)
    lay(skull + 6, 35.0, 4)
    vertebrae = np.maximum(np.hypot(at.x, at.y - 30) - 15, at.z - 44)
    lay(vertebrae, 350.0, 40)
    for name in ("spinal_cord", *_CONSTRICTORS):
        lay(shapes[name], 40.0)
    for name, (_, _, hu) in _SINGLE.items():
        lay(shapes[name], hu, 4)
    for name, (_, _, hu) in _PAIRED.items():
        for side in ("left", "right"):
            lay(shapes[f"{name}_{side}"], hu, 6)
    lay(shapes["mandible"], tissues.CORTEX.hu)
    lay(shapes["mandible"] + 3, tissues.MARROW.hu)
    lay(shapes["GTV"], 52.0, 5)
    airway = np.maximum(np.hypot(at.x / 1.4, at.y + 2) - 5, at.z - 40)
    lay(np.maximum(airway, -shapes["GTV"]), tissues.AIR.hu)
