"""Dose on the planning image: colour wash, isodose lines, outlines, beams and the isocentre."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aegle.domain.codes import StructureType
from aegle.domain.plan import Beam, Plan
from aegle.domain.structure import Structure
from aegle.domain.study import Image
from aegle.domain.volume import Volume
from aegle.report.blocks import LegendEntry, Pictures
from aegle.report.drawing import Isolines, Picture, Segment
from aegle.report.find import legend_of, picture_of
from aegle.report.language import Words, clean
from aegle.report.plan_words import weighted
from aegle.report.planes import Plane, View, resampled
from aegle.report.shades import (
    ISODOSE_COLOURS,
    ISODOSE_PERCENT,
    Palette,
    Window,
    wash,
    window_of,
)
from aegle.report.slices import Place, Shown, Subject, frame_around, slice_of

LOWEST_WASH = 0.1
"""Dose below this part of the prescription is not coloured."""
BEAM_ENDS_MM = (95.0, 25.0)
"""Between which distances from the isocentre a beam's axis is drawn."""
CLOSE_UP_MM, CLOSE_UP_SHARE = 60.0, 1.7
"""Least size of a close-up, and its size against the target's longest side."""
CROSS_MM = 6.0
"""From the isocentre to the end of its mark."""
WINDOW_MM = 20.0
"""How far around the isocentre is looked for lung when a window is chosen."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Planned:
    """A plan and the image that it was made on, as it is shown."""

    plan: Plan
    image: Image
    window: Window
    place_mm: Place | None = None
    """Where slices cut [mm]; none: at the isocentre."""

    @classmethod
    def of(cls, plan: Plan, image: Image) -> "Planned":
        """Return a plan on an image whose window suits what lies around the isocentre."""
        return cls(plan=plan, image=image, window=window_of(image.volume, _around(plan, image)))

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What is outlined: targets, the body and organs with goals, on the image's grid."""
        return tuple(
            s
            for s in self.plan.structures
            if s.grid.is_same_as(self.image.volume.grid) and _is_shown(s, self.plan)
        )

    @property
    def focus_mm(self) -> Place:
        """Where slices cut: the isocentre; without beams the middle of the target or the dose."""
        if self.place_mm is not None:
            return self.place_mm
        if self.plan.beams:
            return self.plan.beams[0].isocentre_mm
        wanted = self.plan.prescription.target
        target = next((s for s in self.structures if s.name == wanted), None)
        if target is not None and not target.is_empty:
            return target.centroid_mm
        x, y, z = self.plan.dose.grid.centre_mm
        return float(x), float(y), float(z)


def _around(plan: Plan, image: Image) -> NDArray[np.float32]:
    volume = image.volume
    middle_mm = np.asarray(plan.beams[0].isocentre_mm if plan.beams else volume.grid.centre_mm)
    middle = volume.grid.to_indices(middle_mm)
    wide = WINDOW_MM / np.asarray(volume.grid.spacing_mm)
    first = np.floor(np.maximum(middle - wide, 0)).astype(int)
    last = np.ceil(np.maximum(middle + wide + 1, 1)).astype(int)
    return volume.values[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]


def _is_shown(structure: Structure, plan: Plan) -> bool:
    kinds = (StructureType.TARGET, StructureType.LESION, StructureType.EXTERNAL)
    judged = {goal.structure for goal in plan.prescription.goals}
    return structure.type in kinds or structure.name in judged


def level_gy(plan: Plan, percent: float) -> float:
    """Return a part of the prescribed dose [Gy]."""
    return plan.prescription.dose_gy * percent / 100


def dose_pictures(planned: Planned, words: Words, palette: Palette) -> tuple[Pictures, Pictures]:
    """Return the dose in three planes through the isocentre, whole and close up, with a legend."""
    whole = [(plane, dose_slice(planned, plane, palette)) for plane in Plane]
    near = [(plane, _close_up(planned, plane, palette)) for plane in Plane]
    seen = {id(structure): structure for _, item in whole for structure in item.structures}
    return (
        Pictures(
            title=words("Dose through the isocentre; isodose lines dashed, structures solid"),
            items=tuple(_dose_picture(planned, plane, item, words) for plane, item in whole),
        ),
        Pictures(
            title=words("Around the target"),
            items=tuple(_dose_picture(planned, plane, item, words) for plane, item in near),
            legend=(*isodose_legend(planned.plan), *legend_of(seen.values(), palette, words)),
        ),
    )


