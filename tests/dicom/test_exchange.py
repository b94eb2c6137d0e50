"""Structure set, plan and dose of one patient, written and read by two readers, on any grid.

The numbers that stand in the files are taken by pydicom alone and compared with those of the plan;
then this package's own readers must give the same objects back.
"""

import subprocess
from datetime import datetime
from itertools import accumulate, pairwise

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy.spatial.transform import Rotation

from aegle.dicom import image_series, radiotherapy, structure_set
from aegle.dicom.plan_beams import read_beams
from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.plan import Aperture, Beam, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import CurveOptions, curve

NOW = datetime(2025, 5, 6, 7, 8, 9)
PATIENT = Patient(id="EX 1", name="Made^Exchange")
SHAPE = (6, 13, 17)
OBLIQUE = Rotation.from_euler("xyz", (11.0, -7.0, 23.0), degrees=True).as_matrix()


def grid_of(turn=OBLIQUE, spacing_mm=(3.3, 0.9, 1.7), origin_mm=(-101.7, 33.25, 812.5)):
    """Return an anisotropic grid whose axes are turned from the patient's."""
    axes = tuple(tuple(turn @ np.array(axis)) for axis in ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    return Grid(shape=SHAPE, spacing_mm=spacing_mm, origin_mm=origin_mm, axes=axes)


def image_on(grid):
    values = np.random.default_rng(1).integers(-1000, 1500, grid.shape).astype(np.float32)
    ct = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    series = image_series.reference(ct, PATIENT.id, modality="CT", study="exchange", time=NOW)
    return Image(name="CT", volume=ct, series=series)


def structures_on(grid):
    """Return a body, a target with a hole and an organ in two parts; none of them symmetric."""
    body = np.zeros(SHAPE, bool)
    body[:, 1:12, 1:16] = True
    body[:2, 1:4, 1:3] = False
    target = np.zeros(SHAPE, bool)
    target[1:5, 3:10, 4:13] = True
    target[2:4, 5:7, 7:10] = False
    target[4, 3:5] = False
    parts = np.zeros(SHAPE, bool)
    parts[3:5, 10:12, 1:4] = True
    parts[0, 2:4, 12:15] = True
    return StructureSet(
        (
            Structure.of("body", body, grid, type=StructureType.EXTERNAL),
            Structure.of("PTV 50", target, grid, type=StructureType.TARGET),
            Structure.of("Parotis li.", parts, grid),
        )
    )


def aperture(number, units):
    chance = np.random.default_rng(number)
    left = -5.0 * chance.integers(0, 6, 5)
    return Aperture(
        monitor_units=units,
        left_mm=left,
        right_mm=left + 5.0 * chance.integers(0, 8, 5),
        borders_mm=np.arange(6) * 5.0 - 12.5,
    )


def beam_of(gantry, couch, collimator, units):
    columns, rows = (np.arange(n) * 5.0 for n in (14, 5))
    places = np.stack(np.meshgrid(columns - 27.5, rows - 10.0), -1).reshape(-1, 2)
    return Beam(
        gantry_deg=gantry,
        couch_deg=couch,
        collimator_deg=collimator,
        isocentre_mm=(-91.0625, 41.7, 820.3),
        beamlet_mm=5.0,
        positions_mm=places,
        weights=np.ones(len(places)),
        apertures=tuple(aperture(n, mu) for n, mu in enumerate(units)),
    )


def plan_on(grid):
    structures = structures_on(grid)
    values = np.random.default_rng(2).random(SHAPE).astype(np.float32) * 53
    dose = Volume(values=values, grid=grid, quantity=Quantity.ABSORBED_DOSE)
    return Plan(
        prescription=Prescription(target="PTV 50", dose_gy=50.4, fractions=28),
        machine="Generic 6 MV",
        beams=(
            beam_of(17.3, 0.0, 0.0, (812.37, 95.125, 11.0)),
            beam_of(359.9, 345.5, 12.5, (7.0, 3001.5)),
        ),
        dose=dose,
        structures=structures,
        curves=tuple(curve(dose, s, options=CurveOptions()) for s in structures),
        goals=(),
    )


def written(plan, folder):
    image = image_on(plan.dose.grid)
    return {
        "RTStructureSet": structure_set.write(
            plan.structures, image, PATIENT, folder / "rs.dcm", now=NOW
        ),
        "RTPlan": radiotherapy.write_plan(plan, image, PATIENT, folder / "rp.dcm", now=NOW),
        "RTDose": radiotherapy.write_dose(plan, image, PATIENT, folder / "rd.dcm", now=NOW),
    }, image


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory):
    plan = plan_on(grid_of())
    return plan, *written(plan, tmp_path_factory.mktemp("exchange"))


