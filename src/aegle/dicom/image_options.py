"""How a series becomes an image."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.options import option


def choice(setting: str) -> str:
    """Return how messages name a choice, for users of Python and of the command line."""
    return f"the option images.{setting} (command line: --set images.{setting})"


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Corrections that may be made, and limits. By default nothing is corrected silently."""

    tilt: Annotated[
        Literal["refuse", "resample"],
        option("Series with a tilted gantry: refuse, or shift slices by linear interpolation"),
    ] = "refuse"
    spacing: Annotated[
        Literal["refuse", "resample"],
        option("Missing or uneven slices: refuse, or interpolate linearly to even distances"),
    ] = "refuse"
    doubled: Annotated[
        Literal["refuse", "keep-first"],
        option("Several slices at one position: refuse, or keep the first by instance number"),
    ] = "refuse"
    mixed: Annotated[
        Literal["refuse", "split"],
        option("Several acquisitions in one series: refuse, or give one image for each"),
    ] = "refuse"
    position_tolerance_mm: Annotated[
        float,
        option("How far a slice may lie from the regular grid", unit="mm", gt=0, le=1),
    ] = 0.05
    uptake: Annotated[
        bool, option("Convert PET to standardised uptake by body weight where the file allows it")
    ] = True
    max_file_mib: Annotated[int, option("Larger files are refused", unit="MiB", ge=1, le=4095)] = (
        4000
    )
    max_image_mib: Annotated[
        int, option("Images that need more memory are refused", unit="MiB", ge=1)
    ] = 16384
