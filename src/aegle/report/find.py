"""The chapter on what was found at each visit."""

import math
from collections.abc import Iterable, Iterator, Mapping

from aegle.domain.case import CaseResults
from aegle.domain.codes import StructureType
from aegle.domain.finding import Findings, Lesion, LesionUptake, OrganMeasure, Statistics
from aegle.domain.structure import Structure
from aegle.domain.study import Examination, Image, Projection
from aegle.domain.text import Text
from aegle.domain.volume import Quantity
from aegle.report import assessment
from aegle.report.blocks import (
    Block,
    LegendEntry,
    Paragraph,
    Pictures,
    Section,
    Subheading,
    Table,
    Tone,
    plain,
)
from aegle.report.drawing import Picture, Scene, draw
from aegle.report.language import Words, clean
from aegle.report.planes import Plane
from aegle.report.shades import LUNG, OUTLINE_COLOUR, SOFT_TISSUE, Palette, plain_grey
from aegle.report.slices import (
    NO_PALETTE,
    Shown,
    Subject,
    close_up,
    fused,
    has_thick_slices,
    native_view,
    slice_of,
)
from aegle.report.tracks import titles

MOST_IMAGES = 6
"""Images of a visit that are pictured; more would bury the reader."""
MODALITIES = ("CT", "PT", "MR")
"""Order in which images are shown."""
MOST_CLOSE_UPS = 6
MOST_LEGEND_ENTRIES = 16
MASS_MM = 30.0
"""What is longer than this in lung is a mass, whose inside is shown too.

Source: Hansell et al., Radiology 2008;246:697 (Fleischner Society glossary).
"""
SUV_UNIT = Quantity.STANDARDISED_UPTAKE.value


def section(results: CaseResults, words: Words, palette: Palette) -> Section:
    """Return the chapter."""
    blocks: list[Block] = []
    for number, visit in enumerate(results.examinations.visits):
        blocks.append(visit_heading(visit, number, words))
        blocks += _visit(results, number, words, palette)
    if not blocks:
        blocks.append(Paragraph(words("There is no visit to show."), Tone.WARN))
    return Section(
        anchor="find",
        title=words("Find"),
        lead=words("What the images show, and how large it is."),
        blocks=tuple(blocks),
    )


def visit_heading(visit: Examination, number: int, words: Words) -> Subheading:
    """Return the heading of a visit: number, date, description."""
    title = words("Visit {number}", number=number + 1)
    return Subheading(f"{title} · {words.day(visit.time)}", clean(visit.description))


def subject_of(results: CaseResults, visit: int, image: Image) -> Subject:
    """Return an image with the structures and lesions that lie on it."""
    structures = _visit_structures(results, visit, image)
    lesions = tuple(i for i in findings_of(results, visit).lesions if i.image == image.name)
    return Subject(image=image, structures=structures, lesions=lesions)


def findings_of(results: CaseResults, visit: int) -> Findings:
    """Return what was found at a visit; nothing if the stage did not reach it."""
    if visit < len(results.findings.visits):
        return results.findings.visits[visit]
    return Findings(study_uid=results.examinations.visits[visit].study_uid)


def legend_of(
    structures: Iterable[Structure], palette: Palette, words: Words
) -> tuple[LegendEntry, ...]:
    """Return the names and colours of structures; all lesions share one entry."""
    entries: dict[str, LegendEntry] = {}
    for structure in structures:
        is_lesion = structure.type is StructureType.LESION
        name = words("lesions") if is_lesion else clean(words.name(structure.name))
        entries.setdefault(name, LegendEntry(name, palette.colour(structure)))
    order = sorted(entries.values(), key=lambda e: e.colour == OUTLINE_COLOUR)
    return tuple(order[:MOST_LEGEND_ENTRIES])


def _visit_structures(results: CaseResults, visit: int, image: Image) -> tuple[Structure, ...]:
    visits = results.segmentations.visits
    found = tuple(visits[visit].of(image.name)) if visit < len(visits) else ()
    structures = found or tuple(image.structures)
    return tuple(s for s in structures if s.grid.shape == image.volume.grid.shape)


