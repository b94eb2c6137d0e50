"""Images that are not DICOM: NIfTI, NRRD and MetaImage volumes; PNG, JPEG and TIFF pictures.

Volumes come in LPS coordinates (SimpleITK converts). Such files do not say what their values
mean, so the caller does, or they are a signal in arbitrary units.

Sources: NIfTI-1 (nifti.nimh.nih.gov/nifti-1), NRRD 5 (teem.sourceforge.net/nrrd/format.html),
MetaIO (itk.org/Wiki/MetaIO/Documentation).
"""

import gzip
import importlib
import json
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.codes import structure_type
from aegle.domain.errors import FileError, GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import PlanarImage, Quantity, Volume

VOLUME_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MAX_VOXELS = 1 << 32
"""Larger images are refused before they are read."""
MAX_PIXELS = 1 << 28
MAX_LABELS = 2000
_NIFTI_FLOATS = {16: "f4", 64: "f8"}
_NIFTI_HEAD_BYTES = 544
_PART_BYTES = 1 << 24
CHECK_COMPLETE = "Check that it is complete."
MAX_FEW_LABELS = 64
"""A file whose name only hints at labels is one if it holds no more different values."""

_LABEL_NAME = re.compile(r"(^|[^a-z])(labels?|labelmap|seg|segmentation|masks?)([^a-z]|$)")
_LABEL_HINT = re.compile(
    r"(label|labelmap|seg|segmentation|mask|gtv|gt|roi|lesion|tumou?r)s?([^a-z]|$)"
)


def is_labels(path: Path) -> bool:
    """Return whether a volume is taken for labels.

    It is if the word label, labels, labelmap, seg, segmentation, mask or masks stands alone in
    its name (``CT_seg.nii.gz``, ``labels.nrrd``, not ``unmasked.nii``). It is, too, if a word of
    its name is or ends with label, labelmap, seg, segmentation, mask, gtv, gt, roi, lesion,
    tumour or tumor (``brainmask.nii``, ``lesion_change_gt.nii.gz``) and it holds nothing but
    whole numbers from 0 up, at most 64 different ones.

    Raises:
        FileError: The file must be looked into and is damaged.
        GeometryError: The same, and its axes are not those of a volume.
    """
    name = path.name.lower()
    if not name.endswith(VOLUME_ENDINGS):
        return False
    if _LABEL_NAME.search(name) is not None:
        return True
    return _LABEL_HINT.search(_stem(path).lower()) is not None and _holds_few_labels(path)


