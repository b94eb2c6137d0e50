"""Alignments leave as the standard's objects and come back the same."""

import subprocess
from dataclasses import replace
from datetime import datetime

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from aegle.dicom import attributes, spatial_registration
from aegle.domain.errors import FileError, InputError
from aegle.domain.grid import Grid
from aegle.domain.registration import DisplacementField, Motion, Registration, Verdict
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume

NOW = datetime(2026, 3, 4, 5, 6, 7)
PATIENT = Patient(id="P1", name="Made^Follow")
GRID = Grid(shape=(5, 8, 9), spacing_mm=(4.0, 2.0, 1.5), origin_mm=(-20.0, 30.0, 40.0))
SAGITTAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
LEFT_HANDED = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def image_of(visit, grid=GRID):
    series = SeriesReference(
        study_uid=f"2.25.{visit}1",
        series_uid=f"2.25.{visit}2",
        frame_of_reference_uid=f"2.25.{visit}3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.{visit}4{i}" for i in range(grid.shape[0])),
        study_date=datetime(2026, visit, 1),
    )
    values = np.zeros(grid.shape, np.float32)
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return Image(name="CT", volume=volume, series=series)


def turned(degrees=30.0, shift_mm=(10.0, -20.0, 5.0)):
    """About the z axis (x to y), then a shift."""
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift_mm
    return matrix


def registration_of(matrix, field=None, **changes):
    return Registration(
        matrix=tuple(map(tuple, matrix.tolist())),
        correlation_before=0.2,
        correlation_after=0.9,
        verdict=Verdict.GOOD,
        reason=Text("made"),
        displacement=field,
        motion=Motion.RIGID if field is None else Motion.DEFORMABLE,
        **changes,
    )


def field_on(grid, seed=1, size_mm=6.0):
    vectors = np.random.default_rng(seed).uniform(-size_mm, size_mm, (*grid.shape, 3))
    return DisplacementField(vectors_mm=vectors.astype(np.float32), grid=grid)


def composed(registration, fixed=None, moving=None):
    return spatial_registration.compose(
        registration, fixed or image_of(1), moving or image_of(2), PATIENT, now=NOW
    )


def points(seed=3):
    return np.random.default_rng(seed).uniform(-60, 90, (200, 3))


