"""The planes of a series: one per slice or frame, where it lies and what tells it apart.

Sources: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups of multi-frame images).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aegle.dicom import tags
from aegle.dicom.elements import Elements
from aegle.dicom.header import Parsed
from aegle.dicom.scan import ScannedInstance
from aegle.domain.errors import FileError

Position = tuple[float, float, float]

ENHANCED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in ("2.1", "2.2", "4.1", "4.3", "4.4", "30", "128.1", "130", "13.1.1", "13.1.3", "6.2")
)
"""Classes whose planes lie in functional groups."""

MAX_FRAMES = 400_000

DECISIVE = ("echo time", "b-value")
"""What differs between images that must never be put into one volume."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One slice or frame."""

    instance: int
    """Index of its file in the series."""
    frame: int
    """Index in the file."""
    rows: int
    columns: int
    position_mm: Position | None
    """Centre of the first pixel."""
    orientation: tuple[float, ...]
    """Directions of increasing column and row index; empty if unknown."""
    spacing_mm: tuple[float, ...]
    """Distance of pixel centres along row and column index; empty if unknown."""
    thickness_mm: float | None
    between_mm: float | None
    """Distance to the next slice, as the file states it."""
    slope: float
    intercept: float
    rescale_type: str | None
    """Unit of the rescaled values; None if there is no rescaling."""
    marks: tuple[tuple[str, str], ...]
    """What may tell planes at one position apart: name and value."""

    @property
    def has_place(self) -> bool:
        """Whether it is known where the plane lies."""
        return (
            self.position_mm is not None
            and len(self.orientation) == 6
            and len(self.spacing_mm) == 2
        )

    def mark(self, name: str) -> str:
        """Return the value of a mark; empty if the file does not state it."""
        return dict(self.marks).get(name, "")


def plane_of(instance: ScannedInstance, index: int) -> Plane:
    """Return the plane of a single-frame image from what the scan read."""
    found = instance.header
    slope, intercept = found.number(tags.RESCALE_SLOPE), found.number(tags.RESCALE_INTERCEPT)
    has_rescale = slope is not None and intercept is not None
    return Plane(
        instance=index,
        frame=0,
        rows=found.unsigned(tags.ROWS) or 0,
        columns=found.unsigned(tags.COLUMNS) or 0,
        position_mm=_position(found.numbers(tags.IMAGE_POSITION_PATIENT)),
        orientation=found.numbers(tags.IMAGE_ORIENTATION_PATIENT),
        spacing_mm=found.numbers(tags.PIXEL_SPACING),
        thickness_mm=found.number(tags.SLICE_THICKNESS),
        between_mm=found.number(tags.SPACING_BETWEEN_SLICES),
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        rescale_type=found.text(tags.RESCALE_TYPE) if has_rescale else None,
        marks=_marks(found),
    )


def _marks(found: Elements) -> tuple[tuple[str, str], ...]:
    b_values = found.doubles(tags.DIFFUSION_B_VALUE)
    return (
        ("echo time", found.text(tags.ECHO_TIME)),
        ("b-value", f"{b_values[0]:g}" if b_values else ""),
        ("image type", found.text(tags.IMAGE_TYPE)),
        ("acquisition", found.text(tags.ACQUISITION_NUMBER)),
        ("time point", found.text(tags.TEMPORAL_POSITION_IDENTIFIER)),
        ("trigger time", found.text(tags.TRIGGER_TIME)),
        ("acquisition time", found.text(tags.ACQUISITION_TIME)),
    )


