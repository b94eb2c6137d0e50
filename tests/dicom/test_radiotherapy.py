import subprocess
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from aegle.dicom import attachment, radiotherapy, structure_set
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.plan import Beam, DoseVolumeCurve, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.volume import Quantity, Volume

NOW = datetime(2024, 3, 1, 8, 30)
PATIENT = Patient(id="A 1", name="Made")
HALF = 0.7071067811865476
AXES = {
    "axial": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "sagittal": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "oblique": ((0.0, -HALF, HALF), (0.0, HALF, HALF), (1.0, 0.0, 0.0)),
}
SHAPE = (4, 5, 7)


def grid_of(orientation="axial"):
    return Grid(
        shape=SHAPE,
        spacing_mm=(3.0, 1.5, 0.75),
        origin_mm=(-210.5, 35.5, 1007.25),
        axes=AXES[orientation],
    )


def image_on(grid):
    series = SeriesReference(
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.4{i}" for i in range(grid.shape[0])),
        study_date=datetime(2024, 2, 29),
    )
    volume = Volume(
        values=np.zeros(grid.shape, np.float32), grid=grid, quantity=Quantity.RADIODENSITY
    )
    return Image(name="CT", volume=volume, series=series)


def plan_on(grid, values=None):
    values = np.random.default_rng(0).random(grid.shape) * 66 if values is None else values
    box = np.zeros(grid.shape, bool)
    box[1:3, 1:4, 2:5] = True
    beam = Beam(
        gantry_deg=0,
        couch_deg=350,
        isocentre_mm=(1.5, -2.0, 3.25),
        beamlet_mm=5,
        positions_mm=np.array([[-10, 0], [5, 20], [0, -15]]),
        weights=np.array([1.0, 2.0, 3.0]),
    )
    curve = DoseVolumeCurve(
        structure="PTV",
        dose_gy=np.array([0, 20, 40, 60.0]),
        volume_percent=np.array([100, 80, 50, 10.0]),
        volume_ml=30,
        mean_gy=38.5,
    )
    return Plan(
        prescription=Prescription(target="PTV", dose_gy=60, fractions=30),
        machine="generic 6 MV linac",
        beams=(beam, replace(beam, gantry_deg=-72.5)),
        dose=Volume(values=values, grid=grid, quantity=Quantity.ABSORBED_DOSE),
        structures=StructureSet(
            (
                Structure.of("heart", ~box, grid),
                Structure.of("PTV", box, grid, type=StructureType.TARGET),
            )
        ),
        curves=(curve, replace(curve, structure="elsewhere")),
        goals=(),
    )


@pytest.fixture
def written(tmp_path):
    def write(plan, kind="dose"):
        writer = {"dose": radiotherapy.write_dose, "plan": radiotherapy.write_plan}[kind]
        return writer(plan, image_on(plan.dose.grid), PATIENT, tmp_path / f"{kind}.dcm", now=NOW)

    return write


@pytest.mark.parametrize("orientation", AXES)
def test_dose_comes_back_within_half_a_step(written, orientation):
    plan = plan_on(grid_of(orientation))

    found = radiotherapy.read_dose(written(plan))

    assert found.quantity is Quantity.ABSORBED_DOSE
    assert found.grid.is_same_as(plan.dose.grid, tolerance_mm=1e-6)
    step_gy = plan.dose.values.max() / 65534
    np.testing.assert_allclose(found.values, plan.dose.values, rtol=0, atol=0.51 * step_gy)


def test_dose_of_a_left_handed_grid_keeps_its_place(written):
    grid = Grid(shape=SHAPE, spacing_mm=(2.0, 1.0, 1.0), axes=((0, 0, -1), *AXES["axial"][1:]))
    plan = plan_on(grid)

    path = written(plan)
    found = radiotherapy.read_dose(path)

    assert list(pydicom.dcmread(path).GridFrameOffsetVector) == [0, 2, 4, 6]
    assert found.grid.origin_mm == (0, 0, -6)
    np.testing.assert_allclose(found.values, plan.dose.values[::-1], atol=1e-3)


@pytest.mark.parametrize("orientation", AXES)
def test_another_library_finds_the_dose_where_the_grid_puts_it(written, orientation):
    plan = plan_on(grid_of(orientation))

    path = written(plan)
    read = sitk.ReadImage(str(path))

    # This library takes the frames as they are stored.
    stored = sitk.GetArrayFromImage(read) * float(pydicom.dcmread(path).DoseGridScaling)
    np.testing.assert_allclose(stored, plan.dose.values, atol=2e-3)
    for index in ((0, 0, 0), (3, 0, 0), (0, 4, 0), (0, 0, 6)):
        np.testing.assert_allclose(
            read.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]]),
            plan.dose.grid.to_patient(np.array(index, float)),
            atol=1e-4,
        )


def rewritten(path, **changes):
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_offsets_may_be_z_coordinates(written):
    plan = plan_on(grid_of())
    content = rewritten(written(plan), GridFrameOffsetVector=[1007.25, 1010.25, 1013.25, 1016.25])

    assert radiotherapy.read_dose(content).grid.is_same_as(plan.dose.grid)


def test_z_coordinates_count_in_the_patient_not_along_the_normal(written):
    # Columns to the right, rows to the back: the normal points to the feet.
    content = rewritten(
        written(plan_on(grid_of())),
        ImageOrientationPatient=[-1, 0, 0, 0, 1, 0],
        GridFrameOffsetVector=[1007.25, 1010.25, 1013.25, 1016.25],
    )

    grid = radiotherapy.read_dose(content).grid

    assert grid.axes[0] == (0, 0, -1)
    assert grid.origin_mm == (-210.5, 35.5, 1016.25)


