"""Changes to prepared images that show what a model looks at.

Three kinds. Some take away what may hold marks (border, corners, burned-in text): a model of the
anatomy stays as good. Some take away the anatomy: a model that still works uses something else.
Some change the look of the source and leave everything in place: a model that breaks will break on
images from elsewhere.

Images are of shape (image, channel, ..., row, column), 0 to 255. What is covered is filled with
the median of what is left of its image and channel, so the cover tells nothing of what is below.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Images = NDArray[np.uint8]

BORDER = 0.12
"""Share of the height and width that counts as border, at each side."""
CENTRE = 0.6
"""Share of the height and width in the middle that counts as centre."""
CORNER = 0.22
"""Share of the height and width of a box in each corner."""
COARSE = 16
"""Rows and columns that are left of a coarse image."""
TEXT_WIDTH = 1 / 28
"""Strokes thinner than this share of the image may be burned-in text or marks."""
TEXT_CONTRAST = 90
"""How much a stroke is brighter than what surrounds it, of 255."""
TEXT_BRIGHTNESS = 200
"""How bright a stroke is at least, of 255."""


class Kind(Enum):
    """What a change shows."""

    MARKS = "marks taken away"
    ANATOMY = "anatomy taken away"
    LOOK = "other look"


@dataclass(frozen=True)
class Probe:
    """One change of images."""

    name: str
    """What is left or changed, to follow the word 'with'."""
    kind: Kind
    change: Callable[[Images], Images]


def border_masked(values: Images) -> Images:
    """Cover the outer 12 % at each side."""
    return _filled(values, ~_box(values, 1 - 2 * BORDER))


def border_only(values: Images) -> Images:
    """Cover all but the outer 12 % at each side."""
    return _filled(values, _box(values, 1 - 2 * BORDER))


def centre_only(values: Images) -> Images:
    """Cover all but the middle 60 % of height and width."""
    return _filled(values, ~_box(values, CENTRE))


def corners_masked(values: Images) -> Images:
    """Cover a box in each corner."""
    return _filled(values, _corners(values))


def corners_only(values: Images) -> Images:
    """Cover all but a box in each corner."""
    return _filled(values, ~_corners(values))


def text_masked(values: Images) -> Images:
    """Replace thin bright strokes, such as burned-in text and callipers, by what lies around.

    Thin bright anatomy (calcifications, catheters, wires) goes with them.
    """
    width = max(3, round(min(values.shape[-2:]) * TEXT_WIDTH) | 1)
    plane = (1,) * (values.ndim - 2)
    background = ndimage.grey_opening(values, size=(*plane, width, width), mode="nearest")
    strokes = (values >= TEXT_BRIGHTNESS) & (values - background >= TEXT_CONTRAST)
    near = ndimage.binary_dilation(strokes, np.ones((*plane, 3, 3), np.bool_))
    return np.where(near, background, values).astype(np.uint8)


def coarse(values: Images) -> Images:
    """Keep the mean of 16 by 16 boxes only."""
    rows, columns = values.shape[-2:]
    lines, posts = (np.linspace(0, n, COARSE + 1).round().astype(int) for n in (rows, columns))
    if min(rows, columns) <= COARSE:
        return values
    sums = np.add.reduceat(values.astype(np.float64), lines[:-1], axis=-2)
    sums = np.add.reduceat(sums, posts[:-1], axis=-1)
    means = sums / np.outer(np.diff(lines), np.diff(posts))
    repeated = np.repeat(np.repeat(means, np.diff(lines), axis=-2), np.diff(posts), axis=-1)
    return np.round(repeated).astype(np.uint8)


def equalised(values: Images) -> Images:
    """Give every image, per channel, a flat histogram."""
    planes = values.reshape(-1, values[0, 0].size)
    made = np.empty_like(planes)
    for place, plane in enumerate(planes):
        below = np.cumsum(np.bincount(plane, minlength=256))
        lowest = below[plane.min()]
        scale = 255 / max(plane.size - lowest, 1)
        made[place] = np.round((below[plane] - lowest) * scale).astype(np.uint8)
    return made.reshape(values.shape)


def darker(values: Images) -> Images:
    """Darken the middle tones: gamma 1.6."""
    return _toned(values, 1.6)


def brighter(values: Images) -> Images:
    """Brighten the middle tones: gamma 1 / 1.6."""
    return _toned(values, 1 / 1.6)


PROBES: Mapping[str, Probe] = {
    "border_masked": Probe("the border covered", Kind.MARKS, border_masked),
    "corners_masked": Probe("the corners covered", Kind.MARKS, corners_masked),
    "text_masked": Probe("thin bright marks removed", Kind.MARKS, text_masked),
    "centre_only": Probe("only the centre left", Kind.MARKS, centre_only),
    "border_only": Probe("only the border left", Kind.ANATOMY, border_only),
    "corners_only": Probe("only the corners left", Kind.ANATOMY, corners_only),
    "coarse": Probe("only 16 by 16 boxes left", Kind.LOOK, coarse),
    "equalised": Probe("equalised histograms", Kind.LOOK, equalised),
    "darker": Probe("darker middle tones", Kind.LOOK, darker),
    "brighter": Probe("brighter middle tones", Kind.LOOK, brighter),
}
"""Every change by its name in files."""


def _box(values: Images, share: float) -> NDArray[np.bool_]:
    """Return a mask (row, column) of the middle share of height and width."""
    height, width = values.shape[-2:]
    rows, columns = _margin(height, (1 - share) / 2), _margin(width, (1 - share) / 2)
    inside = np.zeros((height, width), np.bool_)
    inside[rows : height - rows, columns : width - columns] = True
    return inside


def _corners(values: Images) -> NDArray[np.bool_]:
    """Return a mask (row, column) of a box in each corner."""
    height, width = values.shape[-2:]
    rows, columns = _margin(height, CORNER), _margin(width, CORNER)
    marked = np.ones((height, width), np.bool_)
    marked[rows : height - rows, :] = False
    marked[:, columns : width - columns] = False
    return marked


def _margin(length: int, share: float) -> int:
    return max(1, round(length * share))


def _filled(values: Images, covered: NDArray[np.bool_]) -> Images:
    left = values[..., ~covered].reshape(*values.shape[:2], -1)
    fill = np.median(left, axis=-1).astype(np.uint8)
    fill = fill.reshape(*values.shape[:2], *(1,) * (values.ndim - 2))
    return np.where(covered, fill, values)


def _toned(values: Images, gamma: float) -> Images:
    table = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return table[values]
