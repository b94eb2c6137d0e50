"""Beams of an RT Ion Plan: energy layers with their scan spots, and how many protons each gets.

Modulated scanning: every energy has two control points with the same spots; at the first each spot
has its weight, at the second none, and between them the meterset rises by their sum. The meterset
counts protons (``NP``), so that what is delivered does not depend on a monitor's calibration.
Spots without protons are left out.

Source: DICOM PS3.3 C.8.8.25 (RT Ion Beams); spot positions lie on the isocentre plane along the
IEC gantry axes, and are kept with 24 significant bits as are weights.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RTIonPlanStorage

from aegle.dicom import attributes
from aegle.dicom.attributes import decimal, decimals, item
from aegle.domain.errors import FileError
from aegle.domain.plan import ProtonBeam
from aegle.record.identity import digest

PROTONS_PER_WEIGHT = 1e6
_SHIFTER = 1
_NEAR_MM = 1e-3
"""Spots whose coordinates differ by less share a row or column."""


def beam_item(number: int, beam: ProtonBeam, machine: str) -> Dataset:
    """Return the item of a beam in the Ion Beam Sequence.

    Args:
        number: Of the beam, from 1.
        beam: With its spots; their weights are written as they are, for all fractions together.
        machine: Name of the treatment machine.
    """
    points = _control_points(beam)
    found = item(
        BeamNumber=number,
        BeamName=f"Beam {number}",
        BeamDescription=f"Gantry {beam.gantry_deg:g} deg, couch {beam.couch_deg:g} deg",
        BeamType="STATIC",
        RadiationType="PROTON",
        ScanMode="MODULATED",
        ModulatedScanModeType="STATIONARY",
        TreatmentMachineName=attributes.printable(machine, attributes.SHORT_STRING),
        PrimaryDosimeterUnit="NP",
        VirtualSourceAxisDistances=[float(beam.sad_mm)] * 2,
        ReferencedPatientSetupNumber=1,
        TreatmentDeliveryType="TREATMENT",
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        SnoutSequence=Sequence([item(SnoutID="NOZZLE")]),
        NumberOfRangeShifters=int(beam.range_shifter_mm > 0),
        NumberOfLateralSpreadingDevices=0,
        NumberOfRangeModulators=0,
        PatientSupportType="TABLE",
        FinalCumulativeMetersetWeight=points[-1].CumulativeMetersetWeight,
        NumberOfControlPoints=len(points),
        IonControlPointSequence=Sequence(points),
    )
    if beam.range_shifter_mm > 0:
        shifter = item(
            RangeShifterNumber=_SHIFTER,
            RangeShifterID=f"RS {beam.range_shifter_mm:g}"[: attributes.SHORT_STRING],
            RangeShifterType="BINARY",
        )
        found.RangeShifterSequence = Sequence([shifter])
    return found


def reference_item(number: int, beam: ProtonBeam, fractions: int) -> Dataset:
    """Return the item of a beam in the fraction group, with its protons of one fraction."""
    protons = float(_single(beam.weights).sum()) * PROTONS_PER_WEIGHT / fractions
    return item(ReferencedBeamNumber=number, BeamMeterset=decimal(protons))


def content(beam: ProtonBeam) -> str:
    """Return what tells a beam from others."""
    numbers = (
        *(beam.gantry_deg, beam.couch_deg, beam.collimator_deg, beam.beamlet_mm),
        *beam.isocentre_mm,
        *(beam.range_shifter_mm, beam.sad_mm, beam.nozzle_to_axis_mm),
    )
    arrays = (beam.positions_mm, beam.weights, beam.energies_mev)
    return str([float(one) for one in numbers]) + digest(*(a.tobytes() for a in arrays))


def read_ion_beams(source: bytes | Path) -> tuple[ProtonBeam, ...]:
    """Read the beams of an RT Ion Plan of scanned protons.

    Spots come in the file's order: energy after energy.

    Raises:
        FileError: It is no RT Ion Plan, or a beam has no scanned protons or no count of them.
    """
    name = source if isinstance(source, Path) else "RT Ion Plan"
    dataset = attributes.load(source, "RT Ion Plan")
    if dataset.get("SOPClassUID") != RTIonPlanStorage:
        raise FileError(name, "is no RT Ion Plan.", "Give a plan of scanned protons.")
    group = dataset.FractionGroupSequence[0]
    fractions = int(group.NumberOfFractionsPlanned)
    metersets = {
        int(one.ReferencedBeamNumber): one.get("BeamMeterset")
        for one in group.ReferencedBeamSequence
    }
    beams = []
    for beam in dataset.IonBeamSequence:
        meterset = metersets.get(int(beam.BeamNumber))
        _require_protons(beam, meterset, name)
        beams.append(_read(beam, float(meterset or 0) * fractions / PROTONS_PER_WEIGHT))
    return tuple(beams)


def _require_protons(beam: Dataset, meterset: object, name: Path | str) -> None:
    """Refuse what is not given as numbers of scanned protons."""
    lacking = {
        "scanned protons": (beam.get("RadiationType"), beam.get("ScanMode"))
        == ("PROTON", "MODULATED"),
        "number of protons": meterset is not None and beam.get("PrimaryDosimeterUnit") == "NP",
        "spots": "ScanSpotPositionMap" in beam.IonControlPointSequence[0],
    }
    for what, is_there in lacking.items():
        if not is_there:
            raise FileError(
                name,
                f"has no {what} for beam {beam.BeamNumber}.",
                "Give a plan of spot scanning whose meterset counts protons (NP).",
            )


def _single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values as they stand in 32 bits."""
    return values.astype(np.float32).astype(np.float64)


