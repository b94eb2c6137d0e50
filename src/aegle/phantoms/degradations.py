"""What makes images bad, in known amounts: to test what is said of their quality.

Every function takes a plane (row, column) and gives a new one; the same arguments always give
the same plane. :func:`degraded` grades them from 1 (just worse than usual) to 3 (plainly bad).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.domain.errors import OptionError

Plane = NDArray[np.float32]

SIDES = ("top", "bottom", "left", "right")
METAL_HU = 6000.0
"""Steel and titanium exceed what scanners store; it is cut off at ``BRIGHTEST_HU``."""
BRIGHTEST_HU = 3071.0
_WATER_PER_MM = 0.0206
"""Attenuation of water at about 60 keV (NIST XCOM)."""
_ANGLES = 90
_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ0123456789"


class Harm(Enum):
    """A way in which an image becomes worse."""

    NOISE = "noise"
    BLUR = "blur"
    MOTION = "motion"
    CUT = "cut"
    METAL = "metal"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """One way of making an image worse, and how much."""

    harm: Harm
    grade: int
    """From 1 to 3."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.grade not in (1, 2, 3):
            raise OptionError(f"Degradations are graded 1, 2 or 3, not {self.grade}.")


NOISE_SHARES = (0.03, 0.06, 0.12)
"""Deviation of the noise as a share of the image's range (1st to 99th percentile)."""
NOISE_HU = (30.0, 60.0, 120.0)
BLUR_PX = (1.0, 1.5, 2.5)
MOTION_PX = (5.0, 9.0, 15.0)
CUT_SHARES = (0.1, 0.2, 0.35)
IMPLANT_SHARES = (0.05, 0.08, 0.12)
"""Size of a radiograph's implant as a share of the image's shorter side."""
IMPLANTS_MM = (6.0, 12.0, 24.0)
TEXT_LINES = (1, 2, 4)


def degraded(
    plane: Plane, degradation: Degradation, *, spacing_mm: tuple[float, float] | None = None
) -> Plane:
    """Return a plane made worse.

    Args:
        plane: Shape (row, column). Radiodensities [HU] if ``spacing_mm`` is given, else the
            shades of a picture, more signal being brighter.
        degradation: What is done, how much and at random how.
        spacing_mm: Distance of rows and columns of a CT plane [mm].

    Returns:
        A new plane, smaller than the old one if something was cut off.
    """
    rng = np.random.default_rng([degradation.seed, list(Harm).index(degradation.harm)])
    step = degradation.grade - 1
    if degradation.harm is Harm.CUT:
        return cut(plane, CUT_SHARES[step], side=SIDES[int(rng.integers(4))])
    if degradation.harm is Harm.BLUR:
        return blurred(plane, BLUR_PX[step])
    if degradation.harm is Harm.MOTION:
        return moved(plane, MOTION_PX[step], angle_deg=float(rng.uniform(0, 180)))
    seed = int(rng.integers(1 << 31))
    if degradation.harm is Harm.TEXT:
        return with_text(plane, TEXT_LINES[step], seed=seed)
    if degradation.harm is Harm.NOISE:
        return _noisier(plane, step, seed, is_ct=spacing_mm is not None)
    if spacing_mm is None:
        return with_implant(plane, IMPLANT_SHARES[step] * min(plane.shape), seed=seed)
    return with_streaks(plane, IMPLANTS_MM[step], spacing_mm=spacing_mm, seed=seed)


def _noisier(plane: Plane, step: int, seed: int, *, is_ct: bool) -> Plane:
    if is_ct:
        return with_grain(plane, NOISE_HU[step], seed=seed)
    return with_noise(plane, NOISE_SHARES[step] * _range(plane), seed=seed)


def _range(plane: Plane) -> float:
    low, high = np.percentile(plane, (1, 99))
    return float(high - low)


def _within(values: NDArray[np.floating], plane: Plane) -> Plane:
    """Return values kept within what the plane's values span, as a detector does."""
    return np.asarray(np.clip(values, plane.min(), plane.max()), dtype=np.float32)


