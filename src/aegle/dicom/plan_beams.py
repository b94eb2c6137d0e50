"""Beams of an RT Plan: angles, field, and leaf positions with monitor units where there are any.

Step-and-shoot: every aperture has two control points, between which the leaves stand still and
the meterset rises. Without apertures the jaws enclose the fluence and no meterset is given.

Source: DICOM PS3.3 C.8.8.14; leaf positions are listed from the bank at lower coordinates on.
"""

from collections.abc import Iterable
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RTPlanStorage

from aegle.dicom import attributes
from aegle.dicom.attributes import decimal, decimals, item
from aegle.domain.errors import FileError
from aegle.domain.plan import Aperture, Beam
from aegle.record.identity import digest

_JAWS = ("ASYMX", "ASYMY")
_LEAVES = "MLCX"
_ROUNDING = 1e-9
"""Relative change of the meterset below which the beam is off."""


def beam_item(number: int, beam: Beam, machine: str, fractions: int) -> Dataset:
    """Return the item of a beam in the Beam Sequence.

    Args:
        number: Of the beam, from 1.
        beam: Its monitor units are for all fractions together.
        machine: Name of the treatment machine.
        fractions: Planned.
    """
    points = _control_points(beam, fractions)
    return item(
        BeamNumber=number,
        BeamName=f"Beam {number}",
        BeamDescription=f"Gantry {beam.gantry_deg:g} deg, couch {beam.couch_deg:g} deg",
        BeamType="STATIC",
        RadiationType="PHOTON",
        TreatmentMachineName=attributes.printable(machine, attributes.SHORT_STRING),
        PrimaryDosimeterUnit="MU",
        TreatmentDeliveryType="TREATMENT",
        BeamLimitingDeviceSequence=Sequence(_devices(beam)),
        ReferencedPatientSetupNumber=1,
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        FinalCumulativeMetersetWeight=points[-1].CumulativeMetersetWeight,
        NumberOfControlPoints=len(points),
        ControlPointSequence=Sequence(points),
    )


def reference_item(number: int, beam: Beam, fractions: int) -> Dataset:
    """Return the item of a beam in the fraction group, with its meterset of one fraction [MU]."""
    found = item(ReferencedBeamNumber=number)
    if beam.apertures:
        found.BeamMeterset = decimal(_metersets(beam, fractions)[-1])
    return found


def content(beam: Beam) -> str:
    """Return what tells a beam from others."""
    angles = (
        beam.gantry_deg,
        beam.couch_deg,
        beam.collimator_deg,
        beam.beamlet_mm,
        *beam.isocentre_mm,
    )
    arrays = [beam.positions_mm, beam.weights]
    for one in beam.apertures:
        arrays += [np.array([one.monitor_units]), one.left_mm, one.right_mm, one.borders_mm]
    return str([float(a) for a in angles]) + digest(*(a.tobytes() for a in arrays))


def read_beams(source: bytes | Path) -> tuple[Beam, ...]:
    """Read the beams of an RT Plan whose apertures a multileaf collimator forms.

    Beamlets are as wide as the leaves and fill the jaws' opening.

    Raises:
        FileError: It is no RT Plan, or a beam has no leaves along x, or no meterset.
    """
    name = source if isinstance(source, Path) else "RT Plan"
    dataset = attributes.load(source, "RT Plan")
    if dataset.get("SOPClassUID") != RTPlanStorage:
        raise FileError(name, "is no RT Plan.", "Give an object of modality RTPLAN.")
    group = dataset.FractionGroupSequence[0]
    fractions = int(group.NumberOfFractionsPlanned)
    metersets = {
        int(one.ReferencedBeamNumber): one.get("BeamMeterset")
        for one in group.ReferencedBeamSequence
    }
    beams = []
    for beam in dataset.BeamSequence:
        meterset, leaves = metersets.get(int(beam.BeamNumber)), _leaves(beam)
        if leaves is None or meterset is None:
            lacking = "leaves along x" if leaves is None else "meterset"
            raise FileError(
                name,
                f"has no {lacking} for beam {beam.BeamNumber}.",
                "Give a plan of a multileaf collimator with monitor units.",
            )
        beams.append(_read(beam, leaves, float(meterset) * fractions))
    return tuple(beams)


def _devices(beam: Beam) -> Iterable[Dataset]:
    for jaw in _JAWS:
        yield item(RTBeamLimitingDeviceType=jaw, NumberOfLeafJawPairs=1)
    if beam.apertures:
        borders_mm = beam.apertures[0].borders_mm
        yield item(
            RTBeamLimitingDeviceType=_LEAVES,
            NumberOfLeafJawPairs=len(borders_mm) - 1,
            LeafPositionBoundaries=decimals(borders_mm),
        )


def _metersets(beam: Beam, fractions: int) -> list[float]:
    """Return the monitor units given in a fraction before and after each aperture."""
    units = (one.monitor_units / fractions for one in beam.apertures)
    return list(accumulate(units, initial=0.0))


