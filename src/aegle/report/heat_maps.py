"""Maps of evidence laid over the image as a model sees it."""

import io
from collections.abc import Iterator

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image as Pixels

from aegle.domain.assessment import HeatMap
from aegle.report.blocks import Block, Paragraph, Pictures, Tone
from aegle.report.drawing import Picture
from aegle.report.language import Words, clean

MOST = 0.6
"""Share of colour where the evidence is largest."""
SIDE = 336
"""At which maps are shown [pixel]."""


def overlay(seen: NDArray[np.uint8], share: NDArray[np.float64]) -> Pixels.Image:
    """Return an image with a map laid over it: the more evidence, the more colour.

    Args:
        seen: Grey values, shape (row, column).
        share: Evidence in [0, 1], shape (row, column).
    """
    grey = seen.astype(np.float64)[..., None] / 255
    colour = colormaps["inferno"](share)[..., :3]
    mixed = grey * (1 - MOST * share[..., None]) + colour * MOST * share[..., None]
    return Pixels.fromarray(np.round(mixed * 255).astype(np.uint8))


def changed(
    seen: NDArray[np.uint8], other: NDArray[np.uint8], change: NDArray[np.float64]
) -> Pixels.Image:
    """Return an image, the image changed, and the change side by side: red brighter, blue darker.

    Args:
        seen: Prepared image, shape (channel, row, column).
        other: The changed one, likewise.
        change: What was added, shape (row, column), -1 to 1.
    """
    grey = [image.mean(axis=0).round().astype(np.uint8) for image in (seen, other)]
    largest = max(float(np.abs(change).max()), np.finfo(np.float64).tiny)
    coloured = colormaps["RdBu_r"](0.5 + change / (2 * largest))[..., :3]
    panels = [
        *(np.repeat(image[..., None], 3, axis=2) for image in grey),
        np.round(coloured * 255).astype(np.uint8),
    ]
    return Pixels.fromarray(np.concatenate(panels, axis=1))


def encoded(found: HeatMap) -> bytes:
    """Return the map over its image as PNG bytes."""
    return _png(overlay(found.seen, found.share / 255))


def blocks(found: HeatMap, words: Words) -> Iterator[Block]:
    """Yield the image as the model sees it, the map over it, and how far to trust that."""
    category = clean(words.name(found.category))
    rows, columns = found.seen.shape
    size = {"width": max(1, round(SIDE * columns / max(rows, columns))), "height": SIDE}
    if rows < columns:
        size["height"] = max(1, round(SIDE * rows / columns))
    image = words("The image as the model sees it")
    over = words("Evidence for {category} ({method})", category=category, method=found.method)
    yield Pictures(
        title=words("Where the model sees evidence for {category}", category=category),
        items=(
            Picture(
                data=_png(Pixels.fromarray(found.seen)),
                media_type="image/png",
                alt=image,
                caption=image,
                **size,
            ),
            Picture(data=encoded(found), media_type="image/png", alt=over, caption=over, **size),
        ),
    )
    yield Paragraph(words.text(found.trust), Tone.CALM)


def _png(pixels: Pixels.Image) -> bytes:
    stream = io.BytesIO()
    pixels.save(stream, "PNG", optimize=True)
    return stream.getvalue()