def planes_of_frames(parsed: Parsed, index: int) -> tuple[Plane, ...]:
    """Return the planes of a multi-frame image from its functional groups.

    Frames of images without functional groups have no place.

    Raises:
        FileError: The file is too small for the frames it declares, or its groups are damaged.
    """
    found = parsed.elements
    frames = max(found.whole(tags.NUMBER_OF_FRAMES) or 1, 1)
    if frames > min(MAX_FRAMES, len(parsed.data)):
        raise FileError(
            found.name, f"it declares {frames} frames.", "Split it into files of fewer frames."
        )
    shared = found.first(tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
    own = found.items(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
    if len(own) != frames and shared is None:
        return tuple(_placeless(found, index, frame) for frame in range(frames))
    reader = _Groups(found, shared, own)
    return tuple(reader.plane(index, frame) for frame in range(frames))


def _placeless(found: Elements, index: int, frame: int) -> Plane:
    slope = found.number(tags.RESCALE_SLOPE)
    return Plane(
        instance=index,
        frame=frame,
        rows=found.unsigned(tags.ROWS) or 0,
        columns=found.unsigned(tags.COLUMNS) or 0,
        position_mm=None,
        orientation=(),
        spacing_mm=(),
        thickness_mm=None,
        between_mm=None,
        slope=1.0 if slope is None else slope,
        intercept=found.number(tags.RESCALE_INTERCEPT) or 0.0,
        rescale_type=(
            found.text(tags.RESCALE_TYPE) if found.text(tags.RESCALE_INTERCEPT) else None
        ),
        marks=(),
    )


@dataclass(frozen=True, slots=True)
class _Groups:
    """Functional groups: those of a frame count before those that all frames share."""

    found: Elements
    shared: Elements | None
    own: Sequence[Elements]

    def plane(self, index: int, frame: int) -> Plane:
        measures = self._group(frame, tags.PIXEL_MEASURES_SEQUENCE)
        transform = self._group(frame, tags.PIXEL_VALUE_TRANSFORMATION_SEQUENCE)
        slope = transform.number(tags.RESCALE_SLOPE)
        position = self._group(frame, tags.PLANE_POSITION_SEQUENCE)
        orientation = self._group(frame, tags.PLANE_ORIENTATION_SEQUENCE)
        return Plane(
            instance=index,
            frame=frame,
            rows=self.found.unsigned(tags.ROWS) or 0,
            columns=self.found.unsigned(tags.COLUMNS) or 0,
            position_mm=_position(position.numbers(tags.IMAGE_POSITION_PATIENT)),
            orientation=orientation.numbers(tags.IMAGE_ORIENTATION_PATIENT),
            spacing_mm=measures.numbers(tags.PIXEL_SPACING),
            thickness_mm=measures.number(tags.SLICE_THICKNESS),
            between_mm=measures.number(tags.SPACING_BETWEEN_SLICES),
            slope=1.0 if slope is None else slope,
            intercept=transform.number(tags.RESCALE_INTERCEPT) or 0.0,
            rescale_type=transform.text(tags.RESCALE_TYPE) if slope is not None else None,
            marks=self._marks(frame),
        )

    def _marks(self, frame: int) -> tuple[tuple[str, str], ...]:
        content = self._group(frame, tags.FRAME_CONTENT_SEQUENCE)
        echo = self._group(frame, tags.MR_ECHO_SEQUENCE).doubles(tags.EFFECTIVE_ECHO_TIME)
        diffusion = self._group(frame, tags.MR_DIFFUSION_SEQUENCE).doubles(tags.DIFFUSION_B_VALUE)
        return (
            ("echo time", f"{echo[0]:g}" if echo else ""),
            ("b-value", f"{diffusion[0]:g}" if diffusion else ""),
            ("acquisition", str(content.unsigned(tags.FRAME_ACQUISITION_NUMBER) or "")),
            ("time point", str((content.unsigned(tags.TEMPORAL_POSITION_INDEX)) or "")),
        )

    def _group(self, frame: int, tag: int) -> Elements:
        """Return a group of a frame; an empty one if the file has none."""
        own = self.own[frame].first(tag) if frame < len(self.own) else None
        if own is None and self.shared is not None:
            own = self.shared.first(tag)
        if own is None:
            return Elements(
                self.found.name, self.found.transfer_syntax_uid, self.found.encoding, {}
            )
        return own


def _position(numbers: tuple[float, ...]) -> Position | None:
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None
