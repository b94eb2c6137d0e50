"""The raw layout of nnU-Net, and the older one of the Medical Segmentation Decathlon.

nnU-Net 2: ``dataset.json`` names channels, labels and the ending of files; case ``a`` has the
images ``imagesTr/a_0000.nii.gz``, one per channel, and the mask ``labelsTr/a.nii.gz``. Decathlon:
``dataset.json`` lists pairs of files; several modalities lie along the fourth axis of one file.
Sources: nnU-Net documentation, dataset_format.md; Antonelli 2022, doi 10.1038/s41467-022-30695-9.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aegle.domain.errors import FileError
from aegle.learning.annotation_files import Drawn
from aegle.learning.annotation_forms import Form, read_json
from aegle.learning.annotation_labels import BACKGROUND
from aegle.learning.image_decoding import is_image
from aegle.learning.image_sources import Files
from aegle.learning.sample_rows import Row

DATASET = "dataset.json"
_IGNORE = "ignore"
_REMEDY = "Write it as nnU-Net describes."


def nnunet_form(path: Path, files: Files) -> Form | None:
    """Return the training cases of an nnU-Net data set, or None if it is none.

    Raises:
        FileError: Its ``dataset.json`` is damaged, or says something that is not supported.
    """
    found = [name for name in files.names() if name.rpartition("/")[2] == DATASET]
    if not found:
        return None
    place = min(found, key=lambda name: name.count("/"))
    stated = read_json(path, files, place)
    if not isinstance(stated, dict) or "labels" not in stated:
        return None
    names, ignored = _labels(f"{path}/{place}", stated["labels"])
    root = place.removesuffix(DATASET)
    channels = stated.get("channel_names") or stated.get("modality") or [""]
    listed = stated.get("training")
    if isinstance(listed, list) and all(isinstance(entry, dict) for entry in listed):
        pairs = tuple(_listed(f"{path}/{place}", root, entry) for entry in listed)
        per_file = len(channels)
    else:
        pairs = tuple(_named(root, stated, len(channels), files))
        per_file = 1
    if not pairs:
        return None
    return Form(
        kind="masks",
        files=files,
        pairs=pairs,
        names=names,
        ignored=ignored,
        channels_per_file=per_file,
    )


def _labels(place: str, stated: Any) -> tuple[dict[int, str], int | None]:
    """Return names by number, and the number of what is ignored."""
    if not isinstance(stated, Mapping):
        raise FileError(place, "its labels are no table.", _REMEDY)
    is_by_number = all(str(key).isdecimal() for key in stated)
    entries = stated.items() if is_by_number else ((v, k) for k, v in stated.items())
    names: dict[int, str] = {}
    for number, name in entries:
        if isinstance(number, list):
            raise FileError(
                place,
                f"'{name}' is a region of the labels {number}.",
                "Regions are not supported; number the labels.",
            )
        if not str(number).isdecimal():
            raise FileError(place, f"'{name}' has the label {number!r}.", "Number the labels.")
        names[int(number)] = str(name)
    ignored = next((number for number, name in names.items() if name == _IGNORE), None)
    return {
        number: name
        for number, name in names.items()
        if number > 0 and name not in {_IGNORE, BACKGROUND}
    }, ignored


def _listed(place: str, root: str, entry: Mapping[str, Any]) -> tuple[Row, Drawn]:
    try:
        image, mask = (str(PurePosixPath(root) / str(entry[key])) for key in ("image", "label"))
    except KeyError as error:
        raise FileError(place, f"a training case has no {error}.", _REMEDY) from error
    return Row(name=image), Drawn(images=(image,), masks=(mask,))


def _named(
    root: str, stated: Mapping[str, Any], channels: int, files: Files
) -> list[tuple[Row, Drawn]]:
    """Return the cases that have a mask in ``labelsTr``."""
    before = f"{root}labelsTr/"
    end = str(stated.get("file_ending", ".nii.gz"))
    pairs = []
    for mask in files.names():
        if not (mask.startswith(before) and mask.endswith(end) and is_image(mask)):
            continue
        case = mask.removeprefix(before).removesuffix(end)
        images = tuple(f"{root}imagesTr/{case}_{index:04d}{end}" for index in range(channels))
        pairs.append((Row(name=images[0]), Drawn(images=images, masks=(mask,))))
    return pairs
