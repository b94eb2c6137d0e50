"""A plan on a CT: made with its scanner's densities and the radiation chosen; limits named."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from aegle.domain.alternatives import Comparison
from aegle.domain.errors import FileError
from aegle.domain.plan import Plan, Prescription, ProtonBeam
from aegle.domain.plan_check import PlanCheck
from aegle.domain.structure import StructureSet
from aegle.domain.study import Image
from aegle.domain.volume import Volume
from aegle.planning import photon_plan, proton_plan
from aegle.planning.alternatives import AlternativeOptions, compare, usual_choices
from aegle.planning.breathing import BreathingCt, BreathingPhase
from aegle.planning.checks import unknown_density
from aegle.planning.density_table import DensityTable, calibrated
from aegle.planning.experienced import ExperienceOptions
from aegle.planning.photon_plan import PhotonPlanOptions
from aegle.planning.plan_check import check
from aegle.planning.proton_plan import ProtonPlanOptions
from aegle.record.identity import digest
from aegle.workflow.options import TargetChoice
from aegle.workflow.stage import Progress


class Making(Protocol):
    """How a plan is made."""

    @property
    def choice(self) -> TargetChoice:
        """With which radiation."""
        ...

    @property
    def photons(self) -> PhotonPlanOptions:
        """Beams, grid and optimiser."""
        ...

    @property
    def protons(self) -> ProtonPlanOptions:
        """Beams, spots, grid and optimiser."""
        ...

    @property
    def densities(self) -> DensityTable | None:
        """Table of the CT's scanner; None: a generic one."""
        ...


class Comparing(Making, Protocol):
    """How alternatives are made."""

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
    phases: tuple[BreathingPhase, ...] = (),
) -> Plan:
    """Plan on a CT with the radiation that was chosen.

    Args:
        image: The planning CT.
        structures: Targets, organs and the outline of the body, on its grid.
        prescription: What is wanted.
        options: How the plan is made.
        progress: Called with steps done and steps in all.
        phases: Of breathing, beside the CT, which is the reference.

    Raises:
        InputError: No plan can be made of it; the message says why.
    """
    asked = (_breathing(image, phases, options), structures, prescription)
    if options.choice.radiation == "protons":
        made = proton_plan.plan(*asked, options=options.protons, progress=progress)
    else:
        made = photon_plan.plan(*asked, options=options.photons, progress=progress)
    return _cautioned(made, image, options)


def compare_on(
    image: Image,
    structures: StructureSet,
    prescription: Prescription,
    *,
    options: Comparing,
    progress: Progress,
) -> tuple[Plan, Comparison]:
    """Plan alternatives on a CT; return the preferred one, and all of them.

    Raises:
        InputError: No plan can be made of it; the message says why.
    """
    choices = usual_choices(
        prescription,
        photons=options.photons,
        protons=options.protons,
        fractions=options.alternatives.fractions,
    )
    ct = _calibrated(image.volume, options)
    found = compare(ct, structures, choices, options.alternatives.facts, progress=progress)
    return _cautioned(found.alternatives[0].plan, image, options), found


def library_digest(options: ExperienceOptions) -> str:
    """Return the SHA-256 of the library of earlier patients; empty without one.

    Raises:
        FileError: It cannot be read.
    """
    if not options.library:
        return ""
    try:
        return digest(Path(options.library).read_bytes())
    except OSError as error:
        raise FileError(
            Path(options.library),
            f"cannot be read ({error.strerror or error}).",
            "Give the library with --set experience.library=FILE.",
        ) from error


def checked(plan: Plan, options: Making) -> PlanCheck:
    """Return what a plan rests on, with the options of its radiation."""
    is_of_protons = isinstance(plan.beams[0], ProtonBeam)
    return check(plan, options=options.protons if is_of_protons else options.photons)


def _breathing(
    image: Image, phases: tuple[BreathingPhase, ...], options: Making
) -> Volume | BreathingCt:
    ct = _calibrated(image.volume, options)
    if not phases:
        return ct
    return BreathingCt(
        reference=ct,
        phases=tuple(replace(one, ct=_calibrated(one.ct, options)) for one in phases),
    )


def _calibrated(ct: Volume, options: Making) -> Volume:
    table = options.densities
    return ct if table is None else calibrated(ct, table)


def _cautioned(made: Plan, image: Image, options: Making) -> Plan:
    if options.densities is not None:
        return made
    said = unknown_density(image.series.scanner)
    return replace(made, notices=(*made.notices, said))
