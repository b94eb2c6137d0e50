"""Alignments as Spatial Registration and Deformable Spatial Registration, and back.

The object lies in the frame of reference of the fixed (registered) image. The two kinds point
opposite ways:

* The matrix of a Spatial Registration maps a position of its source to the registered frame
  (PS3.3 C.20.2.1.1), so it is the inverse of what :class:`Registration` holds.
* A Deformable Spatial Registration says where to sample the source for a position x of the
  registered frame: post-matrix · (pre-matrix · x + offset(x)) (PS3.3 C.20.3.1.1), so the matrix
  is written as it is, after the deformation.

An alignment that failed is not written. Sources: DICOM PS3.3 A.39 (objects), C.20.1 to C.20.3
(modules), C.12.2 (references); PS3.16 CID 7100 (how frames were registered).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from aegle.dicom import attributes
from aegle.dicom.attributes import decimals, fill, item
from aegle.domain.codes import Code
from aegle.domain.errors import FileError, InputError
from aegle.domain.grid import Grid
from aegle.domain.registration import DisplacementField, Motion, Registration, Verdict
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.text import Text

ASK = "Ask for the registration again."
_SAME_FRAME = Code("125021", "DCM", "Frame of Reference Identity")
_BY_CONTENT = Code("125024", "DCM", "Image Content-based Alignment")
_RIGID_WITHIN = 1e-4
"""Rotations whose columns are orthonormal within this are rigid."""
_UNKNOWN_QUALITY = "It was read from a file, which does not say how good it is."


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadRegistration:
    """One source of a registration object and where it lies."""

    registration: Registration
    """``to_moving`` leads from the registered frame to the source."""
    fixed_frame_of_reference_uid: str
    """The registered frame."""
    moving_frame_of_reference_uid: str
    """The source's frame; empty if only images are named."""
    moving_instance_uids: tuple[str, ...] = ()


def write(
    registration: Registration,
    fixed: Image,
    moving: Image,
    patient: Patient,
    path: Path,
    *,
    now: datetime,
) -> Path:
    """Write an alignment; deformable if it deforms, else with its matrix alone.

    Arguments are those of :func:`compose`; ``path`` is the file to write.
    """
    return attributes.save(compose(registration, fixed, moving, patient, now=now), path)


def compose(
    registration: Registration, fixed: Image, moving: Image, patient: Patient, *, now: datetime
) -> Dataset:
    """Return an alignment as DICOM object of the moving image's study.

    Args:
        registration: Maps the fixed to the moving image.
        fixed: The earlier image.
        moving: The later image.
        patient: Who was examined.
        now: Time of creation.

    Raises:
        InputError: The alignment failed, or its matrix cannot be inverted.
    """
    if registration.verdict is Verdict.FAILED:
        raise InputError(
            f"The alignment of '{moving.name}' failed ({registration.reason}); a failed alignment "
            "is not written."
        )
    matrix = np.asarray(registration.matrix, dtype=np.float64)
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise InputError("The matrix of the alignment cannot be inverted; align again.")
    field = registration.displacement
    kind = SpatialRegistrationStorage if field is None else DeformableSpatialRegistrationStorage
    uid = attributes.object_uid("REG", moving.series, patient, now, *_content(registration, fixed))
    identity = attributes.derived_identity(
        str(kind), uid, modality="REG", series_number=906, description="Alignment to baseline"
    )
    dataset = attributes.begin(identity, moving.series, patient, now=now)
    fill(
        dataset,
        {
            "ContentDate": attributes.day(now),
            "ContentTime": attributes.clock(now),
            "ContentLabel": "ALIGNMENT",
            "ContentDescription": attributes.printable(f"Alignment, {registration.verdict.value}"),
            "ContentCreatorName": "",
            "Laterality": "",
            "FrameOfReferenceUID": fixed.series.frame_of_reference_uid,
            "PositionReferenceIndicator": "",
        },
    )
    if field is None:
        dataset.RegistrationSequence = Sequence(
            [
                _rigid_item(fixed, np.eye(4), _SAME_FRAME, ""),
                _rigid_item(moving, np.linalg.inv(matrix), _BY_CONTENT, _comment(registration)),
            ]
        )
    else:
        dataset.DeformableRegistrationSequence = Sequence(
            [_deformable_item(moving, matrix, field, _comment(registration))]
        )
    referred = (fixed, moving) if field is None else (moving,)
    fill(dataset, _series_references([image.series for image in referred], moving.series.study_uid))
    return dataset


def _content(registration: Registration, fixed: Image) -> Iterator[str | bytes]:
    yield repr(fixed.series)
    yield repr(registration.matrix)
    yield f"{registration.verdict.value} {registration.reason}"
    if registration.displacement is not None:
        yield attributes.grid_content(registration.displacement.grid)
        yield np.ascontiguousarray(registration.displacement.vectors_mm).tobytes()


