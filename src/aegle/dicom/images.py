"""Series of DICOM images to volumes in exact patient geometry, or to planar images.

A series becomes a volume if every slice says where it lies. Otherwise each of its files is a
planar image. Values are rescaled to what they mean; pixels that are only padding around a CT
get the value of air.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegle.dicom import header, tags
from aegle.dicom.colour import from_palette, look_up, modality_table, to_rgb
from aegle.dicom.elements import Elements
from aegle.dicom.geometry import Stack, arrange, straightened
from aegle.dicom.header import Parsed
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.pixels import CODECS, PixelFacts, Pixels, facts_of, frames
from aegle.dicom.planes import ENHANCED, Plane, plane_of, planes_of_frames
from aegle.dicom.references import reference_of
from aegle.dicom.scan import ScannedSeries
from aegle.dicom.separation import separate
from aegle.dicom.uptake import uptake_of
from aegle.domain.errors import FileError, InputError, MixedSeriesError
from aegle.domain.study import Image, Projection
from aegle.domain.text import Text
from aegle.domain.volume import PlanarImage, Quantity, Volume

AIR_HU = -1024.0
"""Given to padding pixels of a CT that would be darker."""

PADDED = "Padding pixels outside the field of view are set to {value_hu:.0f} HU."
INVERTED = "Stored white on black reversed (MONOCHROME1); bright now means a high value."
NO_PLACE = "The file does not say where its pixels lie in the patient."


@dataclass(frozen=True, eq=False)
class Reading:
    """An image read from a series, and what the reader should know about it."""

    image: Image | Projection
    notices: tuple[Text, ...] = ()
    """Corrections that were chosen, and conversions that were not possible."""


@dataclass(frozen=True, eq=False)
class _Series:
    """A series being read."""

    scanned: ScannedSeries
    options: ImageOptions
    opened: dict[int, Parsed] = field(default_factory=dict)

    def open(self, instance: int) -> Parsed:
        if instance in self.opened:
            return self.opened[instance]
        source = self.scanned.instances[instance].source
        return header.open_file(source, max_bytes=self.options.max_file_mib << 20)


def read(series: ScannedSeries, *, options: ImageOptions, name: str | None = None) -> Reading:
    """Read a series that holds one image.

    Args:
        series: As the scan found it.
        options: Corrections that may be made.
        name: What to call the image in its examination; its modality by default.

    Returns:
        A volume if every slice says where it lies, otherwise a planar image.

    Raises:
        GantryTiltError: Slices are sheared, and correction was not chosen.
        SliceSpacingError: Slices are missing or doubled, and correction was not chosen.
        MixedSeriesError: The series holds several images; see `read_all`.
        FileError: A file is damaged or not supported.
    """
    readings = read_all(series, options=options, name=name)
    if len(readings) > 1:
        raise MixedSeriesError(
            f"{series.name}: it holds {len(readings)} separate images. Read all of them."
        )
    return readings[0]


def read_all(
    series: ScannedSeries, *, options: ImageOptions, name: str | None = None
) -> tuple[Reading, ...]:
    """Read every image of a series: several planar images, or what `mixed="split"` separates.

    The second and later images are called ``NAME 2``, ``NAME 3``, ...

    Raises:
        InputError: As for `read`.
    """
    if series.object_name is not None:
        raise InputError(f"{series.name}: it holds no images but: {series.object_name}.")
    opened = _Series(series, options)
    planes = _planes(opened)
    stem = name or series.modality or "image"
    groups = separate(planes, series.name, options)
    names = [stem, *(f"{stem} {n}" for n in range(2, len(groups) + 1))]
    return tuple(_reading(opened, group, n) for group, n in zip(groups, names, strict=True))


def _planes(series: _Series) -> list[Plane]:
    planes: list[Plane] = []
    for index, instance in enumerate(series.scanned.instances):
        count = instance.header.whole(tags.NUMBER_OF_FRAMES) or 1
        if count == 1 and instance.sop_class_uid not in ENHANCED:
            planes.append(plane_of(instance, index))
        else:
            series.opened[index] = series.open(index)
            planes += planes_of_frames(series.opened[index], index)
    return planes


def _reading(series: _Series, planes: Sequence[Plane], name: str) -> Reading:
    mib = 4 * sum(p.rows * p.columns for p in planes) >> 20
    if mib > series.options.max_image_mib:
        raise FileError(
            series.scanned.name,
            f"the image needs {mib} MiB, more than the {series.options.max_image_mib} allowed.",
            "Raise the option max_image_mib if it is to be read.",
        )
    _require_slopes(series, planes)
    if _is_volume(series, planes):
        return _volume(series, planes, name)
    return _projection(series, planes, name)


def _require_slopes(series: _Series, planes: Sequence[Plane]) -> None:
    for plane in planes:
        if plane.slope == 0.0:
            raise FileError(
                series.scanned.instances[plane.instance].source.name,
                "its rescale slope is 0, so all its values are equal.",
                "Export the series again from the system it came from.",
            )


def _is_volume(series: _Series, planes: Sequence[Plane]) -> bool:
    first = planes[0]
    found = series.scanned.instances[first.instance].header
    if not all(p.has_place for p in planes) or "LOCALIZER" in found.texts(tags.IMAGE_TYPE):
        return False
    is_thick = bool(first.between_mm or first.thickness_mm) or len(planes) > 1
    return is_thick and found.text(tags.PHOTOMETRIC_INTERPRETATION).startswith("MONOCHROME")


def _volume(series: _Series, planes: Sequence[Plane], name: str) -> Reading:
    stack = arrange(planes, name=series.scanned.name, options=series.options)
    first = stack.planes[0]
    filled = _Filled(np.empty((len(stack.planes), first.rows, first.columns), np.float32))
    _fill(series, stack, filled)
    _require_numbers(series, stack, filled.values)
    elements = [filled.elements[i] for i in sorted(filled.elements)]
    quantity, factor, notices = _meaning(series, stack.planes, elements)
    if factor != 1.0:
        np.multiply(filled.values, np.float32(factor), out=filled.values)
    if filled.is_padded and quantity is Quantity.RADIODENSITY:
        notices = (*notices, Text(PADDED, {"value_hu": AIR_HU}))
    image = Image(
        name=name,
        volume=Volume(
            values=straightened(filled.values, stack), grid=stack.grid, quantity=quantity
        ),
        series=reference_of(series.scanned, [p.instance for p in stack.planes]),
    )
    return Reading(image, (*stack.notices, *notices))


@dataclass(eq=False)
class _Filled:
    """Values as they come in."""

    values: NDArray[np.float32]
    elements: dict[int, Elements] = field(default_factory=dict)
    """Of each file, for what the values mean."""
    is_padded: bool = False


def _fill(series: _Series, stack: Stack, filled: _Filled) -> None:
    """Read each file once and put its frames where they belong."""
    places: dict[int, list[tuple[int, Plane]]] = defaultdict(list)
    for index, plane in enumerate(stack.planes):
        places[plane.instance].append((index, plane))

    def take(instance: int) -> None:
        parsed = series.open(instance)
        facts = facts_of(parsed)
        wanted = places[instance]
        frame_values = frames(parsed, facts, [plane.frame for _, plane in wanted])
        table = modality_table(parsed.elements)
        for (index, plane), pixels in zip(wanted, frame_values, strict=True):
            out = filled.values[index]
            if table is None:
                _rescale(pixels, plane, out)
            else:
                out[...] = look_up(pixels, *table)
            if _pad(pixels, parsed.elements, out, is_ct=_is_radiodensity(series, plane)):
                filled.is_padded = True
        filled.elements[instance] = parsed.elements

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        list(threads.map(take, sorted(places)))


def _require_numbers(series: _Series, stack: Stack, values: NDArray[np.float32]) -> None:
    """Refuse a series with a value that is infinite or not a number (float pixel data)."""
    # Smallest and largest value are not finite where any is not.
    if np.isfinite(values.min()) and np.isfinite(values.max()):
        return
    first = next(i for i, one in enumerate(values) if not np.isfinite(one).all())
    raise FileError(
        series.scanned.instances[stack.planes[first].instance].source.name,
        "it holds values that are infinite or not a number.",
        "Export the series again from the system it came from.",
    )


def _rescale(pixels: Pixels, plane: Plane, out: NDArray[np.float32]) -> None:
    """Write slope · stored + intercept; exact for whole numbers, else computed in float64."""
    if plane.slope == 1.0 and plane.intercept.is_integer() and pixels.dtype.itemsize <= 2:
        np.copyto(out, pixels)
        out += np.float32(plane.intercept)
    else:
        out[...] = pixels * np.float64(plane.slope) + plane.intercept


def _pad(pixels: Pixels, found: Elements, out: NDArray[np.float32], *, is_ct: bool) -> bool:
    """Set padding of a CT to air where it would be darker; return whether there was any."""
    if not is_ct or tags.PIXEL_PADDING_VALUE not in found.values:
        return False
    signed = pixels.dtype.kind == "i"
    ends = found.integers(tags.PIXEL_PADDING_VALUE, signed=signed)[:1]
    ends += found.integers(tags.PIXEL_PADDING_RANGE_LIMIT, signed=signed)[:1]
    is_padding = (pixels >= min(ends)) & (pixels <= max(ends)) & (out < AIR_HU)
    if not is_padding.any():
        return False
    out[is_padding] = AIR_HU
    return True


def _is_radiodensity(series: _Series, plane: Plane) -> bool:
    """Whether rescaled values are Hounsfield units (the default of PS3.3 C.11.1.1.2 for CT)."""
    found = series.scanned.instances[plane.instance].header
    is_scout = "LOCALIZER" in found.texts(tags.IMAGE_TYPE)
    return (
        series.scanned.modality == "CT"
        and plane.rescale_type in ("HU", "", "US")
        and not (is_scout or plane.rescale_type == "US")
    )


def _meaning(
    series: _Series, planes: Sequence[Plane], elements: Sequence[Elements]
) -> tuple[Quantity, float, tuple[Text, ...]]:
    """Return what values mean once multiplied by a factor."""
    if all(_is_radiodensity(series, plane) for plane in planes):
        return Quantity.RADIODENSITY, 1.0, ()
    if series.scanned.modality == "PT" and tags.UNITS in elements[0].values:
        if series.options.uptake:
            found = uptake_of(elements)
            return found.quantity, found.factor, found.notices
        if elements[0].text(tags.UNITS) == "BQML":
            return Quantity.ACTIVITY_CONCENTRATION, 1.0, ()
    return Quantity.SIGNAL, 1.0, ()


def _projection(series: _Series, planes: Sequence[Plane], name: str) -> Reading:
    """Read the frames of one file as they are."""
    parsed = series.open(planes[0].instance)
    facts = facts_of(parsed)
    wanted = frames(parsed, facts, [plane.frame for plane in planes])
    is_ct = _is_radiodensity(series, planes[0])
    values: NDArray[np.float32] | None = None
    for index, (pixels, plane) in enumerate(zip(wanted, planes, strict=True)):
        picture = _picture(pixels, plane, parsed, facts)
        if values is None:
            values = np.empty((len(planes), *picture.shape), np.float32)
        values[index] = picture
    inverted = facts.photometric == "MONOCHROME1" and not is_ct
    found = series.scanned.instances[planes[0].instance].header
    assert values is not None
    image = PlanarImage(
        values=values,
        quantity=Quantity.RADIODENSITY if is_ct else Quantity.SIGNAL,
        spacing_mm=_pixel_distance(found),
    )
    notices = (Text(INVERTED),) if inverted else ()
    if series.scanned.modality in ("CT", "MR", "PT") and not planes[0].has_place:
        notices = (*notices, Text(NO_PLACE))
    reference = reference_of(series.scanned, [planes[0].instance])
    return Reading(Projection(name=name, image=image, series=reference), notices)


def _picture(
    pixels: Pixels, plane: Plane, parsed: Parsed, facts: PixelFacts
) -> NDArray[np.float32]:
    if facts.photometric == "PALETTE COLOR":
        return from_palette(pixels, parsed.elements)
    if facts.samples == 3:
        codec = CODECS.get(parsed.elements.transfer_syntax_uid, "")
        return to_rgb(pixels, facts, is_decoded_rgb=codec == "jpeg")
    values = np.empty(facts.shape, np.float32)
    is_ct = plane.rescale_type is not None and parsed.elements.text(tags.MODALITY) == "CT"
    if facts.photometric == "MONOCHROME1" and not is_ct and not facts.float_type:
        pixels = ~pixels if facts.is_signed else (2**facts.stored - 1) - pixels
    table = modality_table(parsed.elements)
    if table is not None:
        values[...] = look_up(pixels, *table)
    else:
        _rescale(pixels, plane, values)
    return values


def _pixel_distance(found: Elements) -> tuple[float, float] | None:
    for tag in (tags.PIXEL_SPACING, tags.IMAGER_PIXEL_SPACING):
        numbers = found.numbers(tag)
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None
