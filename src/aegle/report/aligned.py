"""The same anatomical places at every visit: slices of the baseline and what lies there later.

Every pixel of a baseline slice is carried through the alignment, deformation included, and the
later image is read there. So both pictures show the same place in the same direction, and a
lesion that moved with breathing stays where it was.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pixels
from scipy.ndimage import binary_erosion, map_coordinates

from aegle.domain.case import CaseResults
from aegle.domain.finding import Lesion
from aegle.domain.followed import followed_images
from aegle.domain.grid import Points
from aegle.domain.registration import Registration, Verdict
from aegle.domain.response import FollowUp
from aegle.domain.study import Image
from aegle.domain.tissue_change import TissueChange
from aegle.domain.volume import Quantity
from aegle.report.find import findings_of, subject_of
from aegle.report.planes import View
from aegle.report.shades import Window
from aegle.report.slices import native_view

PIXELS = 300
"""Longer side of a picture."""
MOST_SLICES = 40
OUTSIDE_RGB = (30, 38, 66)
"""What the later image does not show."""
LESION_RGB = (255, 208, 0)
GROWN_RGB, SHRUNK_RGB = (255, 80, 60), (70, 150, 255)
"""Of tissue that changed, where no lesions are delineated."""
QUALITY = 80


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """One visit, slice by slice on the baseline's places."""

    visit: int
    """Index of the examination."""
    frames: NDArray[np.uint8]
    """Shape (slice, down, right, 3); empty if the visit is not aligned."""
    registration: Registration | None
    """None at baseline."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AlignedSlices:
    """Pictures of the same places at every visit."""

    panels: tuple[Panel, ...]
    heights_mm: tuple[float, ...]
    """Where each slice lies along the patient's main axis across it [mm]."""
    letters: tuple[str, str, str, str]
    start: int
    """Slice that shows the largest lesion best."""
    tracks: tuple[tuple[str, int], ...]
    """Name of each lesion and the slice to go to."""

    @property
    def central(self) -> tuple[int, ...]:
        """Three slices around the start, for paper."""
        count = len(self.heights_mm)
        step = max(1, count // 12)
        middle = min(max(self.start, step), count - 1 - step) if count > 2 * step else count // 2
        return tuple(
            dict.fromkeys(int(np.clip(middle + k * step, 0, count - 1)) for k in (1, 0, -1))
        )


def aligned_slices(results: CaseResults, follow_up: FollowUp) -> AlignedSlices | None:
    """Return the slices of all followed visits; None if the baseline has no image to show.

    Args:
        results: The case.
        follow_up: Its follow-up.
    """
    examinations, timeline = results.examinations, follow_up.timeline
    visits = [examinations.index_of(uid) for uid in timeline.study_uids]
    compared = followed_images(examinations.visits)
    images = [compared[v] for v in visits]
    fixed = images[0]
    if fixed is None:
        return None
    view = native_view(fixed)
    places = [*_places(results, follow_up, visits, fixed), *_changed_places(follow_up)]
    chosen = _chosen(fixed.volume.grid.shape[view.normal], [index for _, index in places])
    window = subject_of(results, visits[0], fixed).window
    registrations = (None, *timeline.registrations)
    panels: list[Panel] = []
    for visit, image, registration in zip(visits, images, registrations, strict=True):
        # Only HU mean the same at every visit; signals are scaled anew by each scan.
        shades = window
        if image is not None and image.volume.quantity is not Quantity.RADIODENSITY:
            shades = subject_of(results, visit, image).window
        seen = _seen(results, visit, image, registration)
        if seen is not None and registration is not None:
            changes = [c.change for c in follow_up.changes if c.visit == len(panels)]
            seen = replace(seen, change=next(iter(changes), None))
        frames = _frames(view, chosen, shades, seen)
        panels.append(Panel(visit=visit, frames=frames, registration=registration))
    near = [(name, int(np.argmin(np.abs(np.subtract(chosen, n))))) for name, n in places]
    return AlignedSlices(
        panels=tuple(panels),
        heights_mm=tuple(_height_mm(view, index) for index in chosen),
        letters=view.letters,
        start=near[0][1] if near else len(chosen) // 2,
        tracks=tuple(near),
    )


def _places(
    results: CaseResults, follow_up: FollowUp, visits: list[int], fixed: Image
) -> list[tuple[str, int]]:
    """Return each lesion with the baseline slice nearest to it, the largest target first."""
    found: dict[str, tuple[bool, float, int]] = {}
    view = native_view(fixed)
    for entry in follow_up.timeline.entries:
        if entry.track in found or entry.lesion_id is None:
            continue
        lesions = findings_of(results, visits[entry.visit]).lesions
        lesion = next((o for o in lesions if o.id == entry.lesion_id), None)
        if lesion is None:
            continue
        place = np.asarray(lesion.structure.centroid_mm)
        if entry.visit > 0:
            registration = follow_up.timeline.registrations[entry.visit - 1]
            if registration.verdict is Verdict.FAILED:
                continue
            place = registration.to_fixed(place)
        found[entry.track] = (not entry.is_target, -entry.diameter_mm, view.index_at(place))
    return [(t, index) for t, (_, _, index) in sorted(found.items(), key=lambda i: i[1])]


def _chosen(count: int, wanted: list[int]) -> list[int]:
    """Return evenly spaced slices, and those of the lesions."""
    even = np.linspace(0, count - 1, min(count, MOST_SLICES)).round().astype(int).tolist()
    return sorted({*even, *wanted})


def _height_mm(view: View, index: int) -> float:
    corner = view.corners_mm(index)[0]
    main = int(np.argmax(np.abs(view.grid.axes[view.normal])))
    return float(corner[main])


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a visit shows, and how to get there from baseline."""

    image: Image
    lesions: NDArray[np.uint8]
    """Mask of all lesions on the image."""
    registration: Registration | None
    change: TissueChange | None = None
    """On the grid of the baseline."""


def _seen(
    results: CaseResults, visit: int, image: Image | None, registration: Registration | None
) -> _Seen | None:
    failed = registration is not None and registration.verdict is Verdict.FAILED
    if image is None or failed:
        return None
    own = [o for o in findings_of(results, visit).lesions if o.image == image.name]
    return _Seen(image, _union(own, image), registration)


def _frames(view: View, chosen: list[int], window: Window, seen: _Seen | None) -> NDArray[np.uint8]:
    if seen is None:
        return np.zeros((0, 1, 1, 3), dtype=np.uint8)
    image, registration = seen.image, seen.registration
    frames = []
    for index in chosen:
        places = pixel_places(view, index)
        if registration is not None:
            places = registration.to_moving(places)
        at = np.moveaxis(image.volume.grid.to_indices(places), -1, 0)
        values = map_coordinates(
            image.volume.values, at, order=1, mode="nearest", output=np.float32
        )
        frame = window.grey(values)
        frame[~_within(at, image.volume.grid.shape)] = OUTSIDE_RGB
        inside = map_coordinates(seen.lesions, at, order=0, cval=0).astype(bool)
        frame[inside & ~binary_erosion(inside)] = LESION_RGB
        if seen.change is not None:
            _outline_change(frame, seen.change, pixel_places(view, index))
        frames.append(frame)
    return np.stack(frames)


def _outline_change(frame: NDArray[np.uint8], change: TissueChange, places: Points) -> None:
    for part, colour in ((change.grown, GROWN_RGB), (change.shrunk, SHRUNK_RGB)):
        at = np.moveaxis(part.structure.grid.to_indices(places), -1, 0)
        mask = part.structure.mask.astype(np.uint8)
        inside = map_coordinates(mask, at, order=0, cval=0).astype(bool)
        frame[inside & ~binary_erosion(inside)] = colour


def _changed_places(follow_up: FollowUp) -> list[tuple[str, int]]:
    """Return for each visit with changed tissue the slice that shows most of it."""
    found = []
    for one in follow_up.changes:
        parts = [p.structure for p in (one.change.grown, one.change.shrunk) if p.count]
        if parts:
            per_slice = sum(np.count_nonzero(p.mask, axis=(1, 2)) for p in parts)
            found.append((f"Δ{one.visit + 1}", int(np.argmax(per_slice))))
    return found


def _within(at: Points, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return which indices, axis first, lie in a voxel of the image, its outer half included."""
    ends = np.reshape(shape, (3, 1, 1)) - 0.5
    return np.asarray(((at >= -0.5) & (at <= ends)).all(axis=0), dtype=np.bool_)


def _union(lesions: list[Lesion], image: Image) -> NDArray[np.uint8]:
    union = np.zeros(image.volume.grid.shape, dtype=np.uint8)
    for lesion in lesions:
        union[lesion.structure.window] |= lesion.structure.box
    return union


def pixel_places(view: View, index: int) -> Points:
    """Return the LPS position of each pixel of a picture of a slice, square pixels [mm]."""
    down_mm, right_mm = np.multiply(view.shape, view.pixel_mm)
    step = max(down_mm, right_mm) / PIXELS
    first, below, beside = view.corners_mm(index)
    rows = _centres(down_mm, step) / view.pixel_mm[0] - 0.5
    columns = _centres(right_mm, step) / view.pixel_mm[1] - 0.5
    places: Points = (
        first + rows[:, None, None] * (below - first) + columns[None, :, None] * (beside - first)
    )
    return places


def _centres(length_mm: float, step_mm: float) -> NDArray[np.float64]:
    """Return the middles of pixels along a length that starts at the border of the image [mm]."""
    count = max(1, round(length_mm / step_mm))
    return np.asarray((np.arange(count) + 0.5) * step_mm, dtype=np.float64)


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """Return a picture as JPEG bytes."""
    stream = io.BytesIO()
    Pixels.fromarray(frame).save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()
