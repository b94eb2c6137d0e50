"""Pictures drawn with matplotlib's Agg canvas: the same scene gives the same bytes."""

import io
import warnings
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray
from PIL import Image as Pixels

from aegle.domain.grid import Points
from aegle.report.language import has_han

DPI = 100
PANEL_PIXELS = (600, 480)
LARGEST_BYTES = 110_000
Frame = tuple[float, float, float, float]
"""Part of a picture that is shown: left, right, top, bottom [mm]."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An encoded picture and its words."""

    data: bytes
    media_type: str
    width: int
    height: int
    alt: str
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Outline:
    """The border of a mask on a slice."""

    mask: NDArray[np.bool_]
    colour: str
    width: float = 1.2


@dataclass(frozen=True, eq=False)
class Isolines:
    """Lines of equal value, each level in its colour."""

    values: NDArray[np.float32]
    levels: tuple[float, ...]
    colours: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Segment:
    """A straight line between two picture positions [mm]."""

    ends: Points
    label: str = ""
    """Written beside the first end if ``is_labelled``."""
    colour: str = "#ffd000"
    is_dashed: bool = False
    is_labelled: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """One slice with what is drawn on it; lengths in picture coordinates [mm]."""

    base: NDArray[np.uint8]
    """Shape (down, right, 3)."""
    pixel_mm: tuple[float, float]
    """Distance of pixels along down and right [mm]."""
    letters: tuple[str, str, str, str] = ("", "", "", "")
    """At the left, right, top and bottom border."""
    frame: Frame | None = None
    """Shown part; all of it if None."""
    outlines: tuple[Outline, ...] = ()
    isolines: tuple[Isolines, ...] = ()
    segments: tuple[Segment, ...] = ()
    marks: tuple[tuple[float, float, str], ...] = field(default=())
    """Words at places (right, down)."""
    key: tuple[tuple[str, str], ...] = ()
    """Colours and words in the upper left corner."""
    has_scale: bool = True
    is_light: bool = False
    """Whether the background is light (inverted PET)."""


def draw(scene: Scene, size: tuple[int, int] = PANEL_PIXELS) -> tuple[bytes, int, int]:
    """Return a scene as JPEG bytes with its width and height [pixel]."""
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    figure.patch.set_facecolor("white" if scene.is_light else "black")
    draw_on(figure.add_axes((0, 0, 1, 1)), scene, size[0] / size[1])
    return _jpeg(pixels_of(figure)), *size


def draw_on(axes: Axes, scene: Scene, aspect: float) -> None:
    """Draw a scene on axes whose width is ``aspect`` times their height."""
    frame = _fitted(scene.frame or whole(scene.base.shape, scene.pixel_mm), aspect)
    axes.set_axis_off()
    axes.imshow(
        scene.base,
        extent=_extent(scene.base.shape, scene.pixel_mm),
        interpolation="bilinear",
        aspect="equal",
    )
    axes.set_xlim(frame[0], frame[1])
    axes.set_ylim(frame[3], frame[2])
    for isolines in scene.isolines:
        _draw_isolines(axes, isolines, scene.pixel_mm)
    for outline in scene.outlines:
        _draw_outline(axes, outline, scene.pixel_mm)
    ink = "#222222" if scene.is_light else "white"
    _draw_segments(axes, scene, frame, ink)
    _draw_border(axes, scene, frame, ink)


def whole(shape: tuple[int, ...], pixel_mm: tuple[float, float]) -> Frame:
    """Return the frame of a whole picture."""
    left, right, bottom, top = _extent(shape, pixel_mm)
    return left, right, top, bottom


def _extent(shape: tuple[int, ...], pixel_mm: tuple[float, float]) -> Frame:
    down, right = pixel_mm
    return -right / 2, (shape[1] - 0.5) * right, (shape[0] - 0.5) * down, -down / 2


def _fitted(frame: Frame, aspect: float) -> Frame:
    """Widen a frame to the aspect of its panel, keeping its middle."""
    left, right, top, bottom = frame
    width, height = right - left, bottom - top
    wide, high = max(width, height * aspect), max(height, width / aspect)
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - wide / 2, x + wide / 2, y - high / 2, y + high / 2


def _draw_outline(axes: Axes, outline: Outline, pixel_mm: tuple[float, float]) -> None:
    rows = np.flatnonzero(outline.mask.any(axis=1))
    columns = np.flatnonzero(outline.mask.any(axis=0))
    if rows.size == 0:
        return
    box = outline.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(box.astype(np.float32), 1)
    axes.contour(
        (np.arange(padded.shape[1]) + columns[0] - 1) * pixel_mm[1],
        (np.arange(padded.shape[0]) + rows[0] - 1) * pixel_mm[0],
        padded,
        levels=[0.5],
        colors=[outline.colour],
        linewidths=outline.width,
    )


