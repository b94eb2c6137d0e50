"""What a set of annotated images is like: sizes, spacings, intensities, classes."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError, InputError
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.samples import Sample, SampleSet

Three = tuple[int, int, int]

PLACES_PER_IMAGE = 20_000
"""Labelled voxels, evenly spread, whose values an image adds to the percentiles."""
_SHOWN = 5
"""Images that a message names."""


@dataclass(frozen=True, kw_only=True)
class ChannelFacts:
    """Values of one channel over the labelled voxels of all images [unit of the image]."""

    mean: float
    deviation: float
    low: float
    """0.5 percentile."""
    high: float
    """99.5 percentile."""
    least: float
    greatest: float
    """Over all voxels of all images."""
    zero_share: float
    """Share of voxels that are exactly zero, mean over images."""
    image_mean: float = 0.0
    image_deviation: float = 1.0
    """Over all voxels of all images, each image counting the same."""
    image_spread: float = 0.0
    """Deviation of the images' means over the mean of the images' deviations."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """All that configuration looks at."""

    images: int
    axes: Literal[2, 3]
    modality: str
    """DICOM modality if known, such as CT; empty otherwise."""
    median_shape: Three
    """Voxels slice, row, column, after cropping to what is not zero."""
    least_shape: Three
    greatest_shape: Three
    median_spacing_mm: tuple[float, float, float]
    spacing_percentile_10_mm: tuple[float, float, float]
    channels: tuple[ChannelFacts, ...]
    classes: tuple[str, ...]
    class_voxels: Mapping[str, int]
    """Labelled voxels of each class in all images."""
    class_images: Mapping[str, int]
    """Images in which each class occurs."""
    object_area: float = 0.0
    """Median size of an object [pixel], where objects are numbered."""
    cropped_share: float = 1.0
    """Median share of an image that the box around what is not zero takes."""
    class_thickness_mm: Mapping[str, float] = field(default_factory=dict)
    """Twice the volume over the surface, median over images; in pixels for pictures without size.

    Of a band it is the width, of a ball (with the surface of its voxels) 4/9 of the radius.
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class _Facts:
    """What one image adds."""

    is_picture: bool
    shape: Three
    spacing_mm: tuple[float, float, float]
    cropped_share: float
    channels: tuple["_Channel", ...]
    counts: NDArray[np.int64]
    """Labelled voxels of each class, or of each object."""
    thickness_mm: NDArray[np.float64]
    """Of each class, or of all objects; 0 where there is none."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Channel:
    """What one channel of one image adds."""

    places: NDArray[np.float32]
    """Values of some labelled voxels."""
    labelled: tuple[int, float, float]
    """Labelled voxels, sum of their values and of their squares."""
    least: float
    greatest: float
    zero_share: float
    mean: float
    deviation: float


def fingerprint(
    samples: SampleSet,
    *,
    modality: str,
    progress: Callable[[int, int], None],
    objects: bool = False,
) -> Fingerprint:
    """Read every image and annotation once and return what they are like.

    Args:
        samples: Images that can be placed, with labels; -1 marks voxels of which nothing is known.
        modality: DICOM modality if known, such as CT; empty otherwise.
        progress: Told of the images done and the images in all.
        objects: Whether labels are numbers of objects rather than classes.

    Raises:
        InputError: A mask lies on another grid than its image, holds a label that is no class,
            or every mask is empty; an image has more than three axes, values that are no numbers,
            or other channels than the rest. All offenders are counted and the first five named.
    """
    if not samples.samples:
        raise InputError(f"{samples.source}: there are no images to look at.")
    if samples.place is None or samples.annotate is None:
        raise InputError(
            f"{samples.source}: the images come without outlines; give images with masks."
        )
    found, wrong = _each(samples, objects, progress)
    if wrong:
        raise InputError(_offended(samples, wrong))
    _check_together(samples.source, found)
    return _joined(samples.classes, modality, found, objects)


def _each(
    samples: SampleSet, objects: bool, progress: Callable[[int, int], None]
) -> tuple[list[_Facts], list[str]]:
    """Return the facts of images that can be used, and what is wrong with the others."""
    found: list[_Facts] = []
    wrong: list[str] = []
    total = len(samples.samples)
    # Volumes are large: two at a time keep both processors busy and the memory small.
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as threads:
        look = partial(_attempt, samples, objects)
        for number, facts in enumerate(threads.map(look, samples.samples), 1):
            if isinstance(facts, str):
                wrong.append(facts)
            else:
                found.append(facts)
            progress(number, total)
    return found, wrong


def _attempt(samples: SampleSet, objects: bool, sample: Sample) -> _Facts | str:
    assert samples.place is not None
    assert samples.annotate is not None
    try:
        image, annotation = samples.place(sample), samples.annotate(sample)
        return _facts(image, annotation, len(samples.classes), objects)
    except InputError as error:
        if isinstance(error, FileError) and isinstance(error.__cause__, OSError):
            raise
        said = str(error).rstrip(".")
        return said if sample.name in said else f"{sample.name}: {said}"


def _facts(image: PlacedImage, annotation: Annotation, classes: int, objects: bool) -> _Facts:
    values, labels = image.values, annotation.labels
    _check(image, labels, classes, objects)
    assert labels is not None
    box = _box(values)
    shape = [span.stop - span.start for span in box]
    inside = labels > 0
    return _Facts(
        is_picture=image.is_picture,
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=image.grid.spacing_mm,
        cropped_share=float(np.prod(shape) / labels.size),
        channels=tuple(_channel(channel, inside) for channel in values),
        counts=np.bincount(labels[inside], minlength=0 if objects else classes + 1)[1:],
        thickness_mm=_thickness_mm(labels, image.grid.spacing_mm, 0 if objects else classes),
    )


def _check(
    image: PlacedImage, labels: NDArray[np.int32] | None, classes: int, objects: bool
) -> None:
    """Raise InputError if an image and its labels cannot be learned from."""
    if image.values.ndim != 4:
        axes = image.values.ndim - 1
        raise InputError(
            f"the image has {axes} axes; give pictures or volumes, one time point at a time"
        )
    if labels is None:
        raise InputError(
            "boxes are drawn but no outlines; give a mask, or set model.task to detect"
        )
    if labels.shape != image.values.shape[1:]:
        raise InputError(
            f"the mask has {_by(labels.shape)} voxels, the image {_by(image.values.shape[1:])}; "
            "draw it on the image's own grid"
        )
    if not np.isfinite(image.values).all():
        raise InputError("the image holds values that are no finite numbers; correct the file")
    highest, lowest = int(labels.max()), int(labels.min())
    if lowest < -1 or (highest > classes and not objects):
        raise InputError(
            f"the mask holds label {lowest if lowest < -1 else highest}, which is no class; "
            f"there are {classes} (labels 1 to {classes}, 0 for the background)"
        )


def _thickness_mm(
    labels: NDArray[np.int32], spacing_mm: Sequence[float], classes: int
) -> NDArray[np.float64]:
    """Return twice the volume over the surface of each class; of all objects for 0 classes.

    Faces of voxels between different labels make up the surface; the border of the image does
    not, since what is drawn goes on beyond it.
    """
    numbers = labels.clip(0)
    length = max(classes, int(numbers.max())) + 1
    voxel_mm3 = float(np.prod(spacing_mm))
    volume_mm3 = np.bincount(numbers.ravel(), minlength=length) * voxel_mm3
    surface_mm2 = np.zeros(length)
    for axis, apart_mm in enumerate(spacing_mm):
        moved = np.moveaxis(numbers, axis, 0)
        differs = moved[:-1] != moved[1:]
        for side in (moved[:-1], moved[1:]):
            faces = np.bincount(side[differs], minlength=length)
            surface_mm2 += faces * (voxel_mm3 / apart_mm)
    volume_mm3, surface_mm2 = volume_mm3[1:], surface_mm2[1:]
    if not classes:
        volume_mm3, surface_mm2 = volume_mm3.sum(keepdims=True), surface_mm2.sum(keepdims=True)
    widest_mm = max(size * apart for size, apart in zip(labels.shape, spacing_mm, strict=True))
    # A class that fills the image has no surface in it.
    least_mm2 = 2 * volume_mm3 / widest_mm
    surface_mm2 = np.maximum(np.maximum(surface_mm2, least_mm2), np.finfo(float).tiny)
    thickness_mm: NDArray[np.float64] = 2 * volume_mm3 / surface_mm2
    return thickness_mm


def _box(values: NDArray[np.float32]) -> tuple[slice, slice, slice]:
    """Return the smallest box around all that is not zero in any channel; else the whole."""
    inside = (values != 0).any(axis=0)
    spans = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not spans[0].size:
        whole = [slice(0, size) for size in inside.shape]
        return whole[0], whole[1], whole[2]
    slices, rows, columns = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return slices, rows, columns


def _channel(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> _Channel:
    labelled = values[inside]
    count = labelled.size
    chosen = np.linspace(0, count - 1, min(count, PLACES_PER_IMAGE)).round().astype(np.int64)
    exact = labelled.astype(np.float64)
    return _Channel(
        places=labelled[chosen],
        labelled=(count, float(exact.sum()), float((exact**2).sum())),
        least=float(values.min()),
        greatest=float(values.max()),
        zero_share=float(np.mean(values == 0)),
        mean=float(values.mean(dtype=np.float64)),
        deviation=float(values.std(dtype=np.float64)),
    )


def _offended(samples: SampleSet, wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return (
        f"{samples.source}: {len(wrong)} of {len(samples.samples)} images cannot be used. "
        f"{'; '.join(wrong[:_SHOWN])}{more}. Correct them or leave them out."
    )


def _check_together(source: str, found: Sequence[_Facts]) -> None:
    """Raise InputError if images cannot be learned from together."""
    pictures = sum(facts.is_picture for facts in found)
    if 0 < pictures < len(found):
        raise InputError(
            f"{source}: {pictures} pictures and {len(found) - pictures} volumes are mixed. "
            "Leave one kind out."
        )
    channels = {len(facts.channels) for facts in found}
    if len(channels - {1}) > 1:
        raise InputError(
            f"{source}: the images have {_listed(sorted(channels))} channels. Bring all to the "
            "same; one channel may stand for all."
        )
    if not any(facts.counts.any() for facts in found):
        raise InputError(
            f"{source}: nothing is drawn in any of the {len(found)} masks. Give masks with labels."
        )


def _joined(
    classes: tuple[str, ...], modality: str, found: Sequence[_Facts], objects: bool
) -> Fingerprint:
    shapes = np.array([facts.shape for facts in found])
    spacings_mm = np.array([facts.spacing_mm for facts in found])
    channels = max(len(facts.channels) for facts in found)
    voxels, images = _by_class(classes, found, objects)
    sizes = np.concatenate([facts.counts for facts in found])
    return Fingerprint(
        images=len(found),
        axes=2 if found[0].is_picture else 3,
        modality=modality,
        median_shape=_whole(np.median(shapes, axis=0)),
        least_shape=_whole(shapes.min(axis=0)),
        greatest_shape=_whole(shapes.max(axis=0)),
        median_spacing_mm=_real(np.median(spacings_mm, axis=0)),
        spacing_percentile_10_mm=_real(np.percentile(spacings_mm, 10, axis=0)),
        channels=tuple(_over_images(_same_channel(found, n)) for n in range(channels)),
        classes=classes,
        class_voxels=voxels,
        class_images=images,
        object_area=float(np.median(sizes[sizes > 0])) if objects else 0.0,
        cropped_share=float(np.median([facts.cropped_share for facts in found])),
        class_thickness_mm=_thickness_of(classes[:1] if objects else classes, found),
    )


def _by_class(
    classes: tuple[str, ...], found: Sequence[_Facts], objects: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the labelled voxels of each class, and the images in which it occurs."""
    if objects:
        counts = np.array([[facts.counts.sum()] for facts in found])
    else:
        counts = np.array([facts.counts for facts in found])
    names = classes[:1] if objects else classes
    voxels = dict(zip(names, counts.sum(axis=0).tolist(), strict=True))
    return voxels, dict(zip(names, (counts > 0).sum(axis=0).tolist(), strict=True))


