"""What must hold before a plan is made, and what must be said of it where it holds only in part.

:func:`require_plannable` refuses what no plan can be made of; :func:`cautions` names what a reader
must know. Neither changes the plan.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.plan import Beam, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.planning.conflicts import conflicts
from aegle.planning.couch import through_couch
from aegle.planning.density import RADIODENSITY_HU, RELATIVE_DENSITY

AIR_HU = -950.0
"""What is thinner than this is air and no lung.

Below it lung is emphysema: Gevenois PA et al. Am J Respir Crit Care Med 1996;154:187-192,
doi:10.1164/ajrccm.154.1.8680679.
"""
MOST_AIR = 0.5
"""A target with more air than this lies outside the patient."""
NOTED_AIR = 0.01
"""Air in a target that is worth a word."""
LEAST_SLICES = 2
EDGE_MM = 5.0
"""Scatter from farther than this beyond the last slice hardly counts for a target."""


def require_plannable(ct: Volume, structures: StructureSet, prescription: Prescription) -> None:
    """Refuse what no plan can be made of.

    Args:
        ct: Planning CT [HU].
        structures: On the grid of the CT.
        prescription: Names its target.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        GeometryError: It is a single slice, or a structure lies on another grid.
        InputError: The target is missing, lies outside the CT or in air.
    """
    ct.require(Quantity.RADIODENSITY)
    _require_slices(ct.grid)
    for structure in structures:
        if not structure.grid.is_same_as(ct.grid):
            raise GeometryError(
                f"'{structure.name}' and the CT lie on different grids; resample the mask first."
            )
    target = structures[prescription.target]
    if target.is_empty:
        raise InputError(
            f"'{target.name}' holds no voxel of the CT: it is empty or lies outside the CT. Check "
            "that structures and CT belong together."
        )
    share = _air_share(ct, target)
    if share > MOST_AIR:
        raise InputError(
            f"{100 * share:.0f} % of '{target.name}' are air (below {AIR_HU:g} HU), so it lies "
            "outside the patient. Check that structures and CT belong together and that the CT is "
            "in HU."
        )


def _require_slices(grid: Grid) -> None:
    slices = min(grid.shape)
    if slices < LEAST_SLICES:
        raise GeometryError(
            f"The CT has {' × '.join(map(str, grid.shape))} voxels along slice, row and column; "
            f"dose is calculated in a volume of at least {LEAST_SLICES} along each. Give the whole "
            "series."
        )


def cautions(
    ct: Volume,
    structures: StructureSet,
    prescription: Prescription,
    beams: Sequence[Beam],
    sad_mm: float,
) -> tuple[Text, ...]:
    """Return what a reader must know before believing a plan.

    Args:
        ct: Planning CT [HU].
        structures: What is delineated, on the grid of the CT.
        prescription: With all goals that are asked for.
        beams: Beams with their weights.
        sad_mm: Distance of the source from the axis [mm].
    """
    target = structures[prescription.target]
    bodies = [s for s in structures.of_type(StructureType.EXTERNAL) if not s.is_empty]
    return (
        *_at_edge(_volumes(structures, target)),
        *_in_air(ct, target),
        *(_beyond_table(ct, bodies[0]) if bodies else ()),
        *conflicts(structures, prescription.goals),
        *(through_couch(ct, bodies[0], target, beams, sad_mm) if bodies else ()),
    )


def unknown_density(scanner: str) -> Text:
    """Say that a generic density table was used, and for which scanner.

    Args:
        scanner: Maker, model and tube voltage as the file names them; empty if it does not.
    """
    if not scanner:
        return Text(
            "The CT does not say which scanner made it. CT numbers were turned into densities by a "
            "generic table, which may be wrong by several percent in bone and lung."
        )
    return Text(
        "CT numbers were turned into densities by a generic table, not by one measured for "
        "{scanner}; it may be wrong by several percent in bone and lung.",
        {"scanner": scanner},
    )


def _volumes(structures: StructureSet, target: Structure) -> Iterable[Structure]:
    kinds = (StructureType.TARGET, StructureType.LESION)
    return [s for s in structures if (s is target or s.type in kinds) and not s.is_empty]


def _at_edge(targets: Iterable[Structure]) -> Iterable[Text]:
    """Say which targets reach the first or last slice, where the CT may end before they do."""
    for target in targets:
        first, last = target.start[0], target.start[0] + target.box.shape[0]
        spacing_mm = target.grid.spacing_mm[0]
        room_mm = min(first, target.grid.shape[0] - last) * spacing_mm
        if room_mm < EDGE_MM:
            yield Text(
                "{target} reaches the first or last slice of the CT. What lies beyond is not "
                "planned, and scatter from there is not part of the dose.",
                {"target": target.name},
            )


def _in_air(ct: Volume, target: Structure) -> Iterable[Text]:
    share = _air_share(ct, target)
    if share > NOTED_AIR:
        yield Text(
            "{volume_ml:.2f} mL of {target} ({percent:.0f} %) are air, where hardly any dose is "
            "deposited and the calculated dose is not reliable.",
            {
                "volume_ml": share * target.volume_ml,
                "target": target.name,
                "percent": 100 * share,
            },
        )


def _beyond_table(ct: Volume, body: Structure) -> Iterable[Text]:
    """Say how much of the body is denser than the density table knows."""
    inside = ct.values[body.window][body.box]
    share = float(np.mean(inside >= RADIODENSITY_HU[-1]))
    if share > 0:
        yield Text(
            "{volume_ml:.2f} mL of the body reach the end of the density table ({hu:g} HU) and "
            "count as {density:g} times as dense as water. Metal is denser; behind it the dose is "
            "too high.",
            {
                "volume_ml": share * body.volume_ml,
                "hu": RADIODENSITY_HU[-1],
                "density": RELATIVE_DENSITY[-1],
            },
        )


def _air_share(ct: Volume, target: Structure) -> float:
    inside = ct.values[target.window][target.box]
    return float(np.mean(inside < AIR_HU))
