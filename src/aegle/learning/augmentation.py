"""Geometric and intensity changes of images as sampled parameters that can be replayed."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.options import option


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions:
    """How far images are changed at random while training; all 0 for not at all."""

    rotation_deg: Annotated[float, option("Largest rotation", unit="degree", ge=0, le=180)] = 0.0
    scale: Annotated[float, option("Largest relative change of size", ge=0, lt=1)] = 0.0
    shift: Annotated[float, option("Largest shift, as a share of the image", ge=0, le=1)] = 0.0
    shear: Annotated[float, option("Largest shear", ge=0, le=1)] = 0.0
    mirror: Annotated[bool, option("Mirror left and right, half of the images")] = False
    flip: Annotated[bool, option("Mirror up and down, half of the images")] = False
    gamma: Annotated[float, option("Largest change of the logarithm of gamma", ge=0, le=2)] = 0.0
    contrast: Annotated[float, option("Largest relative change of contrast", ge=0, lt=1)] = 0.0
    brightness: Annotated[
        float, option("Largest change of brightness, values in [0, 1]", ge=0, le=1)
    ] = 0.0
    noise: Annotated[float, option("Largest standard deviation of added noise", ge=0, le=1)] = 0.0
    blur: Annotated[
        float, option("Largest standard deviation of blur", unit="pixel", ge=0, le=10)
    ] = 0.0
    invert: Annotated[float, option("Share of images that are inverted", ge=0, le=1)] = 0.0
    erase: Annotated[
        float, option("Share of images of which a rectangle is erased", ge=0, le=1)
    ] = 0.0
    border: Annotated[
        float,
        option(
            "Share of images whose border is covered, against marks burned in there", ge=0, le=1
        ),
    ] = 0.0
    share: Annotated[float, option("Share of images that are changed at all", ge=0, le=1)] = 1.0