def _control_points(beam: ProtonBeam) -> list[Dataset]:
    """Return two control points for each energy, the highest first."""
    weights, places_mm = _single(beam.weights), _on_gantry_axes(beam)
    points: list[Dataset] = []
    given = 0.0
    energies = np.unique(beam.energies_mev[weights > 0])[::-1]
    # A beam without protons still says where it comes from.
    for energy in energies.tolist() or beam.energies_mev[:1].tolist():
        here = beam.energies_mev == energy
        spots = here & (weights > 0) if energies.size else np.arange(len(weights)) == 0
        for counts in (weights[spots], np.zeros(int(spots.sum()))):
            point = _first(beam) if not points else Dataset()
            point.ControlPointIndex = len(points)
            point.CumulativeMetersetWeight = decimal(given)
            point.NominalBeamEnergy = decimal(energy)
            point.ScanSpotTuneID = "1.0"
            point.NumberOfScanSpotPositions = len(counts)
            point.ScanSpotPositionMap = _listed(places_mm[spots].ravel())
            point.ScanSpotMetersetWeights = _listed(counts)
            point.NumberOfPaintings = 1
            points.append(point)
            given += float(counts.sum())
    return points


def _on_gantry_axes(beam: ProtonBeam) -> NDArray[np.float64]:
    """Return the spots' places along the IEC gantry axes [mm]."""
    if beam.collimator_deg == 0:
        return beam.positions_mm
    turn = np.deg2rad(beam.collimator_deg)
    along = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.asarray(beam.positions_mm @ along)


def _listed(values: NDArray[np.float64]) -> list[float]:
    found: list[float] = _single(values).tolist()
    return found


def _first(beam: ProtonBeam) -> Dataset:
    """Return what holds from the first control point on."""
    found = item(
        GantryAngle=decimal(beam.gantry_deg % 360),
        GantryRotationDirection="NONE",
        BeamLimitingDeviceAngle="0",
        BeamLimitingDeviceRotationDirection="NONE",
        PatientSupportAngle=decimal(beam.couch_deg % 360),
        PatientSupportRotationDirection="NONE",
        TableTopVerticalPosition="",
        TableTopLongitudinalPosition="",
        TableTopLateralPosition="",
        TableTopPitchAngle=0.0,
        TableTopPitchRotationDirection="NONE",
        TableTopRollAngle=0.0,
        TableTopRollRotationDirection="NONE",
        IsocenterPosition=decimals(beam.isocentre_mm),
        SnoutPosition=float(beam.nozzle_to_axis_mm),
    )
    if beam.range_shifter_mm > 0:
        setting = item(
            ReferencedRangeShifterNumber=_SHIFTER,
            RangeShifterSetting="IN",
            RangeShifterWaterEquivalentThickness=float(beam.range_shifter_mm),
        )
        found.RangeShifterSettingsSequence = Sequence([setting])
    return found


def _read(beam: Dataset, total: float) -> ProtonBeam:
    """Return a beam; ``total`` is the sum of its weights [10⁶ protons in all fractions]."""
    points = beam.IonControlPointSequence
    first = points[0]
    positions, weights, energies = [], [], []
    energy = 0.0
    for point in points:
        energy = float(point.get("NominalBeamEnergy", energy))
        counts = np.atleast_1d(np.asarray(point.ScanSpotMetersetWeights, np.float64))
        if not counts.any():
            continue
        positions.append(np.reshape(np.asarray(point.ScanSpotPositionMap, np.float64), (-1, 2)))
        weights.append(counts)
        energies.append(np.full(counts.size, energy))
    places_mm = np.concatenate(positions or [np.zeros((0, 2))])
    found = np.concatenate(weights or [np.zeros(0)])
    per_weight = total / found.sum() if found.size else 1.0
    x, y, z = (float(value) for value in first.IsocenterPosition)
    shifters = first.get("RangeShifterSettingsSequence", [])
    return ProtonBeam(
        gantry_deg=float(first.GantryAngle),
        couch_deg=float(first.PatientSupportAngle),
        isocentre_mm=(x, y, z),
        beamlet_mm=_spacing_mm(places_mm),
        positions_mm=places_mm,
        weights=found * per_weight,
        energies_mev=np.concatenate(energies or [np.zeros(0)]),
        range_shifter_mm=_thickness_mm(shifters),
        sad_mm=float(beam.VirtualSourceAxisDistances[0]),
        nozzle_to_axis_mm=float(first.get("SnoutPosition", 0.0)),
    )


def _spacing_mm(places_mm: NDArray[np.float64]) -> float:
    """Return the least distance of two rows or columns of spots; 0 where there is but one spot."""
    apart = np.concatenate([np.diff(np.unique(axis)) for axis in places_mm.T])
    apart = apart[apart > _NEAR_MM]
    return float(apart.min()) if apart.size else 0.0


def _thickness_mm(settings: Iterable[Dataset]) -> float:
    """Return the water that the range shifters in the beam stand for [mm]."""
    return sum(
        float(one.get("RangeShifterWaterEquivalentThickness", 0.0))
        for one in settings
        if one.get("RangeShifterSetting") != "OUT"
    )