def _visit(results: CaseResults, number: int, words: Words, palette: Palette) -> Iterator[Block]:
    visit = results.examinations.visits[number]
    findings, named = findings_of(results, number), titles(results, number)
    subjects = [subject_of(results, number, image) for image in visit.images]
    subjects.sort(key=_importance)
    pictured = subjects[:MOST_IMAGES]
    for subject in (s for s in pictured if s.structures or _is_fusable(s, pictured)):
        yield _delineated(subject, pictured, words, palette, named)
    others = [s for s in pictured if not s.structures and not _is_fusable(s, pictured)]
    if others or visit.projections:
        yield _plain_pictures(others, visit.projections[:MOST_IMAGES], words)
    left_out = len(subjects) - len(pictured) + max(0, len(visit.projections) - MOST_IMAGES)
    if left_out:
        yield Paragraph(words("Not pictured: {count} more images.", count=left_out), Tone.CALM)
    yield from assessment.quality_blocks(results, number, words)
    segmented = results.segmentations.visits
    found = segmented[number].notices if number < len(segmented) else ()
    notices = (*visit.notices, *found, *findings.notices)
    if findings.lesions:
        yield _lesion_table(findings.lesions, words, named)
    elif not says_why_no_lesion(notices):
        yield Paragraph(words("No lesion was delineated or found at this visit."), Tone.CALM)
    if findings.organs:
        yield _organ_table(findings.organs, words)
    for notice in dict.fromkeys(notices):
        yield Paragraph(words.text(notice), Tone.CALM)


def says_why_no_lesion(notices: Iterable[Text]) -> bool:
    """Return whether notices already tell that there is no lesion, or that none was sought."""
    told = [notice.template.lower() for notice in notices if "lesion" in notice.template]
    was_sought = any("were looked for" in t and "not looked for" not in t for t in told)
    return not was_sought and any("no lesion" in t or "not looked for" in t for t in told)


def _importance(subject: Subject) -> tuple[bool, bool, int]:
    """Order images: those with lesions first, then those with structures; CT before PET."""
    modality = subject.image.series.modality
    rank = MODALITIES.index(modality) if modality in MODALITIES else len(MODALITIES)
    return not subject.lesions, not subject.structures, rank


def _is_fusable(subject: Subject, others: list[Subject]) -> bool:
    return _ct_for(subject.image, others) is not None


def _ct_for(image: Image, others: list[Subject]) -> Subject | None:
    """Return the CT that shares its frame of reference with a PET."""
    frame = image.series.frame_of_reference_uid
    if image.series.modality != "PT" or not frame:
        return None
    return next(
        (
            s
            for s in others
            if s.image.series.modality == "CT" and s.image.series.frame_of_reference_uid == frame
        ),
        None,
    )


def _delineated(
    subject: Subject,
    others: list[Subject],
    words: Words,
    palette: Palette,
    named: Mapping[str, str],
) -> Pictures:
    """Picture an image in three planes, its largest lesions close up, and PET on its CT."""
    ct = _ct_for(subject.image, others)
    focus_mm = None if subject.lesions or ct is None else ct.focus_mm
    shown = [(plane, slice_of(subject, plane, palette, focus_mm)) for plane in _planes(subject)]
    items = [_picture(s, subject.image.name, plane, words) for plane, s in shown]
    if _has_lung_mass(subject):
        plane = shown[0][0]
        inside = slice_of(subject, plane, palette, focus_mm, SOFT_TISSUE)
        items.insert(1, _picture(inside, subject.image.name, plane, words))
    items += _close_ups(subject, words, palette, named)
    if ct is not None:
        items += _fusions(subject, ct, words)
    seen = {id(structure): structure for _, s in shown for structure in s.structures}
    return Pictures(
        title=_image_title(subject.image, words),
        items=tuple(items),
        legend=legend_of(seen.values(), palette, words),
    )


