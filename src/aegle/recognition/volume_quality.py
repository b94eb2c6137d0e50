"""What limits the reading of CT, MR and PET volumes."""

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from aegle.domain.assessment import QualityMeasure
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.imaging.coverage import cut_faces, end_sections, outline_at_border, seen_field
from aegle.imaging.metal import dense_metal
from aegle.imaging.noise import grain, white_noise
from aegle.imaging.resample import AxialOrder
from aegle.imaging.sharpness import sharpness
from aegle.recognition.quality_grade import blur_reason, measure
from aegle.recognition.quality_options import QualityOptions

Mask = NDArray[np.bool_]
Planes = NDArray[np.float32]

FINE_PLANES = 6
"""Planes on which noise and blur are looked at."""
COARSE_PLANES = 24
COARSE_MM = 2.5
SOFT_HU = (-30.0, 130.0)
SKIN_HU = -300.0
LUNG_HU = (-970.0, -550.0)
TABLE_MM = 12.0
"""What is thinner is table, tube or cover."""
LEAST_LUNGS_ML = 1200.0
"""A CT that shows less lung is not one of the chest."""
LEAST_SECTION_CM2 = 8.0
_HEAD = ("head", "brain", "skull", "cranial", "cerebr", "neuro", "schädel", "颅", "脑", "头")


def ct_measures(ct: Volume, options: QualityOptions) -> tuple[QualityMeasure, ...]:
    """Return noise, blur, coverage and metal of a CT."""
    order = AxialOrder.of(ct.grid)
    values, spacing_mm = order.apply(ct.values), order.grid(ct.grid).spacing_mm
    planes = _fine(values)
    smooth = ndimage.gaussian_filter(planes, (0, 1.5, 1.5))
    noise_hu = grain(planes, (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1]))
    shown = np.clip(planes, -1000, 400)
    body = ndimage.gaussian_filter(shown, (0, 2, 2)) > -800
    return (
        *_if_known(
            noise_hu,
            measure(
                "noise",
                noise_hu,
                "HU",
                limit=options.noise_hu,
                poor_above=options.poor_factor * options.noise_hu,
                reason=Text(
                    "Noise of {value:.0f} HU hides smaller differences of soft tissue.",
                    {"value": noise_hu},
                ),
            ),
        ),
        *_blur(shown, body, spacing_mm, options.blur_px, options),
        _ct_coverage(values, spacing_mm, options),
        _ct_metal(values, spacing_mm, options),
    )


def mr_measures(mr: Volume, told: str, options: QualityOptions) -> tuple[QualityMeasure, ...]:
    """Return noise and blur of an MR, and of a head its coverage.

    Args:
        mr: The signal.
        told: What the descriptions of study and series say.
        options: The limits.
    """
    in_plane = int(np.argmax(mr.grid.spacing_mm))
    values = np.moveaxis(mr.values, in_plane, 0)
    spacing_mm = _first(mr.grid.spacing_mm, in_plane)
    planes = _fine(values)
    shown = _foreground(planes)
    low, high = np.percentile(planes, (1, 99))
    if high <= low:
        return ()
    percent = 100 * _median([white_noise(p, s) for p, s in zip(planes, shown, strict=True)])
    percent /= float(high - low)
    return (
        *_if_known(percent, relative_noise(percent, options.noise_percent, options)),
        *_blur(planes, shown, spacing_mm, options.mr_blur_px, options),
        *_head_coverage(mr, told, options),
    )


def pet_measures(pet: Volume, options: QualityOptions) -> tuple[QualityMeasure, ...]:
    """Return the noise of a PET."""
    order = AxialOrder.of(pet.grid)
    planes = _fine(order.apply(pet.values), 3 * FINE_PLANES)
    even = ndimage.gaussian_filter(planes, (0, 3, 3))
    body = even > 0.25 * np.percentile(even, 95)
    percent = 100 * grain(planes / np.maximum(even, 1e-6), body)
    reason = Text(
        "Noise is {value:.0f} % of the uptake of even tissue; small lesions are not told from it.",
        {"value": percent},
    )
    limit = options.uptake_noise_percent
    poor = options.poor_factor * limit
    return _if_known(
        percent, measure("noise", percent, "%", limit=limit, poor_above=poor, reason=reason)
    )


