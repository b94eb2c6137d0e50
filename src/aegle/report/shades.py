"""How values become grey and colour: windows, palettes, overlays."""

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.case import CaseResults
from aegle.domain.codes import BODY_PARTS, StructureType
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume

LESION_COLOUR = "#ff5d5d"
TARGET_COLOURS = ("#ffb703", "#fb8500", "#ffd60a")
OUTLINE_COLOUR = "#9fb3c8"
ORGAN_COLOURS = (
    "#4cc9f0",
    "#80ed99",
    "#c77dff",
    "#f4a6c0",
    "#90e0c0",
    "#a8b8ff",
    "#d9ed92",
    "#e0aaff",
    "#7bdff2",
    "#b5e48c",
)
LOWEST_GLOW = 0.15
"""Uptake below this part of the window is not coloured."""
ISODOSE_PERCENT = (107.0, 100.0, 95.0, 80.0, 50.0, 20.0)
"""Of the prescribed dose; ICRU Report 50 wants the target's within 95 % and 107 %."""
ISODOSE_COLOURS = ("#ff4fd8", "#ff3d3d", "#ff8c1a", "#ffe14d", "#9ef01a", "#4895ef")


BELOW_RGB, ABOVE_RGB = (40, 110, 255), (255, 50, 40)
"""Of values below and above zero."""
NEEDED_LIGHTNESS = 0.36
"""Greatest lightness of a line that is clear on white."""


