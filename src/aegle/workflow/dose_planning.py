"""A plan on a CT: checked before, made with its scanner's densities, and its limits named."""

from dataclasses import replace
from typing import Protocol

from aegle.domain.plan import Plan, Prescription
from aegle.domain.structure import StructureSet
from aegle.domain.study import Image
from aegle.planning.checks import cautions, require_plannable, unknown_density
from aegle.planning.density_table import DensityTable, calibrated
from aegle.planning.machine import machine
from aegle.planning.photon_plan import PhotonPlanOptions, plan
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
    table = options.densities
    ct = image.volume if table is None else calibrated(image.volume, table)
    require_plannable(ct, structures, prescription)
    made = plan(ct, structures, prescription, options=options.photons, progress=progress)
    sad_mm = machine(options.photons.machine).sad_mm
    said = cautions(ct, structures, prescription, made.beams, sad_mm)
    if table is None:
        said = (*said, unknown_density(image.series.scanner))
    new = (text for text in said if text not in made.notices)
    return replace(made, notices=(*made.notices, *new))
