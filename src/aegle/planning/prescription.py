"""What is prescribed: dose, fractions and the clinical goals that the patient's organs call for."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Annotated, Any

from pydantic.dataclasses import dataclass

from aegle.domain.codes import StructureType, body_part
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.options import option
from aegle.planning.targets import CTV, GTV, LUNGS_MINUS_GTV

ROUNDING_GY = 1e-9


@dataclass(frozen=True, kw_only=True)
class PrescriptionOptions:
    """Dose and target."""

    dose_gy: Annotated[
        float, option("Dose to the target over all fractions", unit="Gy", gt=0, le=120)
    ] = 60.0
    fractions: Annotated[int, option("Number of fractions", ge=1, le=60)] = 30
    target: Annotated[str, option("Name of the planning target volume")] = "PTV"


def prescribe(
    targets: StructureSet, organs: StructureSet, *, options: PrescriptionOptions
) -> Prescription:
    """Prescribe a dose with the published goals of those organs that are delineated.

    Limits of organs are published for about 2 Gy per fraction. Where the dose per fraction
    differs, they are left out.

    Args:
        targets: Must hold the planning target volume; ``GTV`` and ``CTV`` get goals if there.
        organs: Delineated organs. Names are matched as Aegle gives them or as they are common
            in structure sets, whatever their case and punctuation.
        options: Dose, fractions and the target's name.

    Returns:
        Dose and goals; a goal bears the organ's name as delineated. Limits for lungs refer to
        ``lungs_minus_gtv``, which :func:`aegle.planning.photon_plan.plan` derives if needed.

    Raises:
        InputError: The target is missing.
    """
    target = targets[options.target].name
    named = {"PTV": target} | {s.name: s.name for s in targets if s.name in (GTV, CTV)}
    scale = options.dose_gy / 100
    goals = tuple(
        _goal(named[row["of"]], row, scale if row["metric"] != Metric.VOLUME_AT_DOSE.value else 1.0)
        for row in _table()["target"]
        if row["of"] in named
    )
    bare = Prescription(
        target=target, dose_gy=options.dose_gy, fractions=options.fractions, goals=goals
    )
    if not is_conventional(bare):
        return bare
    return replace(bare, goals=(*goals, *published_goals(organs)))


def published_goals(organs: StructureSet) -> tuple[Goal, ...]:
    """Return the published limits of those organs that are delineated.

    They hold for about 2 Gy per fraction, see :func:`is_conventional`.
    """
    found = recognised(organs)
    if lungs_of(organs):
        found.setdefault(LUNGS_MINUS_GTV, LUNGS_MINUS_GTV)
    return tuple(
        _goal(found[row["organ"]], row, 1.0) for row in _table()["organ"] if row["organ"] in found
    )


def is_conventional(prescription: Prescription) -> bool:
    """Return whether the published limits of organs hold at this dose per fraction."""
    each_gy = prescription.dose_gy / prescription.fractions
    valid = _table()["fractionation"]
    return bool(valid["least_gy"] - ROUNDING_GY <= each_gy <= valid["most_gy"] + ROUNDING_GY)


def recognised(organs: StructureSet) -> dict[str, str]:
    """Return which organ each known structure is: Aegle's name to the name as delineated.

    Empty structures and targets are passed over; of two structures for one organ the first counts.
    """
    found: dict[str, str] = {}
    for structure in organs:
        is_derived = structure.name == LUNGS_MINUS_GTV
        organ = LUNGS_MINUS_GTV if is_derived else body_part(structure.name)
        if organ and _is_organ(structure):
            found.setdefault(organ, structure.name)
    return found


def lungs_of(organs: StructureSet) -> tuple[Structure, ...]:
    """Return the structures that together are both lungs; nothing if one is missing."""
    found = recognised(organs)
    if "lungs" in found:
        return (organs[found["lungs"]],)
    if "lung_left" in found and "lung_right" in found:
        return organs[found["lung_left"]], organs[found["lung_right"]]
    return ()


def lung_alone(organs: StructureSet) -> Structure | None:
    """Return the lung that is delineated without the other; None if both or none are."""
    if lungs_of(organs):
        return None
    found = recognised(organs)
    names = [found[side] for side in ("lung_left", "lung_right") if side in found]
    return organs[names[0]] if names else None


def _is_organ(structure: Structure) -> bool:
    organs = (StructureType.ORGAN, StructureType.AVOIDANCE)
    return structure.type in organs and not structure.is_empty


def _goal(structure: str, row: Mapping[str, Any], scale: float) -> Goal:
    limits = {key: row[key] * scale for key in ("at_least", "at_most") if key in row}
    return Goal(
        structure=structure,
        metric=Metric(row["metric"]),
        at=row.get("at"),
        source=row["source"],
        **limits,
    )


@cache
def _table() -> dict[str, Any]:
    file = resources.files("aegle.planning") / "goals.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