@pytest.mark.parametrize("kind", ["RTStructureSet", "RTPlan", "RTDose"])
def test_the_validator_finds_no_error(exchanged, require_program, kind):
    program = require_program("dciodvfy", "dicom3tools")
    _, files, _ = exchanged

    found = subprocess.run([program, files[kind]], capture_output=True, text=True, check=False)

    assert kind in found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_pydicom_reads_every_number_of_the_beams(exchanged):
    plan, files, _ = exchanged
    found = pydicom.dcmread(files["RTPlan"])
    group = found.FractionGroupSequence[0]

    assert group.NumberOfFractionsPlanned == 28
    assert found.DoseReferenceSequence[0].TargetPrescriptionDose == 50.4
    for item, reference, beam in zip(
        found.BeamSequence, group.ReferencedBeamSequence, plan.beams, strict=True
    ):
        first, *_ = points = item.ControlPointSequence
        assert first.GantryAngle == beam.gantry_deg
        assert first.PatientSupportAngle == beam.couch_deg
        assert first.BeamLimitingDeviceAngle == beam.collimator_deg
        assert tuple(map(float, first.IsocenterPosition)) == beam.isocentre_mm
        borders = next(
            d.LeafPositionBoundaries
            for d in item.BeamLimitingDeviceSequence
            if d.RTBeamLimitingDeviceType == "MLCX"
        )
        assert list(map(float, borders)) == beam.apertures[0].borders_mm.tolist()
        units = [0.0, *accumulate(one.monitor_units / 28 for one in beam.apertures)]
        assert reference.BeamMeterset == pytest.approx(units[-1], rel=1e-12)
        metersets = [float(p.CumulativeMetersetWeight) for p in points]
        assert metersets == pytest.approx([m for pair in pairwise(units) for m in pair], rel=1e-12)
        for start, one in zip(points[::2], beam.apertures, strict=True):
            (leaves,) = (
                d.LeafJawPositions
                for d in start.BeamLimitingDevicePositionSequence
                if d.RTBeamLimitingDeviceType == "MLCX"
            )
            assert list(map(float, leaves)) == [*one.left_mm, *one.right_mm]


def test_our_reader_gives_the_beams_back(exchanged):
    plan, files, _ = exchanged

    for found, beam in zip(read_beams(files["RTPlan"]), plan.beams, strict=True):
        assert (found.gantry_deg, found.couch_deg, found.collimator_deg) == (
            beam.gantry_deg,
            beam.couch_deg,
            beam.collimator_deg,
        )
        assert found.isocentre_mm == beam.isocentre_mm
        for one, known in zip(found.apertures, beam.apertures, strict=True):
            assert one.monitor_units == pytest.approx(known.monitor_units, rel=1e-12)
            np.testing.assert_array_equal(one.left_mm, known.left_mm)
            np.testing.assert_array_equal(one.right_mm, known.right_mm)
            np.testing.assert_array_equal(one.borders_mm, known.borders_mm)