def with_noise(plane: Plane, deviation: float, *, seed: int) -> Plane:
    """Add white noise of a standard deviation [unit of the plane]; shades stay within range."""
    noise = np.random.default_rng(seed).standard_normal(plane.shape)
    return _within(plane + deviation * noise, plane)


def with_grain(plane: Plane, deviation: float, *, seed: int) -> Plane:
    """Add noise that neighbouring pixels share, as reconstruction of CT leaves it [HU]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(plane.shape), 0.65)
    noise -= 0.7 * ndimage.uniform_filter(noise, 9)
    return np.asarray(plane + deviation * noise / noise.std(), dtype=np.float32)


def blurred(plane: Plane, sigma_px: float) -> Plane:
    """Blur as if out of focus: a Gaussian of a standard deviation [pixels]."""
    return np.asarray(ndimage.gaussian_filter(plane, sigma_px, mode="nearest"), dtype=np.float32)


def moved(plane: Plane, length_px: float, *, angle_deg: float) -> Plane:
    """Smear along a straight path of a length [pixels], 0 degrees being along the rows."""
    steps = 2 * int(np.ceil(length_px)) + 1
    angle = np.deg2rad(angle_deg)
    path = np.linspace(-length_px / 2, length_px / 2, steps)
    smeared = np.zeros(plane.shape)
    for offset in path:
        shift = (offset * np.sin(angle), offset * np.cos(angle))
        smeared += ndimage.shift(plane, shift, order=1, mode="nearest")
    return np.asarray(smeared / steps, dtype=np.float32)


def cut(plane: Plane, share: float, *, side: str) -> Plane:
    """Cut off a share of what is shown (not of the dark surroundings) at one side."""
    turns = {"top": 0, "left": 3, "bottom": 2, "right": 1}[side]
    turned = np.rot90(plane, turns)
    shown = ndimage.gaussian_filter(turned, 2) > turned.min() + 0.1 * _range(plane)
    rows = np.flatnonzero(shown.mean(axis=1) > 0.03)
    first = rows[0] + round(share * (rows[-1] + 1 - rows[0])) if rows.size else 0
    return np.ascontiguousarray(np.rot90(turned[first:], -turns))


def _inner_point(plane: Plane, rng: np.random.Generator) -> tuple[float, float]:
    """Return row and column of a point well inside of what is shown."""
    inside = ndimage.gaussian_filter(plane, 2) > plane.min() + 0.25 * _range(plane)
    rows, columns = (np.flatnonzero(inside.mean(axis=axis) > 0.1) for axis in (1, 0))
    if not rows.size or not columns.size:
        return plane.shape[0] / 2, plane.shape[1] / 2
    row, column = (rng.uniform(*np.percentile(at, (30, 70))) for at in (rows, columns))
    return float(row), float(column)


def with_implant(plane: Plane, size_px: float, *, seed: int) -> Plane:
    """Lay the shadow of a metal case with a wire and two screws over a radiograph."""
    rng = np.random.default_rng(seed)
    row, column = _inner_point(plane, rng)
    y, x = np.indices(plane.shape)
    angle = rng.uniform(0, np.pi)
    along = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
    across = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
    half = size_px / 2
    case = np.hypot(along, across * 1.3) - half
    wire = np.abs(across - 0.25 * size_px * np.sin(along / size_px * 3)) - 0.04 * size_px - 0.4
    wire = np.maximum(wire, np.maximum(-along, along - 4 * half))
    screws = [
        np.maximum(np.abs(across - at) - 0.1 * size_px, np.abs(along + 2.2 * half) - 0.5 * half)
        for at in (-0.6 * half, 0.6 * half)
    ]
    covered = np.clip(0.5 - np.minimum.reduce([case, wire, *screws]), 0, 1)
    return np.asarray(plane + covered * (plane.max() - plane), dtype=np.float32)


def with_streaks(
    plane: Plane, size_mm: float, *, spacing_mm: tuple[float, float], seed: int
) -> Plane:
    """Put a metal rod into a CT plane, with the streaks that it throws.

    The error of the projections through metal is their hardening, which grows with the product
    of what metal and body stop, and the noise of starved detectors; its filtered
    back-projection is added to the plane.

    Source: De Man B et al. IEEE Trans Nucl Sci 1999;46:691-696 (causes of metal streaks).
    """
    rng = np.random.default_rng(seed)
    row, column = _inner_point(plane, rng)
    y, x = np.indices(plane.shape)
    away_mm = np.hypot((y - row) * spacing_mm[0], (x - column) * spacing_mm[1])
    metal = np.clip(0.5 - (away_mm - size_mm / 2) / spacing_mm[0], 0, 1)
    pixel_mm = float(np.mean(spacing_mm))
    body = _projections(np.maximum(1 + plane / 1000, 0) * _WATER_PER_MM * pixel_mm)
    rod = _projections(metal * METAL_HU / 1000 * _WATER_PER_MM * pixel_mm)
    noise = rng.standard_normal(rod.shape) * 0.01 * np.exp(np.minimum(body + rod, 9) / 2)
    error = np.where(rod > 0.02, -0.06 * rod * body + 0.3 * noise, 0)
    streaks = _back_projected(error, plane.shape) / (_WATER_PER_MM * pixel_mm) * 1000
    shown = plane + streaks + metal * (METAL_HU - plane)
    return np.asarray(np.clip(shown, -1024, BRIGHTEST_HU), dtype=np.float32)


def _detector(shape: tuple[int, ...], angle: float) -> tuple[NDArray[np.float64], int]:
    """Return where every pixel falls on the detector, and how many cells that has."""
    cells = int(np.ceil(np.hypot(shape[0], shape[1]))) + 2
    y, x = np.indices(shape)
    across = (x - (shape[1] - 1) / 2) * np.cos(angle) + (y - (shape[0] - 1) / 2) * np.sin(angle)
    return across + cells / 2, cells


def _projections(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return line integrals in parallel beams, shape (angle, detector cell)."""
    rows = []
    for angle in np.arange(_ANGLES) * np.pi / _ANGLES:
        at, cells = _detector(values.shape, angle)
        low = at.astype(int)
        share = at - low
        sums = np.bincount(low.ravel(), (values * (1 - share)).ravel(), cells + 1)
        rows.append((sums + np.bincount(low.ravel() + 1, (values * share).ravel(), cells + 1))[:-1])
    return np.asarray(rows)


