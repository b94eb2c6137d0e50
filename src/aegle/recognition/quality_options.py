"""Limits of image quality."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.options import option

_MEASURED = "measured, docs/reference/quality-measured.md"
_CONVENTION = "convention of Aegle"


@dataclass(frozen=True, kw_only=True)
class QualityOptions:
    """Beyond which value of each measure an image is called limited."""

    noise_hu: Annotated[
        float, option("Noise of soft tissue on CT", unit="HU", source=_MEASURED, gt=0)
    ] = 50.0
    noise_percent: Annotated[
        float,
        option(
            "Noise of MR, of the range of the image",
            unit="%",
            source=_MEASURED,
            gt=0,
        ),
    ] = 3.0
    picture_noise_percent: Annotated[
        float,
        option(
            "Noise of radiographs and other pictures, of the range of the image",
            unit="%",
            source=_MEASURED,
            gt=0,
        ),
    ] = 2.0
    uptake_noise_percent: Annotated[
        float,
        option(
            "Noise of even tissue on PET, of its uptake",
            unit="%",
            source=_CONVENTION,
            gt=0,
        ),
    ] = 40.0
    blur_px: Annotated[
        float,
        option(
            "Blur of the sharper edges of CT and pictures, as the deviation of a Gaussian",
            unit="pixels",
            source=_MEASURED,
            gt=0,
        ),
    ] = 1.4
    mr_blur_px: Annotated[
        float,
        option(
            "The same on MR, whose edges are sharper in their pixels",
            unit="pixels",
            source=_MEASURED,
            gt=0,
        ),
    ] = 1.1
    blur_mm: Annotated[
        float,
        option(
            "Blur that volumes of finer pixels may have",
            unit="mm",
            source=_CONVENTION,
            ge=0,
        ),
    ] = 1.2
    outline_percent: Annotated[
        float,
        option(
            "Share of the body's outline at the edge of a CT",
            unit="%",
            source=_CONVENTION,
            ge=0,
            le=100,
        ),
    ] = 5.0
    section_percent: Annotated[
        float,
        option(
            "Section of lungs or head at a face of the volume, of the largest section",
            unit="%",
            source=_CONVENTION,
            ge=0,
            le=100,
        ),
    ] = 15.0
    lungs_percent: Annotated[
        float,
        option(
            "Share of the lungs outside of a chest radiograph",
            unit="%",
            source=_MEASURED,
            ge=0,
            le=100,
        ),
    ] = 14.0
    metal_ml: Annotated[float, option("Metal on CT", unit="mL", source=_CONVENTION, ge=0)] = 0.2
    metal_percent: Annotated[
        float,
        option("Share of a radiograph behind metal", unit="%", source=_MEASURED, ge=0, le=100),
    ] = 0.25
    letters: Annotated[
        int, option("Burned-in letters in rows of three or more", source=_MEASURED, ge=0)
    ] = 3
    poor_factor: Annotated[
        float,
        option("Beyond so many times its limit a measure is poor", source=_CONVENTION, gt=1),
    ] = 2.0
