"""Boxes as Pascal VOC writes them: one XML file per image.

Source: VOC2012 development kit, section 4: first and last pixel, counted from 1.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from aegle.domain.errors import FileError
from aegle.learning.annotation_boxes import NamedBox, box
from aegle.learning.annotation_files import Drawn
from aegle.learning.annotation_forms import Form, split_of
from aegle.learning.image_decoding import ending, is_image
from aegle.learning.image_sources import Files
from aegle.learning.sample_rows import Row

_REMEDY = "Write it as Pascal VOC describes: annotation, object, name, bndbox."
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def voc_form(path: Path, files: Files) -> Form | None:
    """Return the images that XML files beside them say the boxes of, or None if there are none.

    Raises:
        FileError: An XML file is damaged.
    """
    names = [name for name in files.names() if name.lower().endswith(".xml")]
    contents = {name: content for name in names if b"<annotation" in (content := files.read(name))}
    parsed = {name: _parsed(f"{path}/{name}", content) for name, content in contents.items()}
    drawn = {name: root for name, root in parsed.items() if root.tag == "annotation"}
    if not drawn:
        return None
    places: dict[str, list[str]] = defaultdict(list)
    for name in files.names():
        if is_image(name):
            places[name.rpartition("/")[2].removesuffix(ending(name))].append(name)
            places[name.rpartition("/")[2]].append(name)
    pairs = []
    for name, root in drawn.items():
        image = _image(name, root, places)
        boxes = _boxes(f"{path}/{name}", root)
        pairs.append((Row(name=image, split=split_of(image)), Drawn(images=(image,), boxes=boxes)))
    known = {row.name for row, _ in pairs}
    for image in sorted({name for found in places.values() for name in found} - known):
        problem = f"no XML file is called as '{image}'"
        pairs.append(
            (Row(name=image, split=split_of(image)), Drawn(images=(image,), problem=problem))
        )
    return Form(kind="boxes", files=files, pairs=tuple(pairs))


def _parsed(place: str, content: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise FileError(place, f"it is no XML ({error}).", "Check the file.") from error


def _image(name: str, root: ElementTree.Element, places: Mapping[str, list[str]]) -> str:
    """Return the image of an XML file: the one that it names, or that is called as it."""
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(Path(file).suffix)
    named = (root.findtext("filename") or "").strip()
    found = places.get(stem) or places.get(named) or [named or stem]
    beside = [one for one in found if one.rpartition("/")[0] == folder]
    above = folder.rpartition("/")[0]
    near = [one for one in found if one.startswith(f"{above}/")]
    return (beside or near or found)[0]


def _boxes(place: str, root: ElementTree.Element) -> tuple[NamedBox, ...]:
    boxes = []
    for found in root.iter("object"):
        name, sides = found.findtext("name"), [found.findtext(f"bndbox/{side}") for side in _SIDES]
        if name is None or None in sides:
            raise FileError(place, "an object lacks its name or a side of its box.", _REMEDY)
        one = box(place, name.strip(), sides)
        boxes.append(
            NamedBox(
                name=one.name,
                left=one.left - 1,
                top=one.top - 1,
                right=one.right,
                bottom=one.bottom,
            )
        )
    return tuple(boxes)
