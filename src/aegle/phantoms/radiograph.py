"""A made chest radiograph: the made chest patient, projected from back to front.

Rays run in parallel along y (a point source at 1.8 m would enlarge by a few percent).
Attenuation is that of water times ``1 + HU / 1000``, at an effective energy of about 65 keV
(water 0.0199 / mm; NIST XCOM).
"""

from datetime import datetime
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy import ndimage

from aegle.domain.finding import LesionKind
from aegle.domain.volume import PlanarImage
from aegle.options import option
from aegle.phantoms import tissues
from aegle.phantoms.breathing import Motion
from aegle.phantoms.lesions import LesionCourse, MadeLesion, made_lesion
from aegle.phantoms.made import MadeRadiograph
from aegle.phantoms.painting import Scene, paint_lesions, paint_patient
from aegle.phantoms.thorax import FIELD_OF_VIEW_MM, PATIENT, thorax_grid

_WATER_PER_MM = 0.0199
_DEPTH_STEP_MM = 3.0
_BONE_EXCESS = 0.7
"""Bone stops these soft rays more than its HU at 120 kVp says."""
_SCATTER = 0.35
"""Scattered light behind a grid, as part of the light that arrives straight (smoothed)."""
_PHOTONS = 60_000.0
"""Photons per pixel in open air."""
_BRIGHTEST = 4095.0


@dataclass(frozen=True, kw_only=True)
class RadiographOptions:
    """Which made patient, how finely, and whether there is something to find."""

    seed: Annotated[int, option("Seed of everything that is random", ge=0)] = 1
    shape: Annotated[
        tuple[int, int],
        option("Pixels along row and column; the field of view stays 300 x 384 mm"),
    ] = (250, 320)
    nodule_mm: Annotated[
        float, option("Longest diameter of a nodule in the right lung; 0: none", unit="mm", ge=0)
    ] = 18.0


def make_radiograph(*, options: RadiographOptions) -> MadeRadiograph:
    """Make a frontal chest radiograph of the made patient, seen from the front.

    Args:
        options: Seed, number of pixels and size of the nodule.

    Returns:
        The image (0 to 4095, dense is bright, the patient's right on the left) and the shadows
        of ``body``, ``lung_right``, ``lung_left``, ``heart`` and, if there is one, ``nodule``:
        pixels whose ray meets them, also behind the heart and the diaphragm.
    """
    rows, columns = options.shape
    grid = thorax_grid((rows, int(FIELD_OF_VIEW_MM[1] / _DEPTH_STEP_MM), columns))
    scene = Scene.blank(
        grid, seed=options.seed, motion=Motion(), perfused=tissues.NATIVE, with_couch=False
    )
    paint_patient(scene)
    paint_lesions(scene.canvas, scene.masks, _nodule(options.nodule_mm))
    hu = scene.canvas.hu
    water = np.maximum(1 + hu / 1000 + _BONE_EXCESS * np.maximum(hu - 150, 0) / 1000, 0)
    straight = np.exp(-_WATER_PER_MM * grid.spacing_mm[1] * water.sum(axis=1))
    names = [n for n in ("body", "lung_right", "lung_left", "heart", "nodule") if n in scene.masks]
    spacing_mm = (grid.spacing_mm[0], grid.spacing_mm[2])
    return MadeRadiograph(
        patient=PATIENT,
        description="Radiograph of the chest, frontal",
        acquired=datetime(2025, 1, 14, 9, 5),
        image=PlanarImage(
            values=_displayed(straight[::-1], spacing_mm, options.seed)[None],
            spacing_mm=spacing_mm,
        ),
        outlines={name: np.any(scene.masks[name], axis=1)[::-1, :] for name in names},
    )


def _nodule(longest_mm: float) -> tuple[MadeLesion, ...]:
    if longest_mm == 0:
        return ()
    course = LesionCourse(
        name="nodule",
        kind=LesionKind.NODULE,
        site="lung_right",
        centre_mm=(-84.0, 0.0, 52.0),
        diameters_mm=((longest_mm, 0.85 * longest_mm, 0.9 * longest_mm),),
        angle_deg=30.0,
        suv=0.0,
        hu=45.0,
    )
    return (made_lesion(course, 0, Motion()),)


def _displayed(
    straight: NDArray[Any], spacing_mm: tuple[float, float], seed: int
) -> NDArray[np.float32]:
    """Return what is shown: scatter and noise added, logarithm, then an S-shaped curve."""
    scatter = ndimage.gaussian_filter(straight, [28 / step for step in spacing_mm], mode="nearest")
    light = (straight + _SCATTER * np.minimum(scatter, 0.12)) * _PHOTONS
    light = ndimage.gaussian_filter(light, 0.4)
    counted = np.random.default_rng([seed, 17]).poisson(light) + 1.0
    dense = -np.log(counted / _PHOTONS)
    lowest, highest = np.percentile(dense[straight < 0.5], (2, 99))
    part = (dense - lowest) / (highest - lowest)
    shown = 1 / (1 + np.exp(-5.0 * (part - 0.5)))
    return np.asarray(np.rint(np.clip(shown, 0, 1) * _BRIGHTEST), dtype=np.float32)