def _comment(registration: Registration) -> str:
    return attributes.printable(f"{registration.verdict.value}: {registration.reason}")


def _rigid_item(image: Image, to_registered: np.ndarray, code: Code, comment: str) -> Dataset:
    found = item(
        FrameOfReferenceUID=image.series.frame_of_reference_uid,
        ReferencedImageSequence=_references(image),
        MatrixRegistrationSequence=Sequence(
            [
                item(
                    RegistrationTypeCodeSequence=attributes.coded(code),
                    MatrixSequence=Sequence([_matrix(to_registered)]),
                )
            ]
        ),
    )
    if comment:
        found.MatrixRegistrationSequence[0].FrameOfReferenceTransformationComment = comment
    return found


def _deformable_item(
    image: Image, matrix: np.ndarray, field: DisplacementField, comment: str
) -> Dataset:
    grid, vectors_mm = _right_handed(field)
    deformation = item(
        ImagePositionPatient=attributes.position(grid, 0),
        ImageOrientationPatient=attributes.orientation(grid),
        GridDimensions=list(reversed(grid.shape)),
        GridResolution=[float(s) for s in reversed(grid.spacing_mm)],
        VectorGridData=np.ascontiguousarray(vectors_mm, dtype="<f4").tobytes(),
    )
    return item(
        SourceFrameOfReferenceUID=image.series.frame_of_reference_uid,
        ReferencedImageSequence=_references(image),
        FrameOfReferenceTransformationComment=comment,
        RegistrationTypeCodeSequence=attributes.coded(_BY_CONTENT),
        DeformableRegistrationGridSequence=Sequence([deformation]),
        PostDeformationMatrixRegistrationSequence=Sequence([_matrix(matrix)]),
    )


def _right_handed(field: DisplacementField) -> tuple[Grid, np.ndarray]:
    """Return the field with slices along row × column, as the standard counts them."""
    grid, vectors_mm = field.grid, np.asarray(field.vectors_mm)
    slices, rows, columns = (np.asarray(axis) for axis in grid.axes)
    if np.cross(columns, rows) @ slices > 0:
        return grid, vectors_mm
    x, y, z = (float(v) for v in grid.to_patient(np.array([grid.shape[0] - 1.0, 0.0, 0.0])))
    back = tuple(float(v) for v in -slices)
    turned = Grid(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_mm=(x, y, z),
        axes=((back[0], back[1], back[2]), grid.axes[1], grid.axes[2]),
    )
    return turned, vectors_mm[::-1]


def _matrix(matrix: np.ndarray) -> Dataset:
    turn = matrix[:3, :3]
    is_rigid = np.allclose(turn @ turn.T, np.eye(3), atol=_RIGID_WITHIN) and np.linalg.det(turn) > 0
    return item(
        FrameOfReferenceTransformationMatrix=decimals(matrix.ravel()),
        FrameOfReferenceTransformationMatrixType="RIGID" if is_rigid else "AFFINE",
    )


def _references(image: Image) -> Sequence:
    series = image.series
    return Sequence(
        [attributes.instance(series.sop_class_uid, uid) for uid in series.sop_instance_uids]
    )


def _series_references(series: list[SeriesReference], own_study_uid: str) -> dict[str, Sequence]:
    """Return the series referred to, by study: the object's own, and others (PS3.3 C.12.2)."""
    by_study: dict[str, list[Dataset]] = {}
    for one in series:
        instances = [attributes.instance(one.sop_class_uid, uid) for uid in one.sop_instance_uids]
        by_study.setdefault(one.study_uid, []).append(
            item(SeriesInstanceUID=one.series_uid, ReferencedInstanceSequence=Sequence(instances))
        )
    own = by_study.pop(own_study_uid, [])
    found = {"ReferencedSeriesSequence": Sequence(own)} if own else {}
    if by_study:
        found["StudiesContainingOtherReferencedInstancesSequence"] = Sequence(
            [
                item(StudyInstanceUID=uid, ReferencedSeriesSequence=Sequence(items))
                for uid, items in by_study.items()
            ]
        )
    return found


def read(content: bytes | Path) -> tuple[ReadRegistration, ...]:
    """Return where the sources of a registration object lie.

    Args:
        content: The bytes of the file, or its path.

    Returns:
        One per source; what is the registered image itself is left out. How good an alignment is
        the object does not say: the verdict is *doubtful*.

    Raises:
        FileError: It is no registration object, or it is incomplete.
    """
    dataset = attributes.load(content, "The registration")
    name = content if isinstance(content, Path) else "The registration"
    try:
        if dataset.get("SOPClassUID") == SpatialRegistrationStorage:
            found = [_read_rigid(dataset, one) for one in dataset.RegistrationSequence]
        elif dataset.get("SOPClassUID") == DeformableSpatialRegistrationStorage:
            found = [
                _read_deformable(dataset, one) for one in dataset.DeformableRegistrationSequence
            ]
        else:
            raise FileError(name, "is not a registration.", "Give an object of modality REG.")
    except (AttributeError, IndexError, TypeError, np.linalg.LinAlgError) as error:
        raise FileError(name, f"is incomplete ({error}).", ASK) from error
    moved = [one for one in found if not _is_registered_image(one)]
    return tuple(moved or found)