def relative_noise(percent: float, limit: float, options: QualityOptions) -> QualityMeasure:
    """Grade noise as a share of an image's range [%]."""
    return measure(
        "noise",
        percent,
        "%",
        limit=limit,
        poor_above=options.poor_factor * limit,
        reason=Text(
            "Noise is {value:.1f} % of the range of the image; fine detail drowns in it.",
            {"value": percent},
        ),
    )


def _if_known(value: float, graded: QualityMeasure) -> tuple[QualityMeasure, ...]:
    return (graded,) if value > 0 and np.isfinite(value) else ()


def _fine(values: Planes, count: int = FINE_PLANES) -> Planes:
    """Return planes evenly from the middle eight tenths."""
    last = len(values) - 1
    wanted = np.unique(np.rint(np.linspace(0.1 * last, 0.9 * last, count)).astype(int))
    return np.asarray(values[wanted], dtype=np.float32)


def _first(spacing_mm: tuple[float, float, float], axis: int) -> tuple[float, float, float]:
    ordered = np.moveaxis(np.asarray(spacing_mm)[:, None], axis, 0)[:, 0].tolist()
    return ordered[0], ordered[1], ordered[2]


def _median(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value) and value > 0]
    return float(np.median(known)) if known else 0.0


def _foreground(planes: Planes) -> Mask:
    """Return what gives more than a tenth of the signal, smoothed."""
    smooth = ndimage.gaussian_filter(planes, (0, 2, 2))
    low, high = np.percentile(planes, (1, 99))
    return np.asarray(smooth > planes.min() + 0.1 * (high - low))


def _blur(
    planes: Planes,
    where: Mask,
    spacing_mm: tuple[float, float, float],
    limit_px: float,
    options: QualityOptions,
) -> Iterator[QualityMeasure]:
    found = [
        sharpness(plane, inside, noise=white_noise(plane, inside))
        for plane, inside in zip(planes, where, strict=True)
    ]
    found = [one for one in found if np.isfinite(one.blur_px)]
    if not found:
        return
    widest = float(np.median([one.widest_px for one in found]))
    narrowest = float(np.median([one.narrowest_px for one in found]))
    pixel_mm = max(spacing_mm[1:])
    limit = max(limit_px, options.blur_mm / pixel_mm)
    yield measure(
        "blur",
        widest,
        "pixels",
        limit=limit,
        poor_above=options.poor_factor * limit,
        reason=blur_reason(widest, narrowest, pixel_mm),
    )


def _ct_coverage(
    values: Planes, spacing_mm: tuple[float, float, float], options: QualityOptions
) -> QualityMeasure:
    """Return the worse of: the body is cut off at its sides, the lungs at their ends."""
    last = len(values) - 1
    wanted = np.unique(np.rint(np.linspace(0, last, COARSE_PLANES)).astype(int))
    steps = [max(1, round(COARSE_MM / step)) for step in spacing_mm[1:]]
    planes = values[wanted, :: steps[0], :: steps[1]]
    pixels_mm = (spacing_mm[1] * steps[0], spacing_mm[2] * steps[1])
    field = seen_field(planes)
    body = _bodies(planes, field, pixels_mm)
    outline = outline_at_border(body, field)
    cut = measure(
        "coverage",
        outline,
        "%",
        limit=options.outline_percent,
        poor_above=5 * options.outline_percent,
        reason=Text(
            "{value:.0f} % of the body's outline lies at the edge of the image: it is cut off.",
            {"value": outline},
        ),
    )
    apart_mm = spacing_mm[0] * last / max(len(wanted) - 1, 1)
    lungs = _lung_coverage(planes, body, (apart_mm, *pixels_mm), options)
    candidates = [cut, *lungs]
    return max(candidates, key=lambda m: m.value / max(m.limit, 1e-9))


