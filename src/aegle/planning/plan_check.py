"""What a physicist checks of a plan: calibration, grid, limits, where beams enter, how dose fits.

Positions follow ``beams``; indices of dose follow ``plan_quality``.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aegle.domain.codes import StructureType
from aegle.domain.grid import Points
from aegle.domain.plan import Plan
from aegle.domain.plan_check import BeamCheck, GammaMap, PlanCheck, PlanQuality, Silhouette
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.planning.beams import BeamFrame, frame
from aegle.planning.dose_grid import DoseGrid
from aegle.planning.gamma import GammaOptions, gamma
from aegle.planning.machine import (
    REFERENCE_FIELD_MM,
    REFERENCE_GY_PER_MU,
    REFERENCE_SSD_MM,
    machine,
)
from aegle.planning.photon_options import PhotonPlanOptions
from aegle.planning.plan_quality import conformity_index, gradient_index, homogeneity_index
from aegle.planning.proton_machine import proton_machine
from aegle.planning.proton_options import ProtonPlanOptions

AXIS_STEP_MM = 0.25
SILHOUETTE_STEP_MM = 2.0
HALF = 0.5
"""Of a mask that is linear between voxel centres, the border."""

_OUTSIDE = Text(
    "Couch, fixation and air outside the outline of the body neither weaken nor scatter the beams."
)


def check(plan: Plan, *, options: PhotonPlanOptions | ProtonPlanOptions) -> PlanCheck:
    """Return what a plan rests on.

    Args:
        plan: With its dose and the structures that it was made for.
        options: Those that it was made with.

    Raises:
        OptionError: There is no such machine.
        InputError: The target is missing or empty.
    """
    facts = _of_protons(options) if isinstance(options, ProtonPlanOptions) else _of_photons(options)
    sad_mm, source, calibration, algorithm, limits = facts
    target = plan.structures[plan.prescription.target]
    body = next(iter(plan.structures.of_type(StructureType.EXTERNAL)), None)
    aimed = [frame(beam, sad_mm) for beam in plan.beams]
    return PlanCheck(
        calibration=calibration,
        data_source=source,
        sad_mm=sad_mm,
        algorithm=algorithm,
        dose_grid_mm=DoseGrid.of(plan.dose.grid, options.dose_grid_mm).coarse.spacing_mm,
        limits=(*limits, _OUTSIDE),
        quality=quality(plan.dose, target, prescribed_gy=plan.prescription.dose_gy),
        beams=tuple(
            BeamCheck(
                ssd_mm=source_to_skin_mm(body, one) if body is not None else None,
                target=silhouette(target, one),
            )
            for one in aimed
        ),
    )


_Facts = tuple[float, str, Text, Text, tuple[Text, ...]]


def _of_photons(options: PhotonPlanOptions) -> _Facts:
    treated = machine(options.machine)
    calibration = Text(
        "1 MU gives {dose:g} Gy at {depth:.1f} mm depth in water on the axis of a {field:g} mm × "
        "{field:g} mm field, source-to-surface distance {ssd:g} mm",
        {
            "dose": REFERENCE_GY_PER_MU,
            "depth": treated.reference_depth_mm,
            "field": REFERENCE_FIELD_MM,
            "ssd": REFERENCE_SSD_MM,
        },
    )
    algorithm = Text(
        "photon pencil beam of three kernels (Bortfeld 1993), beamlets of {beamlet:g} mm",
        {"beamlet": options.beamlet_mm},
    )
    limits = (
        Text(
            "A change of density alters the depth of a point, not the width of the pencil beam: "
            "dose in lung, behind it and beside bone is less exact than in soft tissue (AAPM "
            "Report 85)."
        ),
        Text(
            "A beamlet gives no dose farther than {cutoff:g} mm from its axis.",
            {"cutoff": options.lateral_cutoff_mm},
        ),
    )
    return treated.sad_mm, treated.source, calibration, algorithm, limits


def _of_protons(options: ProtonPlanOptions) -> _Facts:
    treated = proton_machine(options.machine)
    calibration = Text(
        "tables of dose per proton in water from {low:.1f} to {high:.1f} MeV; weights are millions "
        "of protons",
        {"low": float(treated.energies_mev[0]), "high": float(treated.energies_mev[-1])},
    )
    algorithm = Text("proton pencil beam of two Gaussians (Hong 1996)")
    limits = (
        Text(
            "A change of density alters the depth of a point, not how protons scatter: dose behind "
            "and beside borders of bone and air is less exact than in soft tissue."
        ),
    )
    return treated.sad_mm, treated.source, calibration, algorithm, limits


def quality(dose: Volume, target: Structure, *, prescribed_gy: float) -> PlanQuality:
    """Return how well a dose fits its target.

    Raises:
        InputError: The target is empty.
        OptionError: The prescribed dose is not positive.
    """
    reaches = bool(np.any(dose.values >= prescribed_gy))
    has_middle = bool(np.median(dose.values[target.window][target.box]) > 0)
    return PlanQuality(
        conformity=conformity_index(dose, target, prescribed_gy=prescribed_gy),
        homogeneity=homogeneity_index(dose, target) if has_middle else None,
        gradient=gradient_index(dose, prescribed_gy=prescribed_gy) if reaches else None,
    )


def source_to_skin_mm(body: Structure, beam: BeamFrame) -> float | None:
    """Return the distance from the source to the outline of the body along the beam's axis [mm].

    The mask is linear between voxel centres; its border lies at one half. None: the axis misses.
    """
    corners_mm = _corners_mm(body)
    along_mm = (corners_mm - beam.source_mm) @ -beam.axes[2]
    from_source_mm = np.arange(max(along_mm.min(), 0.0), along_mm.max(), AXIS_STEP_MM)
    positions_mm = beam.source_mm - from_source_mm[:, None] * beam.axes[2]
    inside = np.flatnonzero(_share(body, positions_mm) >= HALF)
    return float(from_source_mm[inside[0]]) if inside.size else None


def silhouette(target: Structure, beam: BeamFrame) -> Silhouette:
    """Return a structure as a beam sees it, every 2 mm on the isocentre plane."""
    corners_mm = _corners_mm(target)
    seen_mm = beam.project(corners_mm)
    step_mm = SILHOUETTE_STEP_MM
    first = np.floor(seen_mm.min(axis=0) / step_mm) - 1
    columns, rows = (np.ceil(seen_mm.max(axis=0) / step_mm) + 2 - first).astype(int).tolist()
    x, y = (first * step_mm).tolist()
    local_mm = (corners_mm - beam.isocentre_mm) @ beam.axes[2]
    heights_mm = np.arange(local_mm.min(), local_mm.max() + step_mm, step_mm)
    u_mm, v_mm = np.meshgrid(x + step_mm * np.arange(columns), y + step_mm * np.arange(rows))
    met = np.zeros((rows, columns), dtype=np.bool_)
    for height_mm in heights_mm.tolist():
        scale = 1 - height_mm / beam.sad_mm
        local = np.stack([u_mm * scale, v_mm * scale, np.full_like(u_mm, height_mm)], axis=-1)
        met |= _share(target, beam.isocentre_mm + local @ beam.axes) >= HALF
    return Silhouette(mask=met, first_mm=(x, y), step_mm=step_mm)


def _corners_mm(structure: Structure) -> Points:
    """Return LPS positions of the corners of a box one voxel around a structure [mm]."""
    first = np.asarray(structure.start) - 1.0
    last = np.add(structure.start, structure.box.shape).astype(np.float64)
    ends = np.stack(np.meshgrid(*np.stack([first, last], axis=1)), axis=-1).reshape(-1, 3)
    return structure.grid.to_patient(ends)


def _share(structure: Structure, positions_mm: Points) -> NDArray[np.float64]:
    """Return a structure's mask at positions, linear between voxel centres, shape [...]."""
    indices = structure.grid.to_indices(positions_mm) - np.asarray(structure.start)
    box = structure.box.astype(np.float64)
    found = map_coordinates(box, np.moveaxis(indices, -1, 0), order=1, mode="grid-constant")
    return np.asarray(found)


def agreement(first: Plan, second: Plan, *, options: GammaOptions) -> GammaMap:
    """Return the gamma index of a second plan's dose at each voxel of the first's.

    Raises:
        InputError: The first plan has no dose, or the doses lie apart.
    """
    found = gamma(first.dose, second.dose, options=options)
    return GammaMap(
        values=found.values,
        grid=first.dose.grid,
        dose_percent=options.dose_percent,
        distance_mm=options.distance_mm,
        is_local=options.local,
        cutoff_percent=options.cutoff_percent,
        judged=found.judged,
        pass_percent=found.pass_percent,
        mean=found.mean,
    )
