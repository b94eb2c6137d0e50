"""How a photon plan is made: beamlets, delivery, and what any plan needs."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.options import option
from aegle.planning.plan_options import PlanOptions
from aegle.planning.sequencing import SequencingOptions


@dataclass(frozen=True, kw_only=True)
class PhotonPlanOptions(PlanOptions, SequencingOptions):
    """How a photon plan is made."""

    beamlet_mm: Annotated[
        float, option("Side of a beamlet on the isocentre plane", unit="mm", ge=2, le=20)
    ] = 5.0
    lateral_cutoff_mm: Annotated[
        float,
        option(
            "Distance from a beamlet beyond which its dose is dropped", unit="mm", ge=75, le=180
        ),
    ] = 80.0
    delivery: Annotated[
        Literal["fluence", "step-and-shoot"],
        option(
            "fluence: ideal, of every beamlet by itself; step-and-shoot: by apertures of a "
            "multileaf collimator"
        ),
    ] = "step-and-shoot"
    machine: Annotated[str, option("Beam model")] = "generic_6mv"
