"""How a proton plan is made: spots, pencil beams, and what any plan needs."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.options import option
from aegle.planning.plan_options import PlanOptions
from aegle.planning.proton import ProtonOptions
from aegle.planning.spots import SpotOptions


@dataclass(frozen=True, kw_only=True)
class ProtonPlanOptions(PlanOptions, ProtonOptions, SpotOptions):
    """How a plan of scanned protons is made."""

    beams: Annotated[int, option("Number of beams where angles are chosen", ge=1, le=36)] = 3
    machine: Annotated[str, option("Beam model")] = "generic_protons"