def test_falling_offsets_are_turned_round(written):
    plan = plan_on(grid_of())
    content = rewritten(written(plan), GridFrameOffsetVector=[0, -3, -6, -9])

    found = radiotherapy.read_dose(content)

    assert found.grid.origin_mm == (-210.5, 35.5, 998.25)
    np.testing.assert_allclose(found.values, plan.dose.values[::-1], atol=2e-3)


def test_uneven_slices_are_refused(written):
    content = rewritten(written(plan_on(grid_of())), GridFrameOffsetVector=[0, 3, 6, 9.5])

    with pytest.raises(GeometryError, match="evenly spaced"):
        radiotherapy.read_dose(content)


@pytest.mark.parametrize(
    "changes",
    [{"DoseUnits": "RELATIVE"}, {"GridFrameOffsetVector": [0, 3]}, {"PixelData": b"\0\0"}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_whole_dose_in_gray_is_refused(written, changes):
    content = rewritten(written(plan_on(grid_of())), **changes)

    with pytest.raises(FileError):
        radiotherapy.read_dose(content)


def test_a_dose_of_zero_comes_back_as_zero(written):
    plan = plan_on(grid_of(), np.zeros(SHAPE))

    assert not radiotherapy.read_dose(written(plan)).values.any()


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_values_that_are_no_dose_are_refused(written, value):
    with pytest.raises(InputError, match="negative values or values that are not numbers"):
        written(plan_on(grid_of(), np.full(SHAPE, value)))


def test_a_plan_without_absorbed_dose_is_refused(written):
    plan = plan_on(grid_of())
    other = replace(plan.dose, quantity=Quantity.RADIODENSITY)

    with pytest.raises(QuantityError):
        written(replace(plan, dose=other))


def test_the_histogram_gives_the_volume_that_receives_each_dose(written):
    found = pydicom.dcmread(written(plan_on(grid_of())))
    (histogram,) = found.DVHSequence
    widths_gy, volumes_ml = np.array(histogram.DVHData, float).reshape(-1, 2).T
    lower_gy = np.cumsum(widths_gy) - widths_gy

    assert lower_gy.tolist() == [0, 20, 40, 60]
    assert volumes_ml.tolist() == [30, 24, 15, 3]
    assert (histogram.DVHType, histogram.DVHVolumeUnits) == ("CUMULATIVE", "CM3")
    assert histogram.DVHNumberOfBins == 4
    assert histogram.DVHMeanDose == 38.5
    assert histogram.DVHReferencedROISequence[0].ReferencedROINumber == 2


def test_dose_plan_and_structures_refer_to_each_other(written, tmp_path):
    plan = plan_on(grid_of())
    image = image_on(plan.dose.grid)
    structures = structure_set.write(plan.structures, image, PATIENT, tmp_path / "rs.dcm", now=NOW)

    dose, beams = pydicom.dcmread(written(plan)), pydicom.dcmread(written(plan, "plan"))
    regions = pydicom.dcmread(structures)

    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == beams.SOPInstanceUID
    for found in (dose, beams):
        reference = found.ReferencedStructureSetSequence[0]
        assert reference.ReferencedSOPInstanceUID == regions.SOPInstanceUID
    assert regions.StructureSetROISequence[1].ROIName == "PTV"
    assert attachment.refers_to(tmp_path / "dose.dcm") == ("2.25.3", ())


def test_another_dose_gives_other_uids(written):
    plan = plan_on(grid_of())
    first = pydicom.dcmread(written(plan)).SOPInstanceUID
    values = plan.dose.values.copy()
    values[0, 0, 0] += 0.5

    second = pydicom.dcmread(written(plan_on(grid_of(), values))).SOPInstanceUID

    assert first != second


def test_the_plan_names_angles_isocentre_field_and_prescription(written):
    found = pydicom.dcmread(written(plan_on(grid_of()), "plan"))
    first, second = (beam.ControlPointSequence[0] for beam in found.BeamSequence)
    jaws = {
        j.RTBeamLimitingDeviceType: list(j.LeafJawPositions)
        for j in first.BeamLimitingDevicePositionSequence
    }

    assert (first.GantryAngle, second.GantryAngle, first.PatientSupportAngle) == (0, 287.5, 350)
    assert list(first.IsocenterPosition) == [1.5, -2, 3.25]
    # Beamlets of 5 mm around centres from -10 to 5 and from -15 to 20 mm.
    assert jaws == {"ASYMX": [-12.5, 7.5], "ASYMY": [-17.5, 22.5]}
    assert found.FractionGroupSequence[0].NumberOfFractionsPlanned == 30
    assert found.DoseReferenceSequence[0].TargetPrescriptionDose == 60
    assert found.DoseReferenceSequence[0].ReferencedROINumber == 2
    assert "cannot be delivered" in found.RTPlanDescription
    assert (found.PlanIntent, found.ApprovalStatus) == ("RESEARCH", "UNAPPROVED")


@pytest.mark.parametrize("kind", ["dose", "plan"])
def test_the_validator_finds_no_error(written, require_program, kind):
    program = require_program("dciodvfy", "dicom3tools")

    path = written(plan_on(grid_of("oblique")), kind)
    found = subprocess.run([program, path], capture_output=True, text=True, check=False)

    assert f"RT{kind.title()}" in found.stderr
    assert found.returncode == 0
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []
