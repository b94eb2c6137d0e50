"""Scenes of what was found: slices of an image with contours and diameters."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aegle.domain.codes import StructureType
from aegle.domain.finding import Lesion
from aegle.domain.structure import Structure
from aegle.domain.study import Image
from aegle.domain.volume import Volume
from aegle.report.drawing import Frame, Outline, Scene, Segment
from aegle.report.planes import Plane, View, resampled
from aegle.report.shades import Palette, Window, glow, window_of

MOST_OUTLINES = 24
CLOSE_UP_MM = 50.0
"""Smallest part of a slice that a close-up shows."""
MARGIN_MM = 12.0
NEARBY_MM = 20.0
"""How far around the place of interest is looked for lung when a window is chosen."""
Place = tuple[float, float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """An image and what lies on it."""

    image: Image
    structures: tuple[Structure, ...] = ()
    lesions: tuple[Lesion, ...] = ()

    @property
    def largest(self) -> Lesion | None:
        """The lesion with the longest diameter."""
        return max(self.lesions, key=lambda i: i.diameters.longest_mm, default=None)

    @property
    def focus_mm(self) -> Place:
        """The largest lesion, or the middle of the structures, or of the image."""
        if self.largest is not None:
            return self.largest.structure.centroid_mm
        filled = [s for s in self.structures if not s.is_empty]
        organs = [s for s in filled if s.type is not StructureType.EXTERNAL] or filled
        if organs:
            return max(organs, key=lambda s: s.volume_ml).centroid_mm
        x, y, z = self.image.volume.grid.centre_mm
        return float(x), float(y), float(z)

    @cached_property
    def window(self) -> Window:
        """The window of all pictures of this image.

        A CT has the lung window if more than a fifth of what lies within 20 mm of its largest
        lesion is lung, else the soft-tissue window; so a lesion in or beside lung is seen
        against lung, and one among soft tissue against soft tissue. Without a lesion the
        neighbourhood of :attr:`focus_mm` decides. Outside the body there is no lung.
        """
        return window_of(self.image.volume, self._nearby())

    def _nearby(self) -> NDArray[np.float32]:
        """Return the values within 20 mm of the largest lesion, but not in it."""
        volume, lesion = self.image.volume, self.largest
        wide = np.ceil(NEARBY_MM / np.asarray(volume.grid.spacing_mm)).astype(int)
        if lesion is None or lesion.structure.is_empty:
            first = last = volume.grid.to_indices(np.asarray(self.focus_mm)).round().astype(int)
        else:
            first = np.asarray(lesion.structure.start)
            last = first + lesion.structure.box.shape - 1
        parts = zip(np.maximum(first - wide, 0), np.maximum(last + wide + 1, 0), strict=True)
        part = tuple(slice(int(a), int(b)) for a, b in parts)
        asked = np.ones(volume.values[part].shape, dtype=np.bool_)
        for body in (s for s in self.structures if s.type is StructureType.EXTERNAL):
            asked &= body.mask[part]
        if lesion is not None:
            asked &= ~lesion.structure.mask[part]
        return volume.values[part][asked]


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """A scene and the structures that can be seen on it."""

    scene: Scene
    window: Window
    structures: tuple[Structure, ...] = ()


def slice_of(
    subject: Subject,
    plane: Plane,
    palette: Palette,
    focus_mm: Place | None = None,
    window: Window | None = None,
) -> Shown:
    """Return the slice of an image through a place, with contours and diameters.

    Args:
        subject: The image and what lies on it.
        plane: The plane of the slice.
        palette: Colours of the structures.
        focus_mm: LPS position the slice goes through; the subject's focus if None [mm].
        window: Grey scale; the image's own if None.
    """
    view = View(subject.image.volume.grid, plane)
    index = _index(view, subject, focus_mm)
    values = view.cut(subject.image.volume.values, index)
    window = window or subject.window
    outlined = _outlined(view, index, subject.structures, palette)
    scene = Scene(
        base=window.grey(values),
        pixel_mm=view.pixel_mm,
        letters=view.letters,
        frame=_body_frame(view, subject.structures),
        outlines=tuple(outline for _, outline in outlined),
        segments=_diameters(view, index, subject.lesions),
        marks=_names(view, index, subject.lesions),
        is_light=window.is_inverted,
    )
    return Shown(scene=scene, window=window, structures=tuple(s for s, _ in outlined))


def close_up(
    subject: Subject,
    lesion: Lesion,
    palette: Palette,
    *,
    size_mm: float | None = None,
    window: Window | None = None,
) -> Shown:
    """Return the slice on which a lesion was measured, cut out around it."""
    alone = replace(subject, lesions=(lesion,))
    view = native_view(subject.image)
    place_mm = lesion.structure.centroid_mm
    shown = slice_of(alone, view.plane, palette, place_mm, window or subject.window)
    middle = view.to_picture(np.asarray(lesion.diameters.longest_ends_mm).mean(axis=0))
    scene = replace(
        shown.scene,
        frame=frame_around(middle, size_mm or _close_up_mm(view, lesion)),
        marks=(),
        key=tuple((s.colour, s.label) for s in shown.scene.segments),
    )
    return replace(shown, scene=scene)


def _close_up_mm(view: View, lesion: Lesion) -> float:
    """Return the size of a close-up: what lies around the lesion, within the image."""
    whole_mm = max(np.multiply(view.shape, view.pixel_mm))
    return float(min(max(CLOSE_UP_MM, 2.4 * lesion.diameters.longest_mm), whole_mm))


def empty_close_up(
    image: Image, place_mm: Place, *, size_mm: float, window: Window | None = None
) -> Shown:
    """Return the part of a slice where a lesion is expected but not seen."""
    view = native_view(image)
    palette_free = slice_of(Subject(image=image), view.plane, NO_PALETTE, place_mm, window)
    middle = view.to_picture(np.asarray(place_mm))
    scene = replace(palette_free.scene, frame=frame_around(middle, size_mm))
    return replace(palette_free, scene=scene)


def fused(
    ct: Image, pet: Image, plane: Plane, place_mm: Place, window: Window | None = None
) -> Shown:
    """Return PET as colour on the CT slice through a place, the CT in a given window."""
    shown = slice_of(Subject(image=ct), plane, NO_PALETTE, place_mm, window)
    view = View(ct.volume.grid, plane)
    uptake = resampled(view, view.index_at(place_mm), pet.volume)
    colours = window_of(pet.volume, uptake)
    scene = replace(shown.scene, base=glow(shown.scene.base, uptake, colours))
    return Shown(scene=scene, window=colours)


def native_view(image: Image) -> View:
    """Return the view along the slices in which an image was acquired."""
    views = [View(image.volume.grid, plane) for plane in Plane]
    return next(view for view in views if view.normal == 0)


def has_thick_slices(volume: Volume) -> bool:
    """Whether slices are so thick or few that cuts across them show little."""
    across, *along = volume.grid.spacing_mm
    high, *wide = np.multiply(volume.grid.shape, volume.grid.spacing_mm)
    return bool(volume.grid.shape[0] < 8 or across > 3 * min(along) or high < max(wide) / 2)


def frame_around(middle: np.ndarray, size_mm: float) -> Frame:
    """Return a square frame around a place."""
    half = size_mm / 2
    x, y = (float(v) for v in middle)
    return x - half, x + half, y - half, y + half


def _index(view: View, subject: Subject, focus_mm: Place | None) -> int:
    largest = subject.largest
    if view.normal == 0 and largest is not None and focus_mm in (None, _centre(largest)):
        return largest.diameters.slice_index
    return view.index_at(focus_mm or subject.focus_mm)


def _centre(lesion: Lesion) -> Place:
    return lesion.structure.centroid_mm


def _outlined(
    view: View, index: int, structures: Iterable[Structure], palette: Palette
) -> list[tuple[Structure, Outline]]:
    sections = [(s, view.section(s, index)) for s in structures]
    seen = [(s, mask) for s, mask in sections if mask is not None]
    important = (StructureType.LESION, StructureType.TARGET)
    seen.sort(key=lambda item: (item[0].type not in important, -int(item[1].sum())))
    drawn = seen[:MOST_OUTLINES]
    return [
        (s, Outline(mask, palette.colour(s), 1.7 if s.type in important else 1.1))
        for s, mask in reversed(drawn)
    ]


def _body_frame(view: View, structures: Iterable[Structure]) -> Frame | None:
    """Return the frame of the body, so that air around it takes no room."""
    body = next((s for s in structures if s.type is StructureType.EXTERNAL), None)
    if body is None or body.is_empty:
        return None
    ends = np.array([body.start, np.add(body.start, body.box.shape) - 1])
    corners = np.array(np.meshgrid(*ends.T)).reshape(3, -1).T
    places = view.to_picture(view.grid.to_patient(corners.astype(np.float64)))
    (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
    return left - MARGIN_MM, right + MARGIN_MM, top - MARGIN_MM, bottom + MARGIN_MM


def _diameters(view: View, index: int, lesions: Iterable[Lesion]) -> tuple[Segment, ...]:
    if view.normal != 0:
        return ()
    measured = [i.diameters for i in lesions if i.diameters.slice_index == index]
    longest = [
        Segment(view.to_picture(np.asarray(d.longest_ends_mm)), f"{d.longest_mm:.1f} mm")
        for d in measured
    ]
    perpendicular = [
        Segment(
            view.to_picture(np.asarray(d.perpendicular_ends_mm)),
            f"{d.perpendicular_mm:.1f} mm",
            colour="#5fdcff",
            is_dashed=True,
        )
        for d in measured
    ]
    return (*longest, *perpendicular)


def _names(
    view: View, index: int, lesions: Iterable[Lesion]
) -> tuple[tuple[float, float, str], ...]:
    names = []
    for lesion in lesions:
        mask = view.section(lesion.structure, index)
        if mask is not None:
            rows, columns = np.nonzero(mask)
            x, y = columns.max() * view.pixel_mm[1], rows.max() * view.pixel_mm[0]
            names.append((float(x), float(y), lesion.id))
    return tuple(names)


class _NoPalette(Palette):
    """For pictures without structures."""

    def __init__(self) -> None:
        self._organs = {}


NO_PALETTE = _NoPalette()