def _has_lung_mass(subject: Subject) -> bool:
    """Return whether a picture in the lung window hides the inside of what is shown."""
    largest = subject.largest
    return largest is not None and largest.diameters.longest_mm > MASS_MM and subject.window == LUNG


def _planes(subject: Subject) -> list[Plane]:
    native = native_view(subject.image).plane
    if has_thick_slices(subject.image.volume) and not subject.structures:
        return [native]
    return [native, *(plane for plane in Plane if plane is not native)]


def _close_ups(
    subject: Subject, words: Words, palette: Palette, named: Mapping[str, str]
) -> list[Picture]:
    largest = sorted(subject.lesions, key=lambda i: -i.diameters.longest_mm)[:MOST_CLOSE_UPS]
    return [
        picture_of(
            close_up(subject, lesion, palette),
            caption=words(
                "{lesion}: {longest} × {perpendicular} mm",
                lesion=named.get(lesion.id, clean(lesion.id)),
                longest=f"{lesion.diameters.longest_mm:.1f}",
                perpendicular=f"{lesion.diameters.perpendicular_mm:.1f}",
            ),
            alt=words(
                "Close-up of lesion {lesion} with its longest diameter of {longest} mm and the "
                "perpendicular of {perpendicular} mm.",
                lesion=clean(lesion.id),
                longest=f"{lesion.diameters.longest_mm:.1f}",
                perpendicular=f"{lesion.diameters.perpendicular_mm:.1f}",
            ),
        )
        for lesion in largest
    ]


def _fusions(subject: Subject, ct: Subject, words: Words) -> list[Picture]:
    focus_mm = subject.focus_mm if subject.lesions else ct.focus_mm
    return [
        picture_of(
            fused(ct.image, subject.image, plane, focus_mm, ct.window),
            caption=f"{words('PET on CT')} · {words.name(plane.name.lower())}",
            alt=words(
                "PET uptake in colour on the {plane} CT slice.",
                plane=words.name(plane.name.lower()),
            ),
        )
        for plane in Plane
    ]


def _plain_pictures(
    subjects: list[Subject], projections: tuple[Projection, ...], words: Words
) -> Pictures:
    items = [
        _picture(slice_of(subject, plane, NO_PALETTE), subject.image.name, plane, words)
        for subject in subjects
        for plane in _planes(subject)
    ]
    items += [_projection_picture(projection, words) for projection in projections]
    return Pictures(title=words("Images without delineated structures"), items=tuple(items))


