"""What the beams of a plan give to the patient as another CT shows them."""

from dataclasses import replace

import numpy as np
import torch

from aegle.domain.errors import InputError
from aegle.domain.plan import Beam, Plan
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure
from aegle.domain.volume import Volume
from aegle.planning.influence import total
from aegle.planning.pencil_beam import on_ct, threads
from aegle.planning.radiation import Radiation


def dose_given(
    plan: Plan,
    ct: Volume,
    body: Structure,
    *,
    radiation: Radiation,
    setup: Registration | None = None,
) -> Volume:
    """Return the dose that a plan's beams give to a patient as another CT shows them.

    Angles and monitor units stay as planned; only the isocentre follows the patient.

    Args:
        plan: Its beams, with the monitor units of all fractions.
        ct: CT of the day [HU].
        body: Outline of the patient on that CT.
        radiation: With which the plan was made.
        setup: How the patient is placed on the couch: the isocentre lies where this alignment of
            the CT of the day (moving) to the planning CT (fixed) takes it. None: at equal
            coordinates.

    Returns:
        Absorbed dose of all fractions on the grid of ``ct`` [Gy].

    Raises:
        QuantityError: ``ct`` does not hold HU.
        InputError: The plan was made for another machine, or the alignment failed.
        GeometryError: A beam misses the body, or body and CT lie on different grids.
    """
    if plan.machine != radiation.machine:
        raise InputError(
            f"The plan was made for '{plan.machine}', not for '{radiation.machine}'; give the "
            "options that it was made with."
        )
    if setup is not None and setup.verdict is Verdict.FAILED:
        raise InputError(
            f"The patient cannot be placed: the alignment failed ({setup.reason}). Align the CTs "
            "by hand, or leave the set-up out to keep equal coordinates."
        )
    with threads(radiation.options.threads), torch.no_grad():
        medium = radiation.patient(ct, body)
        like = medium.density.values
        beams = [_placed(beam, setup) for beam in plan.beams]
        maps = [radiation.dose(medium, beam) for beam in beams]
        weights = [torch.from_numpy(beam.weights.copy()).to(like) for beam in beams]
        return on_ct(medium, total(maps, weights, len(medium.voxels)))


def _placed(beam: Beam, setup: Registration | None) -> Beam:
    if setup is None:
        return beam
    x, y, z = setup.to_moving(np.asarray(beam.isocentre_mm))
    return replace(beam, isocentre_mm=(float(x), float(y), float(z)))
