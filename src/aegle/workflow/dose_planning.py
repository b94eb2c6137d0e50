"""A plan on a CT: checked before, made with its scanner's densities, and its limits named."""

from dataclasses import replace
from typing import Protocol

from aegle.domain.alternatives import Comparison
from aegle.domain.plan import Plan, Prescription, ProtonBeam
from aegle.domain.structure import StructureSet
from aegle.domain.study import Image
from aegle.domain.volume import Volume
from aegle.planning.alternatives import AlternativeOptions, compare, usual_choices
from aegle.planning.checks import cautions, require_plannable, unknown_density
from aegle.planning.density_table import DensityTable, calibrated
from aegle.planning.machine import machine
from aegle.planning.photon_plan import PhotonPlanOptions, plan
from aegle.planning.proton_plan import ProtonPlanOptions
from aegle.workflow.stage import Progress


class Making(Protocol):
    """How a plan is made."""

    @property
    def photons(self) -> PhotonPlanOptions:
        """Beams, grid and optimiser."""
        ...

    @property
    def densities(self) -> DensityTable | None:
        """Table of the CT's scanner; None: a generic one."""
        ...


class Comparing(Making, Protocol):
    """How alternatives are made."""

    @property
    def protons(self) -> ProtonPlanOptions:
        """Beams, spots, grid and optimiser."""
        ...

    @property
    def alternatives(self) -> AlternativeOptions:
        """Which alternatives, and facts of the patient."""
        ...


def plan_on(
    image: Image,
    structures: StructureSet,
    prescription: Prescription,
    *,
    options: Making,
    progress: Progress,
) -> Plan:
    """Plan photons on a CT.

    Args:
        image: The planning CT.
        structures: Targets, organs and the outline of the body, on its grid.
        prescription: What is wanted.
        options: How the plan is made.
        progress: Called with steps done and steps in all.

    Raises:
        InputError: No plan can be made of it; the message says why.
    """
    ct = _checked(image, structures, prescription, options)
    made = plan(ct, structures, prescription, options=options.photons, progress=progress)
    return _cautioned(made, image, structures, prescription, options)


def compare_on(
    image: Image,
    structures: StructureSet,
    prescription: Prescription,
    *,
    options: Comparing,
    progress: Progress,
) -> tuple[Plan, Comparison]:
    """Plan alternatives on a CT; return the best one of photons, and all of them.

    Raises:
        InputError: No plan can be made of it; the message says why.
    """
    ct = _checked(image, structures, prescription, options)
    choices = usual_choices(
        prescription,
        photons=options.photons,
        protons=options.protons,
        fractions=options.alternatives.fractions,
    )
    found = compare(ct, structures, choices, options.alternatives.facts, progress=progress)
    plans = (one.plan for one in found.alternatives)
    photons = next(one for one in plans if not isinstance(one.beams[0], ProtonBeam))
    return _cautioned(photons, image, structures, prescription, options), found


def _checked(
    image: Image, structures: StructureSet, prescription: Prescription, options: Making
) -> Volume:
    table = options.densities
    ct = image.volume if table is None else calibrated(image.volume, table)
    require_plannable(ct, structures, prescription)
    return ct


def _cautioned(
    made: Plan,
    image: Image,
    structures: StructureSet,
    prescription: Prescription,
    options: Making,
) -> Plan:
    table = options.densities
    ct = image.volume if table is None else calibrated(image.volume, table)
    sad_mm = machine(options.photons.machine).sad_mm
    said = cautions(ct, structures, prescription, made.beams, sad_mm)
    if table is None:
        said = (*said, unknown_density(image.series.scanner))
    new = (text for text in said if text not in made.notices)
    return replace(made, notices=(*made.notices, *new))