@dataclass(frozen=True)
class Window:
    """The range of values that is spread over the grey scale."""

    lower: float
    upper: float
    unit: str
    is_inverted: bool = False

    @property
    def label(self) -> str:
        """The window in words: centre and width for HU, range for SUV, else nothing."""
        if self.unit == "HU":
            centre, width = (self.lower + self.upper) / 2, self.upper - self.lower
            return f"C {centre:.0f} W {width:.0f} HU".replace("-", "−")
        return f"{self.unit} {self.lower:g}–{self.upper:g}" if self.unit else ""

    def grey(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return values as grey, shape (down, right, 3); what is not finite counts as lowest."""
        finite = np.nan_to_num(values, nan=self.lower, posinf=self.upper, neginf=self.lower)
        share = np.clip((finite - self.lower) / (self.upper - self.lower), 0, 1)
        level = np.round(255 * (1 - share if self.is_inverted else share)).astype(np.uint8)
        return np.repeat(level[..., None], 3, axis=-1)


LEAST_LUNG = 0.2
"""The lung window is used from this share of lung around the place of interest on."""
LUNG = Window(-1350, 150, "HU")
SOFT_TISSUE = Window(-160, 240, "HU")


def window_of(volume: Volume, around: NDArray[np.float32]) -> Window:
    """Choose a window for a volume by what lies around the place of interest.

    Args:
        volume: The image.
        around: Values near the place of interest, any shape.
    """
    if volume.quantity is Quantity.RADIODENSITY:
        # Lung holds mostly air: between -950 HU (outside air lies below) and -500 HU.
        lung = np.mean((around > -950) & (around < -500)) if around.size else 0.0
        return LUNG if lung > LEAST_LUNG else SOFT_TISSUE
    if volume.quantity is Quantity.STANDARDISED_UPTAKE:
        peak = float(np.nanpercentile(volume.values, 99.9))
        return Window(0, float(np.clip(np.ceil(peak), 5, 15)), "SUV", is_inverted=True)
    return _spread(volume.values, is_inverted=volume.quantity is Quantity.ACTIVITY_CONCENTRATION)


def _spread(values: NDArray[np.float32], *, is_inverted: bool = False) -> Window:
    step = max(1, values.size // 200_000)
    sample = values.reshape(-1)[::step]
    sample = sample[np.isfinite(sample)]
    lower, upper = np.percentile(sample, (1, 99.5)) if sample.size else (0.0, 1.0)
    lower = min(float(lower), 0.0) if is_inverted else float(lower)
    return Window(lower, max(float(upper), lower + 1e-6), "", is_inverted)


def plain_grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one frame of a projection as it is shown; colour stays colour."""
    if values.ndim == 3:
        return np.clip(np.nan_to_num(values), 0, 255).astype(np.uint8)
    return _spread(values).grey(values)


def wash(
    base: NDArray[np.uint8], share: NDArray[np.float32], *, lowest: float, strength: float
) -> NDArray[np.uint8]:
    """Lay a colour from blue over green to red on a picture.

    Args:
        base: Picture, shape (down, right, 3).
        share: 0 to 1, shape (down, right); NaN is transparent.
        lowest: Nothing is laid below this share.
        strength: Opacity of the colour.
    """
    value = np.clip(np.nan_to_num(share), 0, 1)[..., None]
    anchors = np.linspace(0, 1, 5)
    ramp = np.array(
        [(40, 70, 200), (0, 170, 220), (70, 200, 80), (250, 200, 30), (235, 45, 35)], float
    )
    colour = np.concatenate([np.interp(value, anchors, ramp[:, c]) for c in range(3)], axis=-1)
    opacity = np.where(value >= lowest, strength, 0.0)
    mixed: NDArray[np.uint8] = np.round(base * (1 - opacity) + colour * opacity).astype(np.uint8)
    return mixed


def glow(base: NDArray[np.uint8], values: NDArray[np.float32], window: Window) -> NDArray[np.uint8]:
    """Lay uptake on a picture: black through red and yellow to white, clearer where higher."""
    value = np.clip(np.nan_to_num(values) / window.upper, 0, 1)[..., None]
    colour = np.concatenate([np.clip(3 * value - c, 0, 1) for c in range(3)], axis=-1) * 255
    opacity = np.clip((value - LOWEST_GLOW) * 2.5, 0, 0.75)
    mixed: NDArray[np.uint8] = np.round(base * (1 - opacity) + colour * opacity).astype(np.uint8)
    return mixed


def diverging(
    base: NDArray[np.uint8], share: NDArray[np.float32], *, lowest: float, strength: float
) -> NDArray[np.uint8]:
    """Lay a colour on a picture: blue below zero, red above, clearer the farther away.

    Args:
        base: Picture, shape (down, right, 3).
        share: -1 to 1, shape (down, right); NaN is transparent.
        lowest: Nothing is laid nearer to zero than this.
        strength: Greatest opacity.
    """
    value = np.clip(np.nan_to_num(share), -1, 1)[..., None]
    low, high = (np.array(rgb, float) for rgb in (BELOW_RGB, ABOVE_RGB))
    colour = np.where(value < 0, low, high)
    opacity = np.where(np.abs(value) >= lowest, strength * np.sqrt(np.abs(value)), 0.0)
    mixed: NDArray[np.uint8] = np.round(base * (1 - opacity) + colour * opacity).astype(np.uint8)
    return mixed


def ink_of(colour: str) -> str:
    """Return the same hue dark enough for a line on white paper."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    dark = colorsys.hls_to_rgb(hue, min(lightness, NEEDED_LIGHTNESS), max(saturation, 0.55))
    return "#" + "".join(f"{round(255 * part):02x}" for part in dark)


class Palette:
    """A colour for each structure, the same in every picture of a case."""

    def __init__(self, results: CaseResults) -> None:
        self._organs = _organ_colours(_all_structures(results))

    @classmethod
    def of(cls, structures: Iterable[Structure]) -> "Palette":
        """Return colours for some structures, without a case."""
        palette = cls.__new__(cls)
        palette._organs = _organ_colours(structures)
        return palette

    def colour(self, structure: Structure) -> str:
        """Return the colour of a structure."""
        if structure.type is StructureType.LESION:
            return LESION_COLOUR
        if structure.type is StructureType.TARGET:
            return TARGET_COLOURS[0 if "PTV" in structure.name.upper() else 1]
        if structure.type is StructureType.EXTERNAL:
            return OUTLINE_COLOUR
        return self.by_name(structure.name)

    def by_name(self, name: str) -> str:
        """Return the colour of an organ."""
        return self._organs.get(name, ORGAN_COLOURS[len(name) % len(ORGAN_COLOURS)])


def _organ_colours(structures: Iterable[Structure]) -> dict[str, str]:
    kinds = (StructureType.ORGAN, StructureType.AVOIDANCE)
    names = dict.fromkeys(s.name for s in structures if s.type in kinds)
    known = [name for name in BODY_PARTS if name in names]
    order = dict.fromkeys([*known, *names])
    return {name: ORGAN_COLOURS[i % len(ORGAN_COLOURS)] for i, name in enumerate(order)}


def _all_structures(results: CaseResults) -> list[Structure]:
    found = [s for v in results.segmentations.visits for i in v.images for s in i.structures]
    plan = results.planning.plan
    return [*found, *(plan.structures if plan else ())]