def _is_registered_image(one: ReadRegistration) -> bool:
    same = one.moving_frame_of_reference_uid in ("", one.fixed_frame_of_reference_uid)
    registration = one.registration
    stays = registration.displacement is None and np.allclose(registration.matrix, np.eye(4))
    return bool(same and stays)


def _read_rigid(dataset: Dataset, source: Dataset) -> ReadRegistration:
    to_registered = np.eye(4)
    for step in source.MatrixRegistrationSequence[0].MatrixSequence:
        to_registered = _read_matrix(step) @ to_registered
    return _found(
        dataset, source, str(source.get("FrameOfReferenceUID", "")), np.linalg.inv(to_registered)
    )


def _read_deformable(dataset: Dataset, source: Dataset) -> ReadRegistration:
    before = _optional_matrix(source, "PreDeformationMatrixRegistrationSequence")
    after = _optional_matrix(source, "PostDeformationMatrixRegistrationSequence")
    grids = source.get("DeformableRegistrationGridSequence") or ()
    field = _read_field(grids[0], before) if grids else None
    matrix = after if field is not None else after @ before
    return _found(dataset, source, str(source.SourceFrameOfReferenceUID), matrix, field)


def _read_field(source: Dataset, before: np.ndarray) -> DisplacementField:
    """Return the offsets with the pre-matrix taken in: x + u(x) = pre · x + offset(x)."""
    columns, rows, slices = (int(n) for n in source.GridDimensions)
    along_row, along_column = np.asarray(
        [float(v) for v in source.ImageOrientationPatient]
    ).reshape(2, 3)
    across = np.cross(along_row, along_column)
    spacing = [float(v) for v in source.GridResolution]
    x, y, z = (float(v) for v in source.ImagePositionPatient)
    grid = Grid(
        shape=(slices, rows, columns),
        spacing_mm=(spacing[2], spacing[1], spacing[0]),
        origin_mm=(x, y, z),
        axes=(_axis(across), _axis(along_column), _axis(along_row)),
    )
    values = np.frombuffer(source.VectorGridData, dtype="<f4")
    if values.size != 3 * slices * rows * columns:
        raise AttributeError(
            f"{values.size} numbers for a grid of {slices} × {rows} × {columns} vectors"
        )
    vectors_mm = values.reshape(slices, rows, columns, 3).astype(np.float64)
    if not np.allclose(before, np.eye(4)):
        places_mm = grid.to_patient(np.moveaxis(np.indices(grid.shape), 0, -1).astype(np.float64))
        vectors_mm = vectors_mm + places_mm @ before[:3, :3].T + before[:3, 3] - places_mm
    return DisplacementField(vectors_mm=vectors_mm.astype(np.float32), grid=grid)


def _axis(direction: np.ndarray) -> tuple[float, float, float]:
    x, y, z = direction / np.linalg.norm(direction)
    return float(x), float(y), float(z)


def _read_matrix(source: Dataset) -> np.ndarray:
    numbers = [float(v) for v in source.FrameOfReferenceTransformationMatrix]
    if len(numbers) != 16:
        raise AttributeError(f"a matrix of {len(numbers)} numbers")
    return np.asarray(numbers).reshape(4, 4)


def _optional_matrix(source: Dataset, keyword: str) -> np.ndarray:
    steps = source.get(keyword) or ()
    return _read_matrix(steps[0]) if steps else np.eye(4)


def _found(
    dataset: Dataset,
    source: Dataset,
    frame: str,
    matrix: np.ndarray,
    field: DisplacementField | None = None,
) -> ReadRegistration:
    a, b, c, d = ((float(p), float(q), float(r), float(s)) for p, q, r, s in matrix)
    motion = Motion.DEFORMABLE if field is not None else Motion.AFFINE
    if field is None and _matrix(matrix).FrameOfReferenceTransformationMatrixType == "RIGID":
        motion = Motion.RIGID
    return ReadRegistration(
        registration=Registration(
            matrix=(a, b, c, d),
            correlation_before=float("nan"),
            correlation_after=float("nan"),
            verdict=Verdict.DOUBTFUL,
            reason=Text(_UNKNOWN_QUALITY),
            motion=motion,
            displacement=field,
        ),
        fixed_frame_of_reference_uid=str(dataset.FrameOfReferenceUID),
        moving_frame_of_reference_uid=frame,
        moving_instance_uids=tuple(
            str(one.ReferencedSOPInstanceUID) for one in source.get("ReferencedImageSequence") or ()
        ),
    )