def _holds_few_labels(path: Path) -> bool:
    values, _ = _volume(path)
    # An image seldom has so few values even on its middle slice, which is quickly looked at.
    for part in (values[len(values) // 2], values):
        is_whole = bool(np.isfinite(part).all() and part.min() >= 0)
        if not is_whole or np.unique(part).size > MAX_FEW_LABELS:
            return False
    return np.array_equal(values, np.rint(values))


def _stem(path: Path) -> str:
    """Return the name of a file without its ending."""
    ending = next(e for e in sorted(VOLUME_ENDINGS, key=len)[::-1] if path.name.lower().endswith(e))
    return path.name[: -len(ending)]


def read(path: Path, *, quantity: Quantity | None = None) -> Volume | PlanarImage:
    """Read a volume or a picture.

    Args:
        path: The file.
        quantity: What its values mean; a signal in arbitrary units by default.

    Returns:
        A volume in LPS geometry, or a planar image for pictures.

    Raises:
        FileError: The file is damaged, too large, of an unknown kind, or holds values that are
            infinite or not a number.
        GeometryError: Its axes are not perpendicular, or it has more or fewer than 3.
    """
    name = path.name.lower()
    if name.endswith(VOLUME_ENDINGS):
        values, grid = _volume(path)
        _require_numbers(values, path)
        return Volume(
            values=values.astype(np.float32), grid=grid, quantity=quantity or Quantity.SIGNAL
        )
    if name.endswith(PICTURE_ENDINGS):
        return PlanarImage(values=_picture(path), quantity=quantity or Quantity.SIGNAL)
    raise FileError(
        path,
        "this kind of file is not supported.",
        f"Give one of: {', '.join((*VOLUME_ENDINGS, *PICTURE_ENDINGS))}, or DICOM.",
    )


def read_labels(path: Path, *, names: Mapping[int, str] | None = None) -> StructureSet:
    """Read a volume of labels as structures; 0 is nothing.

    Args:
        path: A NIfTI, NRRD or MetaImage file with whole numbers.
        names: Name of each label. By default they are read from ``labels.json`` beside the file
            (or ``<file name>.labels.json``): ``{"labels": {"1": "spinal_cord"}}``. A single
            label without a name is called as the file (``GTV_Mass.nii.gz``: ``GTV_Mass``),
            several ``label_N``.

    Returns:
        One structure for each label in the image, by number.

    Raises:
        FileError: The file or its names are damaged.
        InputError: Its values are not labels: fractions, negative, or too many.
        GeometryError: As for `read`.
    """
    values, grid = _volume(path)
    labels = _whole(values, path)
    known = names if names is not None else _names_beside(path)
    _require_room(known, values, path)
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    if numbers.size > MAX_LABELS:
        raise InputError(
            f"{path}: it holds {numbers.size} different values, so it is an image rather than "
            "labels. Read it as an image."
        )
    unnamed = {int(n): f"label_{n}" for n in numbers} if numbers.size > 1 else {}
    names = {int(n): _stem(path) for n in numbers} | unnamed | dict(known)
    return StructureSet(tuple(_structure(labels, int(n), names[int(n)], grid) for n in numbers))


def _require_room(names: Mapping[int, str], values: NDArray[Any], path: Path) -> None:
    """Refuse a file too narrow for a label that it should hold: that one became another."""
    if values.dtype.kind not in "iu" or not names:
        return
    highest, room = max(names), int(np.iinfo(values.dtype).max)
    if highest > room:
        bits = 8 * values.dtype.itemsize
        raise FileError(
            path,
            f"its names give label {highest} ({names[highest]}), but its {bits}-bit voxels hold at "
            f"most {room}: that label was stored as {highest % 2**bits}.",
            "Write it anew with 16-bit voxels.",
        )


def _structure(labels: NDArray[Any], number: int, name: str, grid: Grid) -> Structure:
    kind = structure_type(name)
    return Structure.of(name, labels == number, grid, type=kind, origin="labelmap")


def _require_numbers(values: NDArray[Any], path: Path) -> None:
    # Smallest and largest value are not finite where any is not.
    if values.dtype.kind == "f" and not np.isfinite([values.min(), values.max()]).all():
        raise _not_numbers(path, int((~np.isfinite(values)).sum()))


def _not_numbers(path: Path, count: int) -> FileError:
    return FileError(
        path,
        f"{count} of its values are infinite or not a number.",
        "Replace them by what lies around the patient (-1000 HU on a CT, else 0).",
    )


def _require_stored_numbers(path: Path) -> None:
    """Refuse a NIfTI with values that are no numbers; its reader would make them 0 silently."""
    with path.open("rb") as file:
        unpacked = gzip.open if file.read(2) == b"\x1f\x8b" else open
    try:
        with unpacked(path, "rb") as file:
            count = _bad_numbers(file)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise FileError(path, f"it cannot be read ({error}).", CHECK_COMPLETE) from error
    if count:
        raise _not_numbers(path, count)


def _bad_numbers(file: Any) -> int:
    """Count the stored values of a NIfTI-1 or -2 file that are no numbers."""
    head = file.read(_NIFTI_HEAD_BYTES)
    order = "<" if head[0] in (348 & 0xFF, 540 & 0xFF) else ">"
    is_first = struct.unpack_from(f"{order}i", head)[0] == 348
    kind_at, start_at, start_kind = (70, 108, "f") if is_first else (12, 168, "q")
    kind = _NIFTI_FLOATS.get(struct.unpack_from(f"{order}h", head, kind_at)[0])
    if kind is None:
        return 0
    file.seek(int(struct.unpack_from(f"{order}{start_kind}", head, start_at)[0]))
    count = 0
    while part := file.read(_PART_BYTES):
        whole = part[: len(part) // 8 * 8]
        count += int((~np.isfinite(np.frombuffer(whole, np.dtype(order + kind)))).sum())
    return count


def _whole(values: NDArray[Any], path: Path) -> NDArray[Any]:
    is_whole = np.isfinite(values).all() and np.array_equal(values, np.rint(values))
    if not is_whole:
        raise InputError(
            f"{path}: its values are fractions, not labels. Give whole numbers, or read it as an "
            "image."
        )
    if values.min() < 0:
        raise InputError(
            f"{path}: it holds the negative value {values.min():g}, which is no label. Give labels "
            "from 1 up, or read it as an image."
        )
    return values.astype(np.int64) if values.dtype.kind == "f" else values


def _names_beside(path: Path) -> dict[int, str]:
    for beside in (path.with_name(f"{path.name}.labels.json"), path.with_name("labels.json")):
        if not beside.is_file():
            continue
        try:
            found = json.loads(beside.read_text(encoding="utf-8"))["labels"]
            return {int(number): str(name) for number, name in found.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                beside,
                "it does not give names of labels.",
                'Write it as {"labels": {"1": "name"}}.',
            ) from error
    return {}


def _volume(path: Path) -> tuple[NDArray[Any], Grid]:
    sitk: Any = importlib.import_module("SimpleITK")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_header(reader, path)
        image = reader.Execute()
    except RuntimeError as error:
        if "orthonormal" in str(error).lower():
            raise GeometryError(
                f"{path}: its axes are sheared. Resample it onto perpendicular axes first."
            ) from error
        raise FileError(
            path, f"it cannot be read ({_last_line(error)}).", CHECK_COMPLETE
        ) from error
    if path.name.lower().endswith((".nii", ".nii.gz")):
        _require_stored_numbers(path)
    return sitk.GetArrayFromImage(image), _grid(image, path)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"


def _check_header(reader: Any, path: Path) -> None:
    """Refuse what is no plain volume before its voxels are read."""
    size = reader.GetSize()
    if reader.GetNumberOfComponents() != 1:
        raise GeometryError(
            f"{path}: each voxel holds {reader.GetNumberOfComponents()} values. Give one scalar "
            "volume for each."
        )
    if any(length != 1 for length in size[3:]) or len(size) < 3:
        raise GeometryError(
            f"{path}: it has {len(size)} dimensions of size {tuple(size)}; a volume has 3. Split "
            "it into volumes first."
        )
    if int(np.prod(size, dtype=object)) > MAX_VOXELS:
        raise FileError(path, f"it declares {tuple(size)} voxels.", "Give a smaller volume.")


def _grid(image: Any, path: Path) -> Grid:
    dimensions = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (dimensions, dimensions))[:3, :3]
    x, y, z = (tuple(float(v) for v in column) for column in direction.T)
    spacing = [float(v) for v in image.GetSpacing()[:3]]
    size = image.GetSize()[:3]
    origin = image.GetOrigin()[:3]
    try:
        return Grid(
            shape=(size[2], size[1], size[0]),
            spacing_mm=(spacing[2], spacing[1], spacing[0]),
            origin_mm=(origin[0], origin[1], origin[2]),
            axes=(z, y, x),  # type: ignore[arg-type]
        )
    except GeometryError as error:
        raise GeometryError(
            f"{path}: its axes are not three perpendicular directions. Resample it onto "
            "perpendicular axes first."
        ) from error


def _picture(path: Path) -> NDArray[np.float32]:
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            frames = getattr(picture, "n_frames", 1)
            if picture.width * picture.height * frames > MAX_PIXELS:
                raise FileError(
                    path,
                    f"it declares {frames} frame(s) of {picture.width}×{picture.height} pixels.",
                    "Give a smaller picture.",
                )
            arrays = [_pixels(frame) for frame in ImageSequence.Iterator(picture)]
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            path, f"it cannot be read ({_last_line(error)}).", CHECK_COMPLETE
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(path, "it declares too many pixels.", "Give a smaller picture.") from error
    if len({a.shape for a in arrays}) > 1:
        raise FileError(path, "its pages differ in size or colour.", "Split it into files.")
    return np.stack(arrays)


def _pixels(frame: Any) -> NDArray[np.float32]:
    if frame.mode == "1" or frame.mode == "LA":
        frame = frame.convert("L")
    if frame.mode not in ("L", "F") and not frame.mode.startswith("I"):
        frame = frame.convert("RGB")
    return np.asarray(frame, dtype=np.float32)
