"""Pictures drawn with matplotlib's Agg canvas: the same numbers give the same bytes."""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as Pixels

DPI = 130
INK, FAINT, RULE = "#25313c", "#6b7785", "#dfe4e8"
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7a6a00",
    "#4d4d4d",
)
"""Told apart with every colour vision: after Okabe M, Ito K. Color Universal Design, 2008."""
STYLES = ("-", "--", "-.", ":")
_SHADES, _SHADES_OF_IMAGE = 96, 256


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG and its words."""

    data: bytes
    width: int
    height: int
    alt: str
    caption: str = ""


def chart(width_inch: float = 5.2, height_inch: float = 4.2) -> tuple[Figure, Axes]:
    """Return an empty chart on white."""
    figure = Figure(figsize=(width_inch, height_inch), dpi=DPI, layout="constrained")
    figure.set_facecolor("white")
    axes = figure.add_subplot()
    finish(axes, "", "")
    return figure, axes


def finish(axes: Axes, x_label: str, y_label: str) -> None:
    """Label axes and lay a faint grid under them."""
    axes.set_xlabel(x_label, color=INK, fontsize=10, parse_math=False)
    axes.set_ylabel(y_label, color=INK, fontsize=10, parse_math=False)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=9)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def legend(axes: Axes, place: Literal["lower right", "lower left", "best"]) -> None:
    """Name the lines; a dollar sign in a name stays one."""
    shown = axes.legend(loc=place, fontsize=8.5, frameon=True, edgecolor=RULE, labelcolor=INK)
    for text in shown.get_texts():
        text.set_parse_math(False)


def picture_of(figure: Figure, alt: str, caption: str = "", *, is_image: bool = False) -> Picture:
    """Return a chart as a picture.

    Args:
        figure: The chart.
        alt: What a reader who does not see it is told.
        caption: What stands below.
        is_image: Whether an image lies below the lines; thin lines keep their colours then.
    """
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A name in a script that the font does not have is drawn as boxes, not refused.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ ")
        canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return _encoded(Pixels.fromarray(drawn[..., :3].copy()), alt, caption, is_image=is_image)


def thumbnail(pixels: NDArray[np.generic], alt: str, caption: str, *, side: int = 320) -> Picture:
    """Return an image as a picture no larger than ``side``.

    Args:
        pixels: (row, column), (row, column, 3), (channel, row, column) with 1 or 3 channels, or a
            volume (..., slice, row, column), of which the middle slice is shown.
        alt: What a reader who does not see it is told.
        caption: What stands below.
        side: Rows and columns at most.
    """
    plane = _plane(np.asarray(pixels))
    if plane.dtype != np.uint8:
        finite = np.nan_to_num(plane.astype(np.float64))
        low, high = np.percentile(finite, [0.5, 99.5])
        plane = np.round(np.clip((finite - low) / max(high - low, 1e-9), 0, 1) * 255)
    image = Pixels.fromarray(plane.astype(np.uint8))
    image.thumbnail((side, side))
    return _encoded(image, alt, caption)


def _plane(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[-1] != 3:
        pixels = np.moveaxis(pixels, 0, -1)
    while pixels.ndim > 3 or (pixels.ndim == 3 and pixels.shape[-1] not in (1, 3)):
        pixels = pixels[0] if pixels.ndim > 3 else pixels[pixels.shape[0] // 2]
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels


def _encoded(image: Pixels.Image, alt: str, caption: str, *, is_image: bool = False) -> Picture:
    stream = io.BytesIO()
    if image.mode == "RGB":
        method = Pixels.Quantize.FASTOCTREE if is_image else Pixels.Quantize.MEDIANCUT
        shades = _SHADES_OF_IMAGE if is_image else _SHADES
        image = image.quantize(shades, method=method, dither=Pixels.Dither.NONE)
    image.save(stream, "PNG", optimize=True)
    return Picture(
        data=stream.getvalue(), width=image.width, height=image.height, alt=alt, caption=caption
    )