def _dose_picture(planned: Planned, plane: Plane, shown: Shown, words: Words) -> Picture:
    name = words.name(plane.name.lower())
    return picture_of(
        shown,
        caption=f"{name} · {shown.window.label}" if shown.window.label else name,
        alt=words(
            "Dose in colour on the {plane} slice through the isocentre, with isodose lines "
            "and the outline of the target {target}.",
            plane=name,
            target=clean(words.name(planned.plan.prescription.target)),
        ),
    )


def _close_up(planned: Planned, plane: Plane, palette: Palette) -> Shown:
    """Return the part of a dose slice around the target, without the beams."""
    shown = dose_slice(planned, plane, palette)
    view = View(planned.image.volume.grid, plane)
    middle = view.to_picture(np.asarray(planned.focus_mm))
    wanted = planned.plan.prescription.target
    target = next((s for s in planned.structures if s.name == wanted and not s.is_empty), None)
    size_mm = CLOSE_UP_MM
    if target is not None:
        longest_mm = max(np.multiply(target.box.shape, target.grid.spacing_mm).tolist())
        size_mm = max(size_mm, CLOSE_UP_SHARE * longest_mm)
    scene = replace(
        shown.scene,
        frame=frame_around(middle, size_mm),
        segments=isocentre_mark(planned.plan.beams, view),
    )
    return replace(shown, scene=scene)


def isodose_legend(plan: Plan) -> tuple[LegendEntry, ...]:
    """Return the colours of isodose lines."""
    return tuple(
        LegendEntry(weighted(f"{percent:g} % = {level_gy(plan, percent):.1f} Gy", plan), colour)
        for percent, colour in zip(ISODOSE_PERCENT, ISODOSE_COLOURS, strict=True)
    )


def dose_slice(planned: Planned, plane: Plane, palette: Palette) -> Shown:
    """Return the planning image through the isocentre with dose, isodoses and contours."""
    plan, view = planned.plan, View(planned.image.volume.grid, plane)
    shown = plain_slice(planned, plane, palette)
    dose = through_focus(planned, plane, plan.dose)
    share = (dose / (1.05 * plan.prescription.dose_gy)).astype(np.float32)
    levels = tuple(level_gy(plan, percent) for percent in ISODOSE_PERCENT)
    scene = replace(
        shown.scene,
        base=wash(shown.scene.base, share, lowest=LOWEST_WASH, strength=0.38),
        isolines=(Isolines(dose, levels, ISODOSE_COLOURS),),
        segments=(
            *(beam_lines(plan.beams, view) if plane is Plane.AXIAL else ()),
            *(isocentre_mark(plan.beams, view)),
        ),
    )
    return replace(shown, scene=scene)


def plain_slice(planned: Planned, plane: Plane, palette: Palette) -> Shown:
    """Return the planning image through the isocentre with contours alone."""
    subject = Subject(image=planned.image, structures=planned.structures)
    return slice_of(subject, plane, palette, planned.focus_mm, planned.window)


def through_focus(planned: Planned, plane: Plane, volume: Volume) -> NDArray[np.float32]:
    """Return a volume on the pixels of the slice through the isocentre, zero outside of it."""
    view = View(planned.image.volume.grid, plane)
    values: NDArray[np.float32] = np.nan_to_num(
        resampled(view, view.index_at(planned.focus_mm), volume)
    )
    return values


def beam_lines(beams: tuple[Beam, ...], view: View) -> tuple[Segment, ...]:
    """Draw the axis of each coplanar beam from its entrance side to the isocentre.

    Source of the direction: IEC 61217, gantry 0° comes from the front of a supine patient
    and turns towards the patient's left.
    """
    lines = []
    for beam in beams:
        if beam.couch_deg % 360:
            continue
        angle = np.deg2rad(beam.gantry_deg)
        towards_source = np.array([np.sin(angle), -np.cos(angle), 0.0])
        centre = np.asarray(beam.isocentre_mm)
        ends_mm = np.array([centre + far * towards_source for far in BEAM_ENDS_MM])
        label = f"{beam.gantry_deg:.0f}°"
        lines.append(
            Segment(view.to_picture(ends_mm), label, "#ffffff", is_dashed=True, is_labelled=True)
        )
    return tuple(lines)


def isocentre_mark(beams: tuple[Beam, ...], view: View) -> tuple[Segment, ...]:
    """Return a cross at the isocentre; none without beams."""
    if not beams:
        return ()
    middle = view.to_picture(np.asarray(beams[0].isocentre_mm))
    arms = np.array([[CROSS_MM, 0.0], [0.0, CROSS_MM]])
    return tuple(Segment(np.array([middle - arm, middle + arm]), colour="#ffffff") for arm in arms)
