"""Which image of each visit is compared over time.

CT where at least two visits have one, else MR, else PET. Of several MR images of a visit the
one of the sequence that most visits have is taken: a T1 and a FLAIR image are not compared.
"""

import re
from collections.abc import Sequence

from aegle.domain.codes import StructureType
from aegle.domain.study import Examination, Image

MODALITIES = ("CT", "MR", "PT")
"""What is followed, the preferred one first."""
LEAST_SLICES = 4
"""Thinner stacks are not aligned."""
_SEQUENCES = {
    "FLAIR": re.compile(r"flair|tirm"),
    "ADC": re.compile(r"(?<![a-z])adc(?![a-z])"),
    "DWI": re.compile(r"dwi|diffusion|(?<![a-z])trace(?![a-z])"),
    "T1 with contrast": re.compile(
        r"t1.*((?<![a-z])(gd|ce|km|post|contrast)(?![a-z])|\+c)|t1(c|ce|gd)(?![a-z])"
    ),
    "T1": re.compile(r"t1|mprage|bravo"),
    "T2": re.compile(r"t2"),
}
"""Told by the series description or the file's name, the first that fits."""


def followed_modality(visits: Sequence[Examination]) -> str:
    """Return the modality that is compared over time; CT if no two visits share any."""
    for modality in MODALITIES:
        if sum(bool(_stacks(visit, modality)) for visit in visits) > 1:
            return modality
    return MODALITIES[0]


def followed_images(visits: Sequence[Examination]) -> tuple[Image | None, ...]:
    """Return the image of each visit that is compared; None where there is none like the others."""
    modality = followed_modality(visits)
    if modality == "CT":
        return tuple(visit.ct for visit in visits)
    stacks = [_stacks(visit, modality) for visit in visits]
    kinds = [{sequence(image) for image in own} for own in stacks]
    known = sorted({kind for own in kinds for kind in own})
    if not known:
        return (None,) * len(visits)
    drawn = {sequence(i) for own in stacks for i in own if _has_lesions(i)}

    def merit(kind: str) -> tuple[int, bool, int]:
        order = (*_SEQUENCES, "")
        return sum(kind in own for own in kinds), kind in drawn, -order.index(kind)

    wanted = max(known, key=merit)
    return tuple(_largest([i for i in own if sequence(i) == wanted]) for own in stacks)


def sequence(image: Image) -> str:
    """Return the kind of an MR image, as far as its description and name say; empty if not."""
    said = f"{image.series.description} {image.name}".lower()
    return next((kind for kind, words in _SEQUENCES.items() if words.search(said)), "")


def _stacks(visit: Examination, modality: str) -> list[Image]:
    return [
        image
        for image in visit.images
        if image.series.modality == modality and image.volume.grid.shape[0] >= LEAST_SLICES
    ]


def _has_lesions(image: Image) -> bool:
    return bool(image.structures.of_type(StructureType.LESION))


def _largest(images: Sequence[Image]) -> Image | None:
    """Return the image that lesions are drawn on, else the one with the most voxels."""
    return max(images, key=lambda i: (_has_lesions(i), i.volume.values.size), default=None)
