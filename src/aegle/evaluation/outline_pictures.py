"""Pictures of single cases: what is true and what was said, drawn over the image.

Outlines run along the borders of voxels, so that what is shown is what was judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aegle.evaluation.drawing import INK, Picture, chart, picture_of
from aegle.evaluation.overlap import Labels
from aegle.evaluation.weighted import Numbers

TRUE_COLOUR, SAID_COLOUR, WRONG_COLOUR = "#56b4e9", "#e69f00", "#ff5fd2"
"""Told apart on grey with every colour vision."""
Sketch = Callable[[], Picture]
"""Draws a picture; holds no more than the slice that it shows."""
_SHOWN_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
_SIDE_INCH = 3.3
_LEAST_MARGIN = 12
"""Pixels around what is shown."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Line:
    """Outlines of one kind."""

    name: str
    colour: str
    width: float
    segments: NDArray[np.float64]
    """Shape (segment, 2 ends, column and row)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ShownBox:
    """A box with its words."""

    box: Sequence[float]
    """Left, top, right, bottom [pixel]."""
    words: str
    is_true: bool
    is_right: bool = True


def sketch_outlines(
    picture: NDArray[np.generic],
    truth: Labels,
    predicted: Labels,
    *,
    spacing_mm: tuple[float, float, float],
    caption: str,
) -> Sketch:
    """Sketch classes as they are and as they were outlined, on the slice where they differ most.

    Args:
        picture: Values, shape (channel, slice, row, column).
        truth: Shape (slice, row, column).
        predicted: Of the same shape.
        spacing_mm: Of the voxels.
        caption: What stands below.
    """
    place = worst_slice(truth != predicted, truth != 0)
    real, said = truth[place], predicted[place]
    lines = (
        Line(name="truth", colour=TRUE_COLOUR, width=2.4, segments=borders(real)),
        Line(name="model", colour=SAID_COLOUR, width=1.2, segments=borders(said)),
    )
    return partial(
        _drawn,
        picture[:, place].copy(),
        (real != 0) | (said != 0),
        lines,
        spacing_mm,
        _with_slice(caption, place, len(truth)),
    )


def sketch_objects(
    picture: NDArray[np.generic],
    truth: Labels,
    predicted: Labels,
    *,
    wrong: tuple[Sequence[int], Sequence[int]],
    spacing_mm: tuple[float, float, float],
    caption: str,
) -> Sketch:
    """Sketch objects that were found, missed and invented, on the slice that holds most of these.

    Args:
        picture: Values, shape (channel, slice, row, column).
        truth: Number of the object of each voxel, shape (slice, row, column).
        predicted: The same as outlined.
        wrong: Numbers of the missed, of the false objects.
        spacing_mm: Of the voxels.
        caption: What stands below.
    """
    missed, false = (
        np.isin(labels, list(own)) for labels, own in zip((truth, predicted), wrong, strict=True)
    )
    place = worst_slice(missed | false, truth != 0)
    real, said = truth[place], predicted[place]
    lines = tuple(
        Line(name=name, colour=colour, width=width, segments=borders(shown))
        for name, colour, width, shown in (
            ("found", TRUE_COLOUR, 1.2, said * ~false[place]),
            ("missed", SAID_COLOUR, 1.8, real * missed[place]),
            ("false", WRONG_COLOUR, 1.6, said * false[place]),
        )
    )
    return partial(
        _drawn,
        picture[:, place].copy(),
        (real != 0) | (said != 0),
        lines,
        spacing_mm,
        _with_slice(caption, place, len(truth)),
    )


def draw_boxes(
    picture: NDArray[np.generic],
    boxes: Sequence[ShownBox],
    *,
    caption: str,
    is_judged: bool = True,
) -> Picture:
    """Draw true and found boxes with their words.

    Args:
        picture: Values, shape (channel, slice, row, column) with one slice.
        boxes: True and found ones.
        caption: What stands below.
        is_judged: Whether it is known what is true.
    """
    whole = (slice(0, picture.shape[2]), slice(0, picture.shape[3]))
    figure, axes = _canvas(picture[:, 0], whole, (1.0, 1.0, 1.0))
    for one in boxes:
        _add_box(axes, one)
    true = Line2D([], [], color=TRUE_COLOUR, linewidth=2.2, label="truth")
    found = Line2D([], [], color=SAID_COLOUR, linewidth=1.3, label="found")
    false = Line2D([], [], color=WRONG_COLOUR, linewidth=1.3, linestyle="--", label="false")
    _legend(figure, (true, found, false) if is_judged else (found,))
    return picture_of(figure, caption, caption, is_image=True)


def draw_predicted(
    picture: NDArray[np.generic],
    predicted: Labels,
    *,
    classes: Sequence[str],
    spacing_mm: tuple[float, float, float],
    caption: str,
) -> Picture:
    """Draw what was outlined, on the slice that holds most of it.

    Args:
        picture: Values, shape (channel, slice, row, column).
        predicted: Shape (slice, row, column): 0, then classes or numbers of objects.
        classes: Names of the labels 1, 2, ...; empty for objects.
        spacing_mm: Of the voxels.
        caption: What stands below.
    """
    place = worst_slice(predicted != 0, predicted != 0)
    said = predicted[place]
    kinds = [(name, said == number) for number, name in enumerate(classes, 1)]
    lines = tuple(
        Line(
            name=name,
            colour=_SHOWN_COLOURS[number % len(_SHOWN_COLOURS)],
            width=1.4,
            segments=borders(inside),
        )
        for number, (name, inside) in enumerate(kinds or [("object", said)])
        if inside.any()
    )
    whole = np.ones(said.shape, np.bool_)
    caption = _with_slice(caption, place, len(predicted))
    return _drawn(picture[:, place], whole, lines, spacing_mm, caption)


def borders(labels: Labels) -> NDArray[np.float64]:
    """Return the borders between pixels of different labels.

    Args:
        labels: Shape (row, column).

    Returns:
        Ends of each piece, shape (piece, 2, 2) as (column, row); pixel 0 reaches from -0.5 to 0.5.
    """
    framed = np.pad(labels, 1)
    rows, columns = np.nonzero(framed[:, 1:] != framed[:, :-1])
    upright = np.stack([np.stack([columns, rows - 1], 1), np.stack([columns, rows], 1)], axis=1)
    rows, columns = np.nonzero(framed[1:] != framed[:-1])
    level = np.stack([np.stack([columns - 1, rows], 1), np.stack([columns, rows], 1)], axis=1)
    return np.concatenate([upright, level]) - 0.5


def worst_slice(wrong: NDArray[np.bool_], real: NDArray[np.bool_]) -> int:
    """Return the slice with most wrong voxels, or if none is wrong with most real ones."""
    marked = wrong if wrong.any() else real
    return int(marked.sum(axis=(1, 2)).argmax())


def _add_box(axes: Axes, one: ShownBox) -> None:
    left, top, right, bottom = (float(side) - 0.5 for side in one.box)
    is_false = not (one.is_true or one.is_right)
    found_colour = WRONG_COLOUR if is_false else SAID_COLOUR
    colour = TRUE_COLOUR if one.is_true else found_colour
    axes.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=colour,
            linewidth=2.2 if one.is_true else 1.3,
            linestyle="--" if is_false else "-",
        )
    )
    # The words of true boxes stand at the lower edge, inside, so that they hide no others.
    axes.annotate(
        one.words,
        (left, bottom if one.is_true else top),
        xytext=(1, 2 if one.is_true else -2),
        textcoords="offset points",
        va="bottom" if one.is_true else "top",
        fontsize=6.5,
        color=INK,
        parse_math=False,
        annotation_clip=True,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )


def _with_slice(caption: str, place: int, slices: int) -> str:
    return f"{caption} (slice {place + 1} of {slices})" if slices > 1 else caption


def _drawn(
    plane: NDArray[np.generic],
    inside: NDArray[np.bool_],
    lines: Sequence[Line],
    spacing_mm: tuple[float, float, float],
    caption: str,
) -> Picture:
    window = (_span(np.any(inside, axis=1)), _span(np.any(inside, axis=0)))
    figure, axes = _canvas(plane, window, spacing_mm)
    for line in lines:
        axes.add_collection(
            LineCollection(
                list(line.segments),
                colors=line.colour,
                linewidths=line.width,
            ),
            autolim=False,
        )
    _legend(
        figure,
        [Line2D([], [], color=k.colour, linewidth=k.width, label=k.name) for k in lines],
    )
    return picture_of(figure, caption, caption, is_image=True)


def _span(held: NDArray[np.bool_]) -> slice:
    """Return what is shown of an axis: what is held with a margin, or all if that is most."""
    places = np.flatnonzero(held)
    if not places.size:
        return slice(0, held.size)
    margin = max(_LEAST_MARGIN, (places[-1] - places[0]) // 2)
    start, stop = max(places[0] - margin, 0), min(places[-1] + 1 + margin, held.size)
    return slice(int(start), int(stop)) if stop - start < held.size / 2 else slice(0, held.size)


def _canvas(
    plane: NDArray[np.generic], window: tuple[slice, slice], spacing_mm: tuple[float, float, float]
) -> tuple[Figure, Axes]:
    rows, columns = window
    ratio = spacing_mm[1] / spacing_mm[2]
    height = (rows.stop - rows.start) * ratio / (columns.stop - columns.start)
    scale = 1 / max(height, 1)
    figure, axes = chart(_SIDE_INCH * max(scale, 0.6), _SIDE_INCH * height * scale + 0.3)
    axes.imshow(_shades(plane, window), cmap="gray", aspect=ratio, interpolation="nearest")
    axes.set_axis_off()
    axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
    axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)
    return figure, axes


def _shades(plane: NDArray[np.generic], window: tuple[slice, slice]) -> Numbers:
    """Return values in [0, 1]: grey (row, column) or colours (row, column, 3)."""
    values = np.nan_to_num(np.asarray(plane, np.float64))
    shown = values[:, window[0], window[1]]
    low, high = np.percentile(shown, [0.5, 99.5])
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return np.moveaxis(scaled, 0, -1) if len(scaled) == 3 else scaled[0]


def _legend(figure: Figure, keys: Sequence[Line2D]) -> None:
    figure.legend(
        handles=list(keys),
        loc="outside lower center",
        ncols=len(keys),
        fontsize=7.5,
        frameon=False,
        labelcolor=INK,
    )
