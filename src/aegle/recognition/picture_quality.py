"""What limits the reading of radiographs, ultrasound and other pictures."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.domain.assessment import QualityMeasure
from aegle.domain.study import Projection
from aegle.domain.text import Text
from aegle.imaging.burned_in import glyphs
from aegle.imaging.metal import bright_solids
from aegle.imaging.noise import white_noise
from aegle.imaging.reduction import at_most
from aegle.imaging.sharpness import sharpness
from aegle.recognition.model_chest import view_of
from aegle.recognition.quality_grade import blur_reason, measure
from aegle.recognition.quality_options import QualityOptions
from aegle.recognition.volume_quality import relative_noise

Plane = NDArray[np.float32]

FINE_PX = 512
"""Noise, metal and text are looked for on pictures of at most so many pixels a side."""
COARSE_PX = 256
"""So large are pictures on which blur is measured: organs have soft edges of their own, so that a
limit in pixels holds for one size of picture."""
SMALLEST_PX = 48
RADIOGRAPHS = ("CR", "DX", "RG", "XR")
_CHEST = ("chest", "thorax", "lung", "cxr", "胸", "肺")
_LATERAL = ("LL", "RL", "LATERAL", "LAT")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def picture_measures(
    projection: Projection, told: str, options: QualityOptions
) -> tuple[QualityMeasure, ...]:
    """Return noise, blur and burned-in text; of radiographs also metal and coverage.

    Args:
        projection: One or several frames; the middle one is looked at.
        told: What the descriptions of study and series say.
        options: The limits.
    """
    grey = _grey(projection)
    plane = at_most(grey, FINE_PX)
    low, high = np.percentile(plane, (1, 99))
    if min(plane.shape) < SMALLEST_PX or high <= low:
        return ()
    noise = white_noise(plane, _shown(plane))
    measures = [
        relative_noise(100 * noise / float(high - low), options.picture_noise_percent, options),
        *_blur(grey, projection.image.spacing_mm, options),
    ]
    if projection.series.modality in RADIOGRAPHS:
        measures += [*_coverage(plane, projection, told, options), _metal(plane, options)]
    return (*measures, _text(plane, noise, options))


def _grey(projection: Projection) -> Plane:
    """Return the middle frame in grey."""
    frames = projection.image.values
    frame = frames[len(frames) // 2]
    return np.asarray(frame @ _LUMA if frame.ndim == 3 else frame, dtype=np.float32)


def _shown(plane: Plane) -> NDArray[np.bool_]:
    """Return what is brighter than a tenth of the range, smoothed."""
    low, high = np.percentile(plane, (1, 99))
    return np.asarray(ndimage.gaussian_filter(plane, 2) > plane.min() + 0.1 * (high - low))


def _blur(
    grey: Plane, spacing_mm: tuple[float, float] | None, options: QualityOptions
) -> Iterator[QualityMeasure]:
    plane = at_most(grey, COARSE_PX)
    shown = _shown(plane)
    found = sharpness(plane, shown, noise=white_noise(plane, shown))
    if not np.isfinite(found.blur_px):
        return
    larger = max(grey.shape) / max(plane.shape)
    pixel_mm = None if spacing_mm is None else max(spacing_mm) * larger
    yield measure(
        "blur",
        found.widest_px,
        "pixels",
        limit=options.blur_px,
        poor_above=options.poor_factor * options.blur_px,
        reason=blur_reason(found.widest_px, found.narrowest_px, pixel_mm),
    )


def _coverage(
    plane: Plane, projection: Projection, told: str, options: QualityOptions
) -> Iterator[QualityMeasure]:
    words = f"{told} {projection.series.body_part}".lower()
    if projection.series.view.upper() in _LATERAL or not any(word in words for word in _CHEST):
        return
    outside = view_of(plane).lungs_outside_percent
    yield measure(
        "coverage",
        outside,
        "%",
        limit=options.lungs_percent,
        poor_above=options.poor_factor * options.lungs_percent,
        reason=Text(
            "About {value:.0f} % of the lungs or more lie outside of the picture, to judge by a "
            "model chest.",
            {"value": outside},
        ),
    )


def _metal(plane: Plane, options: QualityOptions) -> QualityMeasure:
    percent = bright_solids(plane)
    return measure(
        "metal",
        percent,
        "%",
        limit=options.metal_percent,
        poor_above=options.poor_factor * 5 * options.metal_percent,
        reason=Text(
            "Metal covers {value:.1f} % of the picture and hides what lies behind it.",
            {"value": percent},
        ),
    )


def _text(plane: Plane, noise: float, options: QualityOptions) -> QualityMeasure:
    letters = float(len(glyphs(plane, noise=noise)))
    return measure(
        "text",
        letters,
        "letters",
        limit=float(options.letters),
        reason=Text(
            "About {value:.0f} letters are burned into the picture: they may name the patient, "
            "and models are misled by them.",
            {"value": letters},
        ),
    )