def _back_projected(error: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the ramp-filtered back-projection."""
    cells = error.shape[1]
    ramp = 2 * np.abs(np.fft.rfftfreq(2 * cells))
    filtered = np.fft.irfft(np.fft.rfft(error, 2 * cells, axis=1) * ramp, axis=1)[:, :cells]
    total = np.zeros(shape)
    for number, line in enumerate(filtered):
        at, _ = _detector(shape, number * np.pi / _ANGLES)
        total += np.interp(at, np.arange(cells), line)
    return total * np.pi / (2 * _ANGLES)


def with_text(plane: Plane, lines: int, *, seed: int) -> Plane:
    """Burn lines of 6 to 12 bright letters and digits into a plane, near its border.

    They have a dark rim, as viewers draw it, so that they are legible on any ground.
    """
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng(seed)
    rows, columns = plane.shape
    height = max(9, round(0.04 * min(plane.shape)))
    letters, rims = Image.new("L", (columns, rows)), Image.new("L", (columns, rows))
    font = ImageFont.load_default(size=height)
    left = rng.integers(2, max(3, columns // 8)) if rng.random() < 0.5 else columns // 2
    top = rng.integers(2, 6) if rng.random() < 0.5 else rows - 6 - lines * (height + 4)
    for line in range(lines):
        words = "".join(rng.choice(list(_LETTERS), rng.integers(6, 13)))
        at = (int(left), int(top) + line * (height + 4))
        ImageDraw.Draw(letters).text(at, words, fill=255, font=font)
        ImageDraw.Draw(rims).text(at, words, fill=255, font=font, stroke_width=1)
    rim, letter = (np.asarray(sheet, dtype=np.float32) / 255 for sheet in (rims, letters))
    dark = plane + rim * (plane.min() - plane)
    return np.asarray(dark + letter * (plane.max() - dark), dtype=np.float32)
