"""Masks that lie in a folder of their own, or beside their images, called as these.

``images/a.png`` goes with ``masks/a.png``, ``masks/a_mask.png``, ``masks/a_1.png`` and ``a_2.png``,
or ``masks/a/1.png``; the folders may lie in one per split or per class, or hold these. Beside the
image, a mask ends in ``_mask``, ``_seg`` or the like.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aegle.learning.annotation_files import Drawn
from aegle.learning.annotation_forms import Form, split_of
from aegle.learning.image_decoding import ending, is_image
from aegle.learning.image_sources import Files
from aegle.learning.sample_rows import SPLITS, Row

_IMAGES = frozenset({"images", "image", "imgs", "img", "imagestr", "jpegimages", "scans"})
_MASKS = frozenset(
    {
        "masks",
        "mask",
        "labels",
        "label",
        "labelstr",
        "segmentations",
        "segmentation",
        "segmentationclass",
        "segs",
        "annotations",
        "ground_truth",
        "groundtruth",
        "gt",
    }
)
_BESIDE = re.compile(
    r"^(.+)[ _.-](?:masks?|seg|segmentation|labels?|gt)(?:[ _-]?\d+)?$", re.IGNORECASE
)
_CHANNEL = "_0000"
"""What nnU-Net puts behind the name of the first channel."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a file lies, the folder of images or masks left out."""

    name: str
    folder: str
    stem: str


def folder_form(_path: Path, files: Files) -> Form | None:
    """Return images and masks in folders, or None if there are none."""
    names = [name for name in files.names() if is_image(name)]
    images, masks = _by_role(names)
    if not (images and masks):
        images, masks = _beside(names)
    if not (images and masks):
        return None
    belonging = _belonging(images, masks)
    if not belonging:
        return None
    return Form(kind="masks", files=files, pairs=tuple(_pair(one, belonging) for one in images))


def _pair(image: _Place, belonging: Mapping[str, Sequence[str]]) -> tuple[Row, Drawn]:
    masks = tuple(belonging.get(image.name, ()))
    problem = "" if masks else f"no mask is called as '{image.name}'"
    parts = [part for part in image.folder.split("/") if part.lower() not in SPLITS]
    row = Row(name=image.name, split=split_of(image.name), columns={"folder": "/".join(parts)})
    return row, Drawn(images=(image.name,), masks=masks, problem=problem)


def _by_role(names: Sequence[str]) -> tuple[list[_Place], list[_Place]]:
    """Return files in folders of images and of masks."""
    images: list[_Place] = []
    masks: list[_Place] = []
    for name in names:
        *folders, file = name.split("/")
        roles = [i for i, part in enumerate(folders) if part.lower() in _IMAGES | _MASKS]
        if not roles:
            continue
        last = roles[-1]
        rest = "/".join(folders[:last] + folders[last + 1 :])
        place = _Place(name=name, folder=rest, stem=file[: -len(ending(file))])
        (images if folders[last].lower() in _IMAGES else masks).append(place)
    return images, masks


def _beside(names: Sequence[str]) -> tuple[list[_Place], list[_Place]]:
    """Return images and the masks beside them, if at least half of the images have one."""
    places = []
    for name in names:
        folder, _, file = name.rpartition("/")
        places.append(_Place(name=name, folder=folder, stem=file[: -len(ending(file))]))
    stems = {(place.folder, place.stem) for place in places}
    masks = [
        place
        for place in places
        if (found := _BESIDE.match(place.stem)) and (place.folder, found[1]) in stems
    ]
    drawn = {mask.name for mask in masks}
    images = [place for place in places if place.name not in drawn]
    return (images, masks) if 2 * len(_belonging(images, masks)) >= len(images) else ([], [])


def _belonging(images: Sequence[_Place], masks: Sequence[_Place]) -> dict[str, list[str]]:
    """Return the masks of each image by its name."""
    known = {(one.folder, one.stem.removesuffix(_CHANNEL)): one.name for one in images}
    known |= {(one.folder, one.stem): one.name for one in images}
    inside: dict[str, list[str]] = defaultdict(list)
    for one in images:
        inside[one.folder].append(one.name)
    found: dict[str, list[str]] = defaultdict(list)
    for mask in masks:
        owner = _owner(mask, known, inside)
        if owner:
            found[owner].append(mask.name)
    return dict(found)


def _owner(
    mask: _Place, known: Mapping[tuple[str, str], str], inside: Mapping[str, Sequence[str]]
) -> str:
    """Return the image that a mask belongs to; empty if there is none.

    It is called as the mask or its folder, or as what the mask's name begins with, or is the only
    one of its folder.
    """
    ends = [len(mask.stem)]
    ends += [i for i in range(len(mask.stem) - 1, 0, -1) if not mask.stem[i].isalnum()]
    for end in ends:
        if (mask.folder, mask.stem[:end]) in known:
            return known[mask.folder, mask.stem[:end]]
    above, _, folder = mask.folder.rpartition("/")
    if (above, folder) in known:
        return known[above, folder]
    own = inside.get(mask.folder, ())
    return own[0] if len(own) == 1 else ""
