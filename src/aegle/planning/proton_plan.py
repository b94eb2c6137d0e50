"""A proton plan: from CT, structures and a prescription to spots, dose and judged goals.

Intensity-modulated pencil-beam scanning: the weight of every spot of every beam is free. Dose is
weighted by the relative biological effectiveness (RBE).
"""

from dataclasses import dataclass

from aegle.domain.plan import Beam, Plan, Prescription, ProtonBeam
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.planning.breathing import BreathingCt
from aegle.planning.expected_harm import PatientFacts
from aegle.planning.external_beam import Progress, planned
from aegle.planning.influence import StoredDose
from aegle.planning.pencil_beam import DoseOptions, Medium, medium
from aegle.planning.proton import proton_dose
from aegle.planning.proton_machine import ProtonMachine, proton_machine
from aegle.planning.proton_options import ProtonPlanOptions
from aegle.planning.radiation import Radiation
from aegle.planning.sequencing import Collimator
from aegle.planning.spots import place_spots

__all__ = ["ProtonPlanOptions", "plan", "protons"]


def plan(
    ct: Volume | BreathingCt,
    structures: StructureSet,
    prescription: Prescription,
    *,
    options: ProtonPlanOptions,
    patient: PatientFacts | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Plan scanned protons.

    Args:
        ct: Planning CT [HU], or phases of breathing.
        structures: Must hold the prescription's target and the outline of the body (type
            ``EXTERNAL``); goals for organs that are missing are left out and said so.
        prescription: What is wanted; its doses are RBE-weighted.
        options: Beams, spots, grid and optimiser.
        patient: Facts with which complications are made unlikely by published models; without,
            only goals count.
        progress: Called with steps done and steps in all.

    Returns:
        Weights in 10⁶ protons, RBE-weighted dose on the CT grid and every goal judged on it.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        InputError: Body or target are missing or empty, the target lies outside the body, deeper
            than the machine reaches, or shallower than it can stop without a range shifter.
        GeometryError: CT and structures lie on different grids.
    """
    return planned(
        ct,
        structures,
        prescription,
        radiation=protons(options),
        patient=patient,
        progress=progress,
    )


def protons(options: ProtonPlanOptions) -> Radiation:
    """Return the radiation of a machine as a plan asks for it.

    Raises:
        OptionError: There is no such machine.
    """
    return _Protons(proton_machine(options.machine), options)


_NOTICE = Text(
    "The dose is weighted by a constant RBE of {rbe:g}; densities relative to water stand for "
    "stopping powers, and scatter is that of water. For research only."
)


@dataclass(frozen=True)
class _Protons:
    """Protons, scanned spot by spot."""

    model: ProtonMachine
    options: ProtonPlanOptions

    @property
    def machine(self) -> str:
        return self.model.name

    @property
    def sad_mm(self) -> float:
        return self.model.sad_mm

    @property
    def rbe(self) -> float:
        return self.options.rbe

    @property
    def notice(self) -> Text:
        return Text(_NOTICE.template, {"rbe": self.options.rbe})

    @property
    def collimator(self) -> Collimator | None:
        return None

    def patient(self, ct: Volume, body: Structure) -> Medium:
        options = self.options
        grid = DoseOptions(dose_grid_mm=options.dose_grid_mm, device=options.device)
        return medium(ct, body, options=grid)

    def opened(self, patient: Medium, target: Structure, angles_deg: tuple[float, float]) -> Beam:
        return place_spots(patient, target, angles_deg, self.model, options=self.options)

    def dose(self, patient: Medium, beam: Beam) -> StoredDose:
        assert isinstance(beam, ProtonBeam)
        return proton_dose(patient, beam, self.model, options=self.options)