def _projection_picture(projection: Projection, words: Words) -> Picture:
    frames = projection.image.values
    data, width, height = draw(
        Scene(
            base=plain_grey(frames[len(frames) // 2 if len(frames) > 1 else 0]),
            pixel_mm=projection.image.spacing_mm or (1.0, 1.0),
            has_scale=projection.image.spacing_mm is not None,
        )
    )
    description = clean(projection.series.description)
    caption = " · ".join(part for part in (clean(projection.name), description) if part)
    alt = words("Projection image {name}.", name=clean(projection.name))
    return Picture(
        data=data, media_type="image/jpeg", width=width, height=height, alt=alt, caption=caption
    )


def picture_of(shown: Shown, *, caption: str, alt: str) -> Picture:
    """Draw a scene."""
    data, width, height = draw(shown.scene)
    return Picture(
        data=data, media_type="image/jpeg", width=width, height=height, alt=alt, caption=caption
    )


def _picture(shown: Shown, image: str, plane: Plane, words: Words) -> Picture:
    name = words.name(plane.name.lower())
    names = ", ".join(dict.fromkeys(clean(words.name(s.name)) for s in shown.structures))
    told = names or words("none")
    return picture_of(
        shown,
        caption=" · ".join(part for part in (clean(image), name, shown.window.label) if part),
        alt=words(
            "{image}, {plane} slice. Structures outlined: {names}.",
            image=clean(image),
            plane=name,
            names=told,
        ),
    )


def _image_title(image: Image, words: Words) -> str:
    spacing = " × ".join(f"{s:.2f}" for s in image.volume.grid.spacing_mm)
    parts = (clean(image.name), clean(image.series.description), f"{spacing} mm")
    return " · ".join(part for part in parts if part) + f" ({words('slice, row, column')})"


def _organ_table(organs: tuple[OrganMeasure, ...], words: Words) -> Table:
    return Table(
        caption=words("Organs"),
        heads=tuple(map(words, ("Organ", "Volume [mL]", "Mean ± SD", "Image"))),
        rows=tuple(
            plain(
                clean(words.name(organ.name)),
                _millilitres(organ.volume_ml),
                statistics_words(organ.statistics, words),
                clean(organ.statistics.image),
            )
            for organ in organs
        ),
        numeric=frozenset({1, 2}),
    )


def _lesion_table(lesions: tuple[Lesion, ...], words: Words, named: Mapping[str, str]) -> Table:
    heads = (
        "Lesion",
        "Site",
        "Kind",
        "Longest [mm]",
        "Perpendicular [mm]",
        "Volume [mL]",
        "Mean ± SD (maximum)",
    )
    return Table(
        caption=words("Lesions"),
        heads=tuple(map(words, heads)),
        rows=tuple(
            plain(
                named.get(lesion.id, clean(lesion.id)),
                clean(words.name(lesion.site)),
                words.name(lesion.kind),
                f"{lesion.diameters.longest_mm:.1f}",
                f"{lesion.diameters.perpendicular_mm:.1f}",
                _volume(lesion),
                "\n".join(_values(lesion, words)),
            )
            for lesion in lesions
        ),
        numeric=frozenset({3, 4, 5, 6}),
        widths=(0.8, 1.2, 1, 0.9, 1.2, 0.9, 3.6),
    )


def _values(lesion: Lesion, words: Words) -> Iterator[str]:
    for one in lesion.statistics:
        yield f"{clean(one.image)}: {statistics_words(one, words, has_maximum=True)}"
    if lesion.uptake is not None:
        yield f"{clean(lesion.uptake.image)}: {uptake_words(lesion.uptake, words)}"


def uptake_words(uptake: LesionUptake, words: Words) -> str:
    """Return highest and peak uptake, metabolic volume and total glycolysis."""
    return words(
        "SUVmax {maximum}, SUVpeak {peak}, MTV {volume} mL, TLG {glycolysis} g",
        maximum=f"{uptake.maximum:.1f}",
        peak=f"{uptake.peak:.1f}",
        volume=f"{uptake.mtv_ml:.2f}",
        glycolysis=f"{uptake.tlg_g:.1f}",
    )


def statistics_words(statistics: Statistics, words: Words, *, has_maximum: bool = False) -> str:
    """Return mean and deviation with their unit; SUV is called by its name."""
    is_suv = statistics.unit == SUV_UNIT
    digits, unit = (2, "SUV") if is_suv else (0 if statistics.unit == "HU" else 1, statistics.unit)
    numbers = f"{statistics.mean:.{digits}f} ± {statistics.deviation:.{digits}f}"
    if has_maximum and math.isfinite(statistics.maximum):
        numbers += f" ({statistics.maximum:.{digits}f})"
    return f"{numbers} {clean(words.name(unit))}".replace("-", "−")


def _volume(lesion: Lesion) -> str:
    """Return the volume and its 95 % interval."""
    if lesion.volume_interval_ml is None:
        return _millilitres(lesion.volume_ml)
    low, high = map(_millilitres, lesion.volume_interval_ml)
    return f"{_millilitres(lesion.volume_ml)} ({low}–{high})"


def _millilitres(volume_ml: float) -> str:
    """Return a volume with a precision that suits its size."""
    digits = 0 if volume_ml >= 100 else 1 if volume_ml >= 10 else 2
    return f"{volume_ml:.{digits}f}"
