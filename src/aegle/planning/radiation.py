"""What a plan needs to know of the radiation that it is made with."""

from typing import Protocol

from aegle.domain.plan import Beam
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.planning.influence import DoseMap
from aegle.planning.pencil_beam import Medium
from aegle.planning.plan_options import PlanOptions
from aegle.planning.sequencing import Collimator


class Radiation(Protocol):
    """A machine with the way in which its dose is calculated and delivered."""

    @property
    def options(self) -> PlanOptions:
        """Beams, grid and optimiser."""
        ...

    @property
    def machine(self) -> str:
        """Name of the beam model."""
        ...

    @property
    def sad_mm(self) -> float:
        """Distance from the source to the axis [mm]."""
        ...

    @property
    def rbe(self) -> float:
        """Constant relative biological effectiveness that the dose is weighted by."""
        ...

    @property
    def notice(self) -> Text:
        """What a reader must know of the dose."""
        ...

    @property
    def collimator(self) -> Collimator | None:
        """What forms the fluence; None: nothing does."""
        ...

    def patient(self, ct: Volume, body: Structure) -> Medium:
        """Return the patient as the beams see it."""
        ...

    def opened(
        self, patient: Medium, target: Structure, angles_deg: tuple[float, float], /
    ) -> Beam:
        """Return a beam that fills a target, from gantry and couch angles, IEC 61217."""
        ...

    def dose(self, patient: Medium, beam: Beam) -> DoseMap:
        """Return the map from a beam's weights to dose."""
        ...
