"""A photon plan: from CT, structures and a prescription to fluence, dose and judged goals.

Intensity-modulated static fields. Every beamlet's fluence is free; where delivery is asked for, it
is cut into apertures of a multileaf collimator, and the dose is that of the apertures.
"""

from dataclasses import dataclass

from aegle.domain.plan import Beam, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.planning.beams import BeamletOptions, aim
from aegle.planning.breathing import BreathingCt
from aegle.planning.expected_harm import PatientFacts
from aegle.planning.external_beam import Progress, planned
from aegle.planning.machine import PhotonMachine, machine
from aegle.planning.pencil_beam import BeamDose, DoseOptions, Medium, beam_dose, medium
from aegle.planning.photon_options import PhotonPlanOptions
from aegle.planning.prescription import PrescriptionOptions, prescribe
from aegle.planning.radiation import Radiation
from aegle.planning.sequencing import Collimator

__all__ = ["PhotonPlanOptions", "PrescriptionOptions", "photons", "plan", "prescribe"]


def plan(
    ct: Volume | BreathingCt,
    structures: StructureSet,
    prescription: Prescription,
    *,
    options: PhotonPlanOptions,
    patient: PatientFacts | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Plan external-beam photons.

    Args:
        ct: Planning CT [HU], or phases of breathing.
        structures: Must hold the prescription's target and the outline of the body (type
            ``EXTERNAL``); goals for organs that are missing are left out and said so.
        prescription: What is wanted.
        options: Beams, grid and optimiser.
        patient: Facts with which complications are made unlikely by published models; without,
            only goals count.
        progress: Called with steps done and steps in all.

    Returns:
        Fluence in MU, absorbed dose on the CT grid and every goal judged on it.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        InputError: Body or target are missing or empty, or the target lies outside the body.
        GeometryError: CT and structures lie on different grids.
    """
    return planned(
        ct,
        structures,
        prescription,
        radiation=photons(options),
        patient=patient,
        progress=progress,
    )


def photons(options: PhotonPlanOptions) -> Radiation:
    """Return the radiation of a machine as a plan asks for it.

    Raises:
        OptionError: There is no such machine.
    """
    return _Photons(machine(options.machine), options)


_IDEAL = Text(
    "The dose is that of ideal fluence; leaf sequencing is not part of this plan. "
    "For research only."
)
_APERTURES = Text(
    "The dose is that of the apertures; leaf transmission, tongue and groove and the leaves' tips "
    "are not modelled. For research only."
)


@dataclass(frozen=True)
class _Photons:
    """Photons of a linear accelerator, through a multileaf collimator or as ideal fluence."""

    model: PhotonMachine
    options: PhotonPlanOptions

    @property
    def machine(self) -> str:
        return self.model.name

    @property
    def sad_mm(self) -> float:
        return self.model.sad_mm

    @property
    def rbe(self) -> float:
        return 1.0

    @property
    def notice(self) -> Text:
        return _APERTURES if self._is_shaped else _IDEAL

    @property
    def collimator(self) -> Collimator | None:
        return Collimator(self.options) if self._is_shaped else None

    def patient(self, ct: Volume, body: Structure) -> Medium:
        return medium(ct, body, options=self._dose_options)

    def opened(self, _patient: Medium, target: Structure, angles_deg: tuple[float, float]) -> Beam:
        beamlets = BeamletOptions(beamlet_mm=self.options.beamlet_mm)
        return aim(target, *angles_deg, self.sad_mm, options=beamlets)

    def dose(self, patient: Medium, beam: Beam) -> BeamDose:
        return beam_dose(patient, beam, self.model, options=self._dose_options)

    @property
    def _is_shaped(self) -> bool:
        return self.options.delivery == "step-and-shoot"

    @property
    def _dose_options(self) -> DoseOptions:
        return DoseOptions(
            dose_grid_mm=self.options.dose_grid_mm,
            lateral_cutoff_mm=self.options.lateral_cutoff_mm,
            device=self.options.device,
        )