def _draw_isolines(axes: Axes, isolines: Isolines, pixel_mm: tuple[float, float]) -> None:
    values = np.nan_to_num(isolines.values)
    shown = [
        (level, colour)
        for level, colour in zip(isolines.levels, isolines.colours, strict=True)
        if values.min() < level < values.max()
    ]
    if not shown:
        return
    levels, colours = zip(*sorted(shown), strict=True)
    axes.contour(
        np.arange(values.shape[1]) * pixel_mm[1],
        np.arange(values.shape[0]) * pixel_mm[0],
        values,
        levels=list(levels),
        colors=list(colours),
        linewidths=1.2,
        # Structures may have the same colours; their outlines are solid.
        linestyles=[(0, (3.2, 1.4))],
    )


def _draw_segments(axes: Axes, scene: Scene, frame: Frame, ink: str) -> None:
    for segment in scene.segments:
        ends = np.asarray(segment.ends)
        style = "--" if segment.is_dashed else "-"
        line = axes.plot(ends[:, 0], ends[:, 1], style, color=segment.colour, linewidth=1.5)
        line[0].set_path_effects(_halo(segment.colour))
        if segment.is_labelled:
            _write(axes, tuple(ends[0]), segment.label, segment.colour, size=14)
    for x, y, label in scene.marks:
        if frame[0] < x < frame[1] and frame[2] < y < frame[3]:
            _write(axes, (x, y), label, ink, size=15)


def _draw_border(axes: Axes, scene: Scene, frame: Frame, ink: str) -> None:
    left, right, top, bottom = scene.letters
    for place, letter, sides in (
        ((0.012, 0.5), left, ("left", "center")),
        ((0.988, 0.5), right, ("right", "center")),
        ((0.5, 0.985), top, ("center", "top")),
        ((0.5, 0.015), bottom, ("center", "bottom")),
    ):
        _label(axes, place, letter, ink, sides)
    for row, (colour, words) in enumerate(scene.key):
        _label(axes, (0.025, 0.97 - 0.085 * row), words, colour, ("left", "top"))
    if scene.has_scale:
        _draw_scale(axes, frame, ink)


def _draw_scale(axes: Axes, frame: Frame, ink: str) -> None:
    width = frame[1] - frame[0]
    length_mm = next((n for n in (100, 50, 20, 10, 5) if n < width / 3.5), 1)
    share = length_mm / width
    axes.plot(
        [0.97 - share, 0.97], [0.045, 0.045], color=ink, linewidth=2.2, transform=axes.transAxes
    )
    words = f"{length_mm // 10} cm" if length_mm >= 10 else f"{length_mm} mm"
    _label(axes, (0.97, 0.06), words, ink, ("right", "bottom"))


def _label(
    axes: Axes, place: tuple[float, float], text: str, ink: str, sides: tuple[str, str]
) -> None:
    axes.text(
        *place,
        text,
        transform=axes.transAxes,
        color=ink,
        fontproperties=font(text, 15),
        horizontalalignment=sides[0],
        verticalalignment=sides[1],
        parse_math=False,
        path_effects=_halo(ink),
    )


def _write(axes: Axes, place: tuple[float, ...], text: str, ink: str, *, size: float) -> None:
    axes.annotate(
        text,
        (place[0], place[1]),
        xytext=(5, 5),
        textcoords="offset points",
        color=ink,
        fontproperties=font(text, size),
        parse_math=False,
        path_effects=_halo(ink),
        annotation_clip=True,
    )


def _halo(ink: str) -> list[AbstractPathEffect]:
    return [withStroke(linewidth=2.6, foreground="white" if ink == "#222222" else "black")]


def font(text: str, size: float) -> FontProperties:
    """Return the fonts that have the glyphs of a text: DejaVu Sans, and Han where needed."""
    if not has_han(text):
        return FontProperties(fname=str(latin_font_path()), size=size)
    return FontProperties(family=["DejaVu Sans", _han_family()], size=size)


@cache
def _han_family() -> str:
    """Make the Chinese font known to matplotlib and return its name."""
    path = str(han_font_path())
    fontManager.addfont(path)
    return str(FontProperties(fname=path).get_name())


@cache
def han_font_path() -> Path:
    """Return where the Chinese font lies."""
    return Path(str(resources.files("aegle.report") / "fonts" / "aegle-han.ttf"))


@cache
def latin_font_path(*, bold: bool = False) -> Path:
    """Return where DejaVu Sans lies, which comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


def pixels_of(figure: Figure) -> Pixels.Image:
    """Draw a figure and return its pixels."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A name in a script that neither font has is drawn as boxes, not refused.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ ")
        canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return Pixels.fromarray(drawn[..., :3].copy())


def _jpeg(pixels: Pixels.Image) -> bytes:
    data = b""
    for quality in (86, 78, 70, 60, 45, 30):
        stream = io.BytesIO()
        # Thin coloured lines blur if colour is stored at half resolution.
        pixels.save(stream, "JPEG", quality=quality, subsampling=0, optimize=True)
        data = stream.getvalue()
        if len(data) <= LARGEST_BYTES:
            break
    return data


def png(pixels: Pixels.Image, colours: int = 128) -> bytes:
    """Return pixels as PNG bytes with a small palette."""
    stream = io.BytesIO()
    pixels.quantize(colours, dither=Pixels.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
