"""How good images are: noise, blur, what they leave out, metal, and burned-in text.

Each measure is told from the image alone. Within its limit an image is good in that respect;
beyond twice the limit it is poor. Burned-in text never makes an image poor: it hides little.
"""

from collections.abc import Iterator

from aegle.domain.assessment import ImageQuality, QualityMeasure
from aegle.domain.study import Examination, Image
from aegle.domain.volume import Quantity
from aegle.recognition.picture_quality import picture_measures
from aegle.recognition.quality_options import QualityOptions
from aegle.recognition.volume_quality import ct_measures, mr_measures, pet_measures

__all__ = ["QualityOptions", "assess_quality"]


def assess_quality(
    examination: Examination, *, options: QualityOptions
) -> tuple[ImageQuality, ...]:
    """Judge every image of an examination.

    Args:
        examination: CT, MR and PET volumes, radiographs, ultrasound and other pictures.
        options: The limits.

    Returns:
        One per image of which anything could be measured: volumes first, in the order of the
        examination. What cannot be told of a kind of image is left out: the coverage of
        ultrasound, of MR other than of heads, of radiographs other than frontal ones of the
        chest; the blur of PET; metal on MR and ultrasound; text on volumes.
    """
    return tuple(_qualities(examination, options))


def _qualities(examination: Examination, options: QualityOptions) -> Iterator[ImageQuality]:
    for image in examination.images:
        yield from _quality(image.name, _volume_measures(image, examination, options))
    for projection in examination.projections:
        told = f"{examination.description} {projection.series.description}"
        yield from _quality(projection.name, picture_measures(projection, told, options))


def _quality(name: str, measures: tuple[QualityMeasure, ...]) -> Iterator[ImageQuality]:
    if measures:
        yield ImageQuality(image=name, measures=measures)


def _volume_measures(
    image: Image, examination: Examination, options: QualityOptions
) -> tuple[QualityMeasure, ...]:
    match image.volume.quantity:
        case Quantity.RADIODENSITY:
            return ct_measures(image.volume, options)
        case Quantity.STANDARDISED_UPTAKE | Quantity.ACTIVITY_CONCENTRATION:
            return pet_measures(image.volume, options)
        case Quantity.SIGNAL:
            told = f"{examination.description} {image.series.description} {image.series.body_part}"
            return mr_measures(image.volume, told, options)
        case _:
            return ()
