"""A treatment plan as RT Plan, or RT Ion Plan of protons, and its dose as RT Dose.

The plan names beams, angles, isocentre, fractions and prescription. Beams that were cut into
apertures have leaf positions and monitor units; others the rectangle that holds their fluence,
which cannot be delivered, as label and description say. Protons have energies, spots and their
counts. Dose that is weighted by a relative biological effectiveness is an effective dose.

Sources: DICOM PS3.3 A.20, C.8.8.9 to C.8.8.14 (plan); A.49, C.8.8.25 (ion plan); A.18, C.8.8.3,
C.8.8.4 (dose, dose-volume histogram); angles after IEC 61217.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ImplicitVRLittleEndian,
    RTDoseStorage,
    RTIonPlanStorage,
    RTPlanStorage,
    RTStructureSetStorage,
)

from aegle.dicom import attributes, ion_beams, plan_beams, structure_set
from aegle.dicom.attributes import decimal, fill, instance, item
from aegle.dicom.dose_frames import along_normal, attributes_of, volume_of
from aegle.domain.errors import FileError, InputError
from aegle.domain.plan import Beam, DoseVolumeCurve, Plan, ProtonBeam
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.record.identity import digest

_FLUENCE = (
    "FLUENCE ONLY",
    "Optimised fluence for research: beams, angles and prescription. No leaf positions and no "
    "monitor units per beam, so it cannot be delivered. The jaws enclose the fluence.",
)
_SPOTS = (
    "RESEARCH ONLY",
    "Scanned protons for research, counted as particles. Not for treatment: the limits of a real "
    "machine are not modelled.",
)
_APERTURES = (
    "RESEARCH ONLY",
    "Step-and-shoot apertures for research. Not for treatment: leaf transmission and the limits "
    "of a real machine are not modelled.",
)


def plan_uid(plan: Plan, image: Image, patient: Patient, *, now: datetime) -> str:
    """Return the SOP Instance UID of the plan that :func:`write_plan` writes."""
    return attributes.object_uid(
        "RTPLAN",
        image.series,
        patient,
        now,
        repr(plan.prescription),
        plan.machine,
        *(_content(beam) for beam in plan.beams),
        digest(np.ascontiguousarray(plan.dose.values).tobytes()),
        attributes.grid_content(plan.dose.grid),
        str([(c.structure, c.mean_gy, c.volume_ml) for c in plan.curves]),
        structure_set.instance_uid(plan.structures, image, patient, now=now),
    )


def write_plan(plan: Plan, image: Image, patient: Patient, path: Path, *, now: datetime) -> Path:
    """Write beams and prescription as an RT Plan, those of protons as an RT Ion Plan.

    It refers to the structure set that :func:`structure_set.write` writes for
    ``plan.structures`` with the same image, patient and time.

    Args:
        plan: What to write.
        image: The planning image.
        patient: Who is treated.
        path: The file to write.
        now: Time of creation.

    Raises:
        InputError: Some beams are of photons, others of protons.
    """
    kind, (label, description) = _class_of(plan), _told(plan)
    identity = attributes.derived_identity(
        kind,
        plan_uid(plan, image, patient, now=now),
        modality="RTPLAN",
        series_number=903,
        description=_series(plan),
    )
    dataset = attributes.begin(identity, image.series, patient, now=now)
    structures_uid = structure_set.instance_uid(plan.structures, image, patient, now=now)
    fill(
        dataset,
        {
            "OperatorsName": "",
            "FrameOfReferenceUID": image.series.frame_of_reference_uid,
            "PositionReferenceIndicator": "",
            "RTPlanLabel": label,
            "RTPlanDescription": description,
            "RTPlanDate": attributes.day(now),
            "RTPlanTime": attributes.clock(now),
            "RTPlanGeometry": "PATIENT",
            "PlanIntent": "RESEARCH",
            "ApprovalStatus": "UNAPPROVED",
            "ReferencedStructureSetSequence": Sequence(
                [instance(RTStructureSetStorage, structures_uid)]
            ),
            "DoseReferenceSequence": Sequence([_dose_reference(plan)]),
            "FractionGroupSequence": Sequence([_fractions(plan)]),
            "PatientSetupSequence": Sequence([item(PatientSetupNumber=1, PatientPosition="HFS")]),
            "BeamSequence" if kind == RTPlanStorage else "IonBeamSequence": Sequence(
                _beam_item(number, beam, plan) for number, beam in enumerate(plan.beams, 1)
            ),
        },
    )
    return attributes.save(dataset, path, syntax=ImplicitVRLittleEndian)


def write_dose(plan: Plan, image: Image, patient: Patient, path: Path, *, now: datetime) -> Path:
    """Write the dose of a plan and its dose-volume histograms as an RT Dose.

    Args:
        plan: Its dose over all fractions [Gy] is written on its own grid, in 16 bits:
            to within 1/130,000 of its maximum.
        image: The planning image.
        patient: Who is treated.
        path: The file to write.
        now: Time of creation.

    Raises:
        QuantityError: The plan's dose is not an absorbed dose.
    """
    plan.dose.require(Quantity.ABSORBED_DOSE)
    uid = plan_uid(plan, image, patient, now=now)
    identity = attributes.derived_identity(
        RTDoseStorage,
        attributes.object_uid("RTDOSE", image.series, patient, now, uid),
        modality="RTDOSE",
        series_number=904,
        description="Dose",
    )
    dataset = attributes.begin(identity, image.series, patient, now=now)
    structures_uid = structure_set.instance_uid(plan.structures, image, patient, now=now)
    grid, values = along_normal(plan.dose)
    fill(
        dataset,
        {
            "OperatorsName": "",
            "FrameOfReferenceUID": image.series.frame_of_reference_uid,
            "PositionReferenceIndicator": "",
            "ReferencedRTPlanSequence": Sequence([instance(_class_of(plan), uid)]),
        },
    )
    fill(dataset, attributes_of(grid, values))
    dataset.DoseType = _dose_type(plan)
    if plan.rbe != 1:
        dataset.DoseComment = f"Weighted by a constant RBE of {plan.rbe:g}: Gy (RBE)"
    histograms = _histograms(plan)
    if histograms:
        dataset.ReferencedStructureSetSequence = Sequence(
            [instance(RTStructureSetStorage, structures_uid)]
        )
        dataset.DVHSequence = Sequence(histograms)
    return attributes.save(dataset, path, syntax=ImplicitVRLittleEndian)


def read_dose(content: bytes | Path) -> Volume:
    """Return the dose of an RT Dose [Gy] on its own grid, slices in order along their normal.

    Args:
        content: The bytes of the file, or its path.

    Raises:
        FileError: It is not a readable RT Dose, or not in gray.
        GeometryError: Its slices are not evenly spaced.
    """
    dataset = attributes.load(content, "The dose")
    name = content if isinstance(content, Path) else "The dose"
    if dataset.get("SOPClassUID") != RTDoseStorage or dataset.get("DoseUnits") != "GY":
        raise FileError(
            name,
            "is not an RT Dose in gray.",
            "Give an object of modality RTDOSE with dose units GY.",
        )
    return volume_of(dataset, name)


def _histograms(plan: Plan) -> list[Dataset]:
    numbers = {s.name: n for n, s in enumerate(plan.structures, start=1)}
    return [
        _histogram(curve, numbers[curve.structure], _dose_type(plan))
        for curve in plan.curves
        if curve.structure in numbers and len(curve.dose_gy) > 1 and curve.volume_ml > 0
    ]


def _histogram(curve: DoseVolumeCurve, region: int, dose_type: str) -> Dataset:
    dose_gy, volume_ml = curve.dose_gy, curve.volume_percent / 100 * curve.volume_ml
    # The file counts bin widths from 0 Gy; the volume of a bin receives at least its lower dose.
    if dose_gy[0] > 0:
        dose_gy = np.concatenate([[0.0], dose_gy])
        volume_ml = np.concatenate([[curve.volume_ml], volume_ml])
    widths_gy = np.diff(dose_gy, append=2 * dose_gy[-1] - dose_gy[-2])
    pairs = np.column_stack([widths_gy, volume_ml]).ravel()
    return item(
        DVHReferencedROISequence=Sequence(
            [item(DVHROIContributionType="INCLUDED", ReferencedROINumber=region)]
        ),
        DVHType="CUMULATIVE",
        DoseUnits="GY",
        DoseType=dose_type,
        DVHDoseScaling="1",
        DVHVolumeUnits="CM3",
        DVHNumberOfBins=len(widths_gy),
        DVHData=[f"{number:.7g}" for number in pairs.tolist()],
        DVHMeanDose=decimal(curve.mean_gy),
    )


def _dose_reference(plan: Plan) -> Dataset:
    prescription = plan.prescription
    numbers = {s.name: n for n, s in enumerate(plan.structures, start=1)}
    reference = item(
        DoseReferenceNumber=1,
        DoseReferenceDescription=attributes.printable(prescription.target),
        DoseReferenceStructureType="VOLUME",
        DoseReferenceType="TARGET",
        TargetPrescriptionDose=decimal(prescription.dose_gy),
    )
    if prescription.target in numbers:
        reference.ReferencedROINumber = numbers[prescription.target]
    else:
        reference.DoseReferenceStructureType = "SITE"
    return reference


def _fractions(plan: Plan) -> Dataset:
    return item(
        FractionGroupNumber=1,
        NumberOfFractionsPlanned=plan.prescription.fractions,
        NumberOfBeams=len(plan.beams),
        NumberOfBrachyApplicationSetups=0,
        ReferencedBeamSequence=Sequence(
            _reference_item(number, beam, plan.prescription.fractions)
            for number, beam in enumerate(plan.beams, 1)
        ),
    )


def _class_of(plan: Plan) -> str:
    """Return the SOP class of a plan."""
    protons = [isinstance(beam, ProtonBeam) for beam in plan.beams]
    if any(protons) and not all(protons):
        raise InputError("The plan mixes photons and protons; write one plan of each.")
    return RTIonPlanStorage if all(protons) and protons else RTPlanStorage


def _told(plan: Plan) -> tuple[str, str]:
    """Return label and description."""
    if _class_of(plan) == RTIonPlanStorage:
        return _SPOTS
    return _APERTURES if _is_shaped(plan) else _FLUENCE


def _series(plan: Plan) -> str:
    if _class_of(plan) == RTIonPlanStorage:
        return "Plan (protons)"
    return "Plan (apertures)" if _is_shaped(plan) else "Plan (fluence only)"


def _is_shaped(plan: Plan) -> bool:
    return all(beam.apertures for beam in plan.beams)


def _dose_type(plan: Plan) -> str:
    return "PHYSICAL" if plan.rbe == 1 else "EFFECTIVE"


def _content(beam: Beam) -> str:
    if isinstance(beam, ProtonBeam):
        return ion_beams.content(beam)
    return plan_beams.content(beam)


def _beam_item(number: int, beam: Beam, plan: Plan) -> Dataset:
    fractions = plan.prescription.fractions
    if isinstance(beam, ProtonBeam):
        return ion_beams.beam_item(number, beam, plan.machine)
    return plan_beams.beam_item(number, beam, plan.machine, fractions)


def _reference_item(number: int, beam: Beam, fractions: int) -> Dataset:
    if isinstance(beam, ProtonBeam):
        return ion_beams.reference_item(number, beam, fractions)
    return plan_beams.reference_item(number, beam, fractions)
