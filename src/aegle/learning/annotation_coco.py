"""Boxes as COCO writes them: one JSON file for many images.

Source: cocodataset.org, data format of object detection. Crowds (``iscrowd``) are left out, as its
evaluation leaves them out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aegle.domain.errors import FileError
from aegle.learning.annotation_boxes import NamedBox, box
from aegle.learning.annotation_files import Drawn
from aegle.learning.annotation_forms import Form, read_json, split_of
from aegle.learning.image_decoding import is_image
from aegle.learning.image_sources import Files
from aegle.learning.sample_rows import SPLITS, Row

_MOST_FILES = 50
"""Folders with more JSON files hold something else."""
_FIRST_KEY = b'"images"'
"""Even files that are cut off hold it."""
_REMEDY = "Write it as COCO describes: images, annotations with bbox, categories."


def coco_form(path: Path, files: Files) -> Form | None:
    """Return the images of COCO files, or None if there is no such file.

    Raises:
        FileError: A file is damaged, or names what it does not hold.
    """
    names = [name for name in files.names() if name.lower().endswith(".json")]
    if not 0 < len(names) <= _MOST_FILES:
        return None
    named = [name for name in names if _FIRST_KEY in files.read(name)]
    stated = {
        name: content for name in named if _has_boxes(content := read_json(path, files, name))
    }
    # Beside the instances lie the same images with captions or joints.
    instances = {name: content for name, content in stated.items() if "instances" in name}
    chosen = instances or stated
    if not chosen:
        return None
    places = _places(files)
    pairs: list[tuple[Row, Drawn]] = []
    classes: dict[int, str] = {}
    for name, content in chosen.items():
        found, used = _images(f"{path}/{name}", name, content, places)
        pairs += found
        classes |= used
    return Form(
        kind="boxes",
        files=files,
        pairs=tuple(pairs),
        classes=tuple(dict.fromkeys(classes[number] for number in sorted(classes))),
    )


def _has_boxes(content: Any) -> bool:
    """Return whether a file holds images with boxes, or images on which there are none."""
    if not isinstance(content, dict):
        return False
    parts = [content.get(key) for key in ("images", "annotations", "categories")]
    if not all(isinstance(part, list) for part in parts):
        return False
    annotations = content["annotations"]
    return not annotations or any(isinstance(a, dict) and "bbox" in a for a in annotations)


def _images(
    place: str, name: str, content: Mapping[str, Any], places: Mapping[str, list[str]]
) -> tuple[list[tuple[Row, Drawn]], dict[int, str]]:
    """Return the images of one file, and the categories that occur by their number."""
    try:
        categories = {int(one["id"]): str(one["name"]) for one in content["categories"]}
        images = {one["id"]: str(one["file_name"]) for one in content["images"]}
        drawn: dict[Any, list[NamedBox]] = defaultdict(list)
        used: dict[int, str] = {}
        for one in content["annotations"]:
            if one.get("iscrowd"):
                continue
            number = int(one["category_id"])
            _require(number, categories, place, "category")
            _require(one["image_id"], images, place, "image")
            used[number] = categories[number]
            image = images[one["image_id"]]
            drawn[one["image_id"]].append(box(image, used[number], one["bbox"], has_size=True))
    except (KeyError, TypeError) as error:
        raise FileError(place, f"an entry is not as it should be ({error}).", _REMEDY) from error
    folder = name.rpartition("/")[0]
    pairs = []
    for number, file in images.items():
        found = _found(folder, file, places)
        row = Row(name=found, split=split_of(found) or _told_split(name))
        pairs.append((row, Drawn(images=(found,), boxes=tuple(drawn[number]))))
    return pairs, used


def _require(number: Any, known: Mapping[Any, str], place: str, kind: str) -> None:
    if number not in known:
        raise FileError(place, f"a box names the {kind} {number}, which is not listed.", _REMEDY)


def _places(files: Files) -> dict[str, list[str]]:
    """Return images by the last part of their path."""
    places: dict[str, list[str]] = defaultdict(list)
    for name in files.names():
        if is_image(name):
            places[name.rpartition("/")[2]].append(name)
    return dict(places)


def _found(folder: str, file: str, places: Mapping[str, list[str]]) -> str:
    """Return the path of an image that a file in a folder names."""
    wanted = str(PurePosixPath(folder) / file) if folder else str(PurePosixPath(file))
    same = places.get(file.rpartition("/")[2], [])
    ending = [name for name in same if name == file or name.endswith(f"/{file}")]
    if wanted in same or not ending:
        return wanted if wanted in same or len(same) != 1 else same[0]
    return ending[0] if len(ending) == 1 else wanted


def _told_split(name: str) -> str:
    """Return the split that the name of a file tells: ``instances_val2017.json``."""
    words = _words(name.rpartition("/")[2].lower())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _words(text: str) -> Iterable[str]:
    return "".join(letter if letter.isalpha() else " " for letter in text).split()