def _control_points(beam: Beam, fractions: int) -> list[Dataset]:
    if not beam.apertures:
        return [
            _first(beam, _jaw_positions(beam)),
            item(ControlPointIndex=1, CumulativeMetersetWeight="1"),
        ]
    points: list[Dataset] = []
    for one, (before, after) in zip(
        beam.apertures, pairwise(_metersets(beam, fractions)), strict=True
    ):
        leaves = _positions(_LEAVES, np.concatenate([one.left_mm, one.right_mm]))
        if points:
            start = item(
                ControlPointIndex=len(points),
                BeamLimitingDevicePositionSequence=Sequence([leaves]),
            )
        else:
            start = _first(beam, [*_jaw_positions(beam), leaves])
        start.CumulativeMetersetWeight = decimal(before)
        stop = item(ControlPointIndex=len(points) + 1, CumulativeMetersetWeight=decimal(after))
        points += [start, stop]
    return points


def _first(beam: Beam, devices: Iterable[Dataset]) -> Dataset:
    return item(
        ControlPointIndex=0,
        CumulativeMetersetWeight="0",
        GantryAngle=decimal(beam.gantry_deg % 360),
        GantryRotationDirection="NONE",
        BeamLimitingDeviceAngle=decimal(beam.collimator_deg % 360),
        BeamLimitingDeviceRotationDirection="NONE",
        PatientSupportAngle=decimal(beam.couch_deg % 360),
        PatientSupportRotationDirection="NONE",
        TableTopEccentricAngle="0",
        TableTopEccentricRotationDirection="NONE",
        TableTopVerticalPosition="",
        TableTopLongitudinalPosition="",
        TableTopLateralPosition="",
        IsocenterPosition=decimals(beam.isocentre_mm),
        BeamLimitingDevicePositionSequence=Sequence(devices),
    )


def _jaw_positions(beam: Beam) -> list[Dataset]:
    half_mm = beam.beamlet_mm / 2
    low_mm, high_mm = beam.positions_mm.min(axis=0), beam.positions_mm.max(axis=0)
    return [
        _positions(jaw, np.array([low_mm[axis] - half_mm, high_mm[axis] + half_mm]))
        for axis, jaw in enumerate(_JAWS)
    ]


def _positions(device: str, positions_mm: NDArray[np.float64]) -> Dataset:
    return item(RTBeamLimitingDeviceType=device, LeafJawPositions=decimals(positions_mm))


def _leaves(beam: Dataset) -> NDArray[np.float64] | None:
    """Return beam y of the leaves' sides [mm]; None without leaves along x."""
    for device in beam.BeamLimitingDeviceSequence:
        if device.RTBeamLimitingDeviceType == _LEAVES:
            return np.array([float(value) for value in device.LeafPositionBoundaries])
    return None


def _read(beam: Dataset, borders_mm: NDArray[np.float64], total_mu: float) -> Beam:
    first = beam.ControlPointSequence[0]
    per_weight = total_mu / float(beam.FinalCumulativeMetersetWeight)
    width_mm = float(np.diff(borders_mm).min())
    jaws = {
        one.RTBeamLimitingDeviceType: [float(value) for value in one.LeafJawPositions]
        for one in first.BeamLimitingDevicePositionSequence
    }
    axes = [np.arange(jaws[jaw][0] + width_mm / 2, jaws[jaw][1], width_mm) for jaw in _JAWS]
    positions_mm = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    x, y, z = (float(value) for value in first.IsocenterPosition)
    return Beam(
        gantry_deg=float(first.GantryAngle),
        couch_deg=float(first.PatientSupportAngle),
        collimator_deg=float(first.BeamLimitingDeviceAngle),
        isocentre_mm=(x, y, z),
        beamlet_mm=width_mm,
        positions_mm=positions_mm,
        weights=np.zeros(len(positions_mm)),
        apertures=tuple(_apertures(beam, borders_mm, per_weight)),
    )


def _apertures(
    beam: Dataset, borders_mm: NDArray[np.float64], per_weight: float
) -> Iterable[Aperture]:
    """Yield an aperture wherever the meterset rises between control points."""
    tips_mm = np.zeros(2 * (len(borders_mm) - 1))
    for point, following in pairwise(beam.ControlPointSequence):
        for one in point.get("BeamLimitingDevicePositionSequence", []):
            if one.RTBeamLimitingDeviceType == _LEAVES:
                tips_mm = np.array([float(value) for value in one.LeafJawPositions])
        rise = float(following.CumulativeMetersetWeight) - float(point.CumulativeMetersetWeight)
        if rise > _ROUNDING * float(beam.FinalCumulativeMetersetWeight):
            left_mm, right_mm = np.split(tips_mm, 2)
            yield Aperture(
                monitor_units=rise * per_weight,
                left_mm=left_mm,
                right_mm=right_mm,
                borders_mm=borders_mm,
            )