def _bodies(planes: Planes, field: Mask, pixels_mm: tuple[float, float]) -> Mask:
    """Return the body on each plane, holes filled, without the table."""
    radii = [max(1, round(TABLE_MM / 2 / step)) for step in pixels_mm]
    y, x = np.ogrid[-radii[0] : radii[0] + 1, -radii[1] : radii[1] + 1]
    disc = ((y / radii[0]) ** 2 + (x / radii[1]) ** 2 <= 1)[None]
    # What lies beyond the field is unknown, so a body that reaches it is not thinned there.
    tissue = np.pad((planes > SKIN_HU) | ~field, [(0, 0), *((r, r) for r in radii)], mode="edge")
    opened = ndimage.binary_opening(tissue, disc)
    opened = opened[:, radii[0] : -radii[0], radii[1] : -radii[1]] & field
    result = np.zeros(planes.shape, dtype=np.bool_)
    for index, plane in enumerate(opened):
        labels, count = ndimage.label(plane)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        large = sizes >= max(0.2 * sizes.max(), 1)
        result[index] = ndimage.binary_fill_holes(large[labels])
    return result


def _lung_coverage(
    planes: Planes,
    body: Mask,
    spacing_mm: tuple[float, float, float],
    options: QualityOptions,
) -> Iterator[QualityMeasure]:
    smooth = ndimage.uniform_filter(planes, (1, 3, 3))
    lung = body & (smooth > LUNG_HU[0]) & (smooth < LUNG_HU[1])
    lung = ndimage.binary_opening(lung, np.ones((1, 3, 3), bool))
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    areas_cm2 = np.count_nonzero(lung, axis=(1, 2)) * pixel_mm2 / 100
    if areas_cm2.sum() * spacing_mm[0] / 10 < LEAST_LUNGS_ML or len(planes) < 3:
        return
    areas_cm2 = np.where(areas_cm2 < LEAST_SECTION_CM2, 0, areas_cm2)
    bottom, top = end_sections(areas_cm2)
    limit = options.section_percent
    if bottom >= top:
        reason = Text(
            "The lungs go on below the lowest slice; there they have {value:.0f} % of their "
            "largest section.",
            {"value": bottom},
        )
    else:
        reason = Text(
            "The lungs go on above the highest slice; there they have {value:.0f} % of their "
            "largest section.",
            {"value": top},
        )
    yield measure(
        "coverage",
        max(bottom, top),
        "%",
        limit=limit,
        poor_above=options.poor_factor * limit,
        reason=reason,
    )


def _ct_metal(
    values: Planes, spacing_mm: tuple[float, float, float], options: QualityOptions
) -> QualityMeasure:
    metal = dense_metal(values, spacing_mm)
    return measure(
        "metal",
        metal.volume_ml,
        "mL",
        limit=options.metal_ml,
        poor_above=options.poor_factor * 10 * options.metal_ml,
        reason=Text(
            "Metal of {value:.1f} mL on {slices} of {count} slices; soft tissue beside it varies "
            "by {streaks_hu:.0f} HU.",
            {
                "value": metal.volume_ml,
                "slices": metal.slices,
                "count": len(values),
                "streaks_hu": metal.streaks_hu,
            },
        ),
    )


def _head_coverage(mr: Volume, told: str, options: QualityOptions) -> Iterator[QualityMeasure]:
    if not any(word in told.lower() for word in _HEAD):
        return
    order = AxialOrder.of(mr.grid)
    step = [max(1, round(COARSE_MM / size)) for size in order.grid(mr.grid).spacing_mm]
    values = order.apply(mr.values)[:: step[0], :: step[1], :: step[2]]
    image = sitk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32))
    shown = sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1)).astype(bool)
    # The neck always goes on.
    faces = [share for face, share in cut_faces(shown).items() if face != "bottom"]
    worst = max(faces, default=0.0)
    limit = options.section_percent
    yield measure(
        "coverage",
        worst,
        "%",
        limit=limit,
        poor_above=options.poor_factor * limit,
        reason=Text(
            "The head goes on beyond the image; there it has {value:.0f} % of its largest section.",
            {"value": worst},
        ),
    )