def _thickness_of(classes: tuple[str, ...], found: Sequence[_Facts]) -> dict[str, float]:
    """Return the median thickness of each class over the images in which it occurs [mm]."""
    rows = np.array([facts.thickness_mm for facts in found])
    occurring = {name: rows[rows[:, n] > 0, n] for n, name in enumerate(classes)}
    return {name: float(np.median(some)) for name, some in occurring.items() if some.size}


def _same_channel(found: Sequence[_Facts], number: int) -> list[_Channel]:
    """Return one channel of each image; a single one stands for all."""
    return [facts.channels[min(number, len(facts.channels) - 1)] for facts in found]


def _over_images(channels: Sequence[_Channel]) -> ChannelFacts:
    count, total, squares = np.sum([one.labelled for one in channels], axis=0)
    mean = total / count
    places = np.concatenate([one.places for one in channels])
    means = np.array([one.mean for one in channels])
    deviations = np.array([one.deviation for one in channels])
    within = float(deviations.mean())
    return ChannelFacts(
        mean=float(mean),
        deviation=float(max(0.0, squares / count - mean**2) ** 0.5),
        low=float(np.percentile(places, 0.5)),
        high=float(np.percentile(places, 99.5)),
        least=min(one.least for one in channels),
        greatest=max(one.greatest for one in channels),
        zero_share=float(np.mean([one.zero_share for one in channels])),
        image_mean=float(means.mean()),
        image_deviation=float(np.sqrt((deviations**2).mean() + means.var())),
        image_spread=float(means.std() / within) if within > 0 else 0.0,
    )


def _whole(values: NDArray[Any]) -> Three:
    slices, rows, columns = (int(value) for value in np.rint(values))
    return slices, rows, columns


def _real(values: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    slices, rows, columns = (float(value) for value in values)
    return slices, rows, columns


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _listed(values: Sequence[int]) -> str:
    return " and ".join(map(str, values))