@given(
    st.floats(-180, 180),
    st.tuples(*[st.floats(-300, 300)] * 3),
    st.sampled_from([GRID.axes, SAGITTAL, LEFT_HANDED]),
    st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_a_round_trip_puts_every_point_where_it_was(degrees, shift_mm, axes, deforms):
    field = field_on(replace(GRID, axes=axes)) if deforms else None
    made = registration_of(turned(degrees, shift_mm), field)
    path_free = composed(made)

    (found,) = _read_back(path_free)

    np.testing.assert_allclose(
        found.registration.to_moving(points()), made.to_moving(points()), atol=1e-3
    )
    assert found.fixed_frame_of_reference_uid == "2.25.13"
    assert found.moving_frame_of_reference_uid == "2.25.23"
    assert found.moving_instance_uids == image_of(2).series.sop_instance_uids


def _read_back(dataset):
    """Read what compose gave, through the bytes of a file."""
    from io import BytesIO
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = attributes.save(dataset, Path(folder) / "reg.dcm")
        content = path.read_bytes()
    assert pydicom.dcmread(BytesIO(content)).Modality == "REG"
    return spatial_registration.read(content)


# A patient of three points, none of which a mirrored or inverted matrix puts right: seen at
# baseline, and after the patient was turned by 90 degrees about z and shifted by 100 mm along x.
BASELINE = np.array([[10.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 30.0]])
LATER = np.array([[100.0, 10.0, 0.0], [80.0, 0.0, 0.0], [100.0, 0.0, 30.0]])


def test_the_matrix_of_a_source_maps_it_to_the_registered_frame():
    """PS3.3 C.20.2.1.1: the matrix takes source coordinates to those of the registered frame."""
    made = registration_of(turned(90.0, (100.0, 0.0, 0.0)))
    np.testing.assert_allclose(made.to_moving(BASELINE), LATER, atol=1e-9)

    dataset = composed(made)

    assert dataset.FrameOfReferenceUID == "2.25.13"
    sources = {i.FrameOfReferenceUID: i for i in dataset.RegistrationSequence}
    (step,) = sources["2.25.23"].MatrixRegistrationSequence[0].MatrixSequence
    assert step.FrameOfReferenceTransformationMatrixType == "RIGID"
    # Row-major; the columns of numbers are written out here, not taken from the writer.
    m = [float(v) for v in step.FrameOfReferenceTransformationMatrix]
    for (x, y, z), expected in zip(LATER, BASELINE, strict=True):
        mapped = (
            m[0] * x + m[1] * y + m[2] * z + m[3],
            m[4] * x + m[5] * y + m[6] * z + m[7],
            m[8] * x + m[9] * y + m[10] * z + m[11],
        )
        assert mapped == pytest.approx(tuple(expected), abs=1e-6)
    (own,) = sources["2.25.13"].MatrixRegistrationSequence[0].MatrixSequence
    assert [float(v) for v in own.FrameOfReferenceTransformationMatrix] == [
        *(1, 0, 0, 0),
        *(0, 1, 0, 0),
        *(0, 0, 1, 0),
        *(0, 0, 0, 1),
    ]


@pytest.mark.parametrize("axes", [GRID.axes, SAGITTAL, LEFT_HANDED])
def test_the_offsets_lead_from_the_registered_frame_to_the_source(axes):
    """PS3.3 C.20.3.1.1, read from its equation: post · (position of the node + offset)."""
    grid = replace(GRID, axes=axes)
    made = registration_of(turned(), field_on(grid))
    (source,) = composed(made).DeformableRegistrationSequence
    (lattice,) = source.DeformableRegistrationGridSequence
    row, column = np.reshape([float(v) for v in lattice.ImageOrientationPatient], (2, 3))
    depth = np.cross(row, column)
    start = np.array([float(v) for v in lattice.ImagePositionPatient])
    nx, ny, nz = lattice.GridDimensions
    rx, ry, rz = lattice.GridResolution
    offsets = np.frombuffer(lattice.VectorGridData, "<f4").reshape(nz, ny, nx, 3)
    (post,) = source.PostDeformationMatrixRegistrationSequence
    m = np.reshape([float(v) for v in post.FrameOfReferenceTransformationMatrix], (4, 4))

    for k, j, i in [(0, 0, 0), (4, 0, 0), (0, 7, 0), (0, 0, 8), (3, 2, 5)]:
        registered = start + i * rx * row + j * ry * column + k * rz * depth
        sampled = m @ [*(registered + offsets[k, j, i]), 1.0]
        np.testing.assert_allclose(sampled[:3], made.to_moving(registered), atol=1e-3)


def test_sampling_by_the_file_alone_brings_a_lopsided_patient_back():
    """Baseline rebuilt from the later image by the numbers in the file, not by our reader."""
    grid = Grid(shape=(24, 24, 24), spacing_mm=(2.0, 2.0, 2.0))
    places = grid.to_patient(np.moveaxis(np.indices(grid.shape), 0, -1).astype(float))

    def patient_at(positions_mm):
        """Three blobs of different size and brightness, no two alike in any mirror."""
        centres = [(14.0, 20.0, 24.0), (32.0, 18.0, 30.0), (24.0, 34.0, 16.0)]
        weights, widths = (1.0, 0.5, 0.25), (5.0, 4.0, 6.0)
        near = [((positions_mm - c) ** 2).sum(-1) for c in np.array(centres)]
        blobs = zip(near, weights, widths, strict=True)
        return sum(w * np.exp(-d / (2 * s**2)) for d, w, s in blobs)

    matrix = turned(12.0, (5.0, -4.0, 2.0))
    made = registration_of(matrix)
    # The later image shows at y what lies at M^-1 y at baseline.
    later = patient_at(made.to_fixed(places))
    sources = {i.FrameOfReferenceUID: i for i in composed(made).RegistrationSequence}
    (step,) = sources["2.25.23"].MatrixRegistrationSequence[0].MatrixSequence
    source_to_registered = np.reshape(
        [float(v) for v in step.FrameOfReferenceTransformationMatrix], (4, 4)
    )
    back = np.linalg.inv(source_to_registered)
    wanted = places @ back[:3, :3].T + back[:3, 3]
    rebuilt = map_coordinates(later, np.moveaxis(grid.to_indices(wanted), -1, 0), order=3)

    inner = (slice(6, 18),) * 3
    truth = patient_at(places)[inner]
    assert np.abs(rebuilt[inner] - truth).max() < 0.02
    # What was moved is far from where it was.
    assert np.abs(later[inner] - truth).max() > 0.2


def test_a_matrix_before_the_offsets_and_several_steps_are_read(tmp_path):
    made = registration_of(turned(), field_on(GRID))
    dataset = composed(made)
    before = turned(5.0, (1.0, 2.0, 3.0))
    (source,) = dataset.DeformableRegistrationSequence
    source.PreDeformationMatrixRegistrationSequence = [
        attributes.item(
            FrameOfReferenceTransformationMatrix=attributes.decimals(before.ravel()),
            FrameOfReferenceTransformationMatrixType="RIGID",
        )
    ]
    (found,) = _read_back(dataset)
    node = GRID.to_patient(np.array([2.0, 3.0, 4.0]))
    moved = before[:3, :3] @ node + before[:3, 3] + made.displacement.vectors_mm[2, 3, 4]
    expected = turned()[:3, :3] @ moved + turned()[:3, 3]
    np.testing.assert_allclose(found.registration.to_moving(node), expected, atol=1e-3)

    rigid = composed(registration_of(np.eye(4)))
    first, second = turned(90.0, (1.0, 0.0, 0.0)), turned(0.0, (0.0, 7.0, 0.0))
    rigid.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence = [
        attributes.item(
            FrameOfReferenceTransformationMatrix=attributes.decimals(m.ravel()),
            FrameOfReferenceTransformationMatrixType="RIGID",
        )
        for m in (first, second)
    ]
    (found,) = _read_back(rigid)
    # Applied in the order listed: (10, 0, 0) is turned to (0, 10, 0), then shifted.
    np.testing.assert_allclose(
        found.registration.to_fixed(np.array([10.0, 0.0, 0.0])), [1.0, 17.0, 0.0], atol=1e-9
    )


def test_images_of_one_frame_are_told_apart_by_their_instances():
    fixed, moving = image_of(1), image_of(2)
    moving = replace(moving, series=replace(moving.series, frame_of_reference_uid="2.25.13"))

    (found,) = _read_back(composed(registration_of(turned()), fixed, moving))

    assert found.moving_instance_uids == moving.series.sop_instance_uids


def test_a_failed_alignment_is_not_written():
    failed = replace(registration_of(turned()), verdict=Verdict.FAILED)

    with pytest.raises(InputError, match="failed"):
        composed(failed)


def test_what_is_no_registration_is_refused(tmp_path):
    dataset = composed(registration_of(turned(), field_on(GRID)))
    grid = dataset.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
    grid.VectorGridData = grid.VectorGridData[:-12]
    with pytest.raises(FileError, match="incomplete"):
        _read_back(dataset)

    del dataset.DeformableRegistrationSequence
    with pytest.raises(FileError, match="incomplete"):
        _read_back(dataset)


def test_the_same_alignment_gives_the_same_bytes(tmp_path):
    made = registration_of(turned(), field_on(GRID))
    paths = [
        spatial_registration.write(
            made, image_of(1), image_of(2), PATIENT, tmp_path / name, now=NOW
        )
        for name in ("a", "b")
    ]

    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = composed(replace(made, displacement=field_on(GRID, seed=2)))
    assert other.SOPInstanceUID != pydicom.dcmread(paths[0]).SOPInstanceUID


@pytest.mark.parametrize(
    ("field", "kind"),
    [(None, "SpatialRegistration"), (field_on(GRID), "DeformableSpatialRegistration")],
)
def test_the_validator_finds_no_error(tmp_path, require_program, field, kind):
    program = require_program("dciodvfy", "dicom3tools")
    path = spatial_registration.write(
        registration_of(turned(), field), image_of(1), image_of(2), PATIENT, tmp_path / "r", now=NOW
    )

    found = subprocess.run([program, path], capture_output=True, text=True, check=False)

    assert kind in found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []
