"""How an image of any size becomes what a network takes: one definition for training and use."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.options import option


@dataclass(frozen=True, kw_only=True)
class PreparationOptions:
    """How pixels are brought to one size and scale."""

    size: Annotated[
        int, option("Rows and columns after preparation", unit="pixel", ge=8, le=1024)
    ] = 224
    crop: Annotated[
        Literal["none", "foreground"],
        option("Cut the image to its foreground (Otsu on the smoothed image, largest part) first"),
    ] = "none"
    fit: Annotated[
        Literal["stretch", "pad"], option("Fill the square by stretching, or by padding with black")
    ] = "stretch"
    low_percentile: Annotated[
        float,
        option("Values at or below this percentile of the image become 0", unit="%", ge=0, lt=50),
    ] = 0.5
    high_percentile: Annotated[
        float, option("Values at or above this percentile become 1", unit="%", gt=50, le=100)
    ] = 99.5
    equalise: Annotated[
        float,
        option(
            "Weight of contrast-limited adaptive histogram equalisation against the image",
            ge=0,
            le=1,
        ),
    ] = 0.0
    colour: Annotated[bool, option("Keep red, green and blue apart")] = False


def prepare(pixels: NDArray[np.generic], *, options: PreparationOptions) -> NDArray[np.uint8]:
    """Return an image at the size and scale that a network takes.

    Args:
        pixels: As stored: (row, column), (row, column, 3) or (slice, row, column).
        options: Size, crop and scaling.

    Returns:
        (channel, row, column) for pictures, (channel, slice, row, column) for volumes; 0 to 255.
        One channel, or three with ``colour``.

    Raises:
        InputError: A pixel is infinite or not a number, or the image has no two different values.
    """
    raise NotImplementedError