def test_pydicom_finds_every_dose_where_its_voxel_lies(exchanged):
    plan, files, _ = exchanged
    found = pydicom.dcmread(files["RTDose"])
    step_gy = float(found.DoseGridScaling)
    # PS3.3 C.7.6.2.1.1 and C.8.8.3.2: rows, columns and frames from the first voxel on.
    first, second = np.reshape(np.array(found.ImageOrientationPatient, float), (2, 3))
    down_mm, right_mm = map(float, found.PixelSpacing)
    offsets_mm = np.array(found.GridFrameOffsetVector, float)
    normal = np.cross(first, second)
    frame, row, column = np.indices(found.pixel_array.shape)
    places_mm = (
        np.array(found.ImagePositionPatient, float)
        + offsets_mm[frame][..., None] * normal
        + (row * down_mm)[..., None] * second
        + (column * right_mm)[..., None] * first
    )
    indices = plan.dose.grid.to_indices(places_mm)
    nearest = np.rint(indices).astype(int)

    np.testing.assert_allclose(indices, nearest, atol=1e-4)
    np.testing.assert_allclose(
        found.pixel_array * step_gy,
        plan.dose.values[tuple(np.moveaxis(nearest, -1, 0))],
        rtol=0,
        atol=0.51 * step_gy,
    )
    assert step_gy <= plan.dose.values.max() / 65534
    assert (found.DoseUnits, found.DoseType, found.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")


def test_our_reader_gives_the_dose_back(exchanged):
    plan, files, _ = exchanged

    found = radiotherapy.read_dose(files["RTDose"])

    assert found.grid.is_same_as(plan.dose.grid, tolerance_mm=1e-4)
    step_gy = float(pydicom.dcmread(files["RTDose"]).DoseGridScaling)
    np.testing.assert_allclose(found.values, plan.dose.values, rtol=0, atol=0.51 * step_gy)


def test_pydicom_reads_the_histograms(exchanged):
    plan, files, _ = exchanged
    found = pydicom.dcmread(files["RTDose"])
    structures = pydicom.dcmread(files["RTStructureSet"])
    regions = {r.ROINumber: r.ROIName for r in structures.StructureSetROISequence}

    for item, known in zip(found.DVHSequence, plan.curves, strict=True):
        widths_gy, volumes_ml = np.reshape(np.array(item.DVHData, float), (-1, 2)).T
        number = item.DVHReferencedROISequence[0].ReferencedROINumber
        assert regions[number] == known.structure
        np.testing.assert_allclose(np.cumsum(widths_gy) - widths_gy, known.dose_gy, atol=1e-5)
        np.testing.assert_allclose(
            volumes_ml, known.volume_percent / 100 * known.volume_ml, rtol=1e-6
        )
        assert item.DVHMeanDose == pytest.approx(known.mean_gy, rel=1e-12)


def test_pydicom_finds_the_voxel_centres_inside_the_contours(exchanged):
    plan, files, image = exchanged
    grid = plan.dose.grid
    found = pydicom.dcmread(files["RTStructureSet"])
    corners = np.stack(np.meshgrid(np.arange(13), np.arange(17), indexing="ij"), -1).reshape(-1, 2)

    for structure, region in zip(plan.structures, found.ROIContourSequence, strict=True):
        mask = np.zeros(SHAPE, bool)
        for contour in region.ContourSequence:
            points_mm = np.reshape(np.array(contour.ContourData, float), (-1, 3))
            indices = grid.to_indices(points_mm)
            (slice_,) = set(np.rint(indices[:, 0]).astype(int))
            source = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            assert source == image.series.sop_instance_uids[slice_]
            inside = Outline(indices[:, 1:]).contains_points(corners).reshape(13, 17)
            mask[slice_] ^= inside
        np.testing.assert_array_equal(mask, structure.mask)


def test_our_reader_gives_the_structures_back(exchanged):
    plan, files, image = exchanged

    found = structure_set.read(files["RTStructureSet"], image)

    assert [(s.name, s.type) for s in found] == [(s.name, s.type) for s in plan.structures]
    for one, known in zip(found, plan.structures, strict=True):
        np.testing.assert_array_equal(one.mask, known.mask)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    angles=st.tuples(*[st.floats(-80, 80)] * 3),
    spacing_mm=st.tuples(*[st.floats(0.5, 6).map(lambda s: round(s, 3))] * 3),
    origin_mm=st.tuples(*[st.floats(-900, 900).map(lambda s: round(s, 2))] * 3),
)
def test_any_grid_keeps_structures_and_dose(tmp_path, angles, spacing_mm, origin_mm):
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    plan = plan_on(grid_of(turn, spacing_mm, origin_mm))

    files, image = written(plan, tmp_path)

    found = structure_set.read(files["RTStructureSet"], image)
    for one, known in zip(found, plan.structures, strict=True):
        np.testing.assert_array_equal(one.mask, known.mask)
    dose = radiotherapy.read_dose(files["RTDose"])
    assert dose.grid.is_same_as(plan.dose.grid, tolerance_mm=1e-3)
    np.testing.assert_allclose(dose.values, plan.dose.values, atol=53 / 65534)
