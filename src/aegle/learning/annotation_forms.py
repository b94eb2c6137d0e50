"""What the forms have in common in which annotated images lie on disk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aegle.domain.errors import FileError
from aegle.learning.annotation_files import Drawn
from aegle.learning.image_sources import Files
from aegle.learning.sample_rows import SPLITS, Row

Kind = Literal["masks", "boxes"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Form:
    """Images and the files of what was drawn on them, before any is read."""

    kind: Kind
    files: Files
    pairs: tuple[tuple[Row, Drawn], ...]
    names: Mapping[int, str] = field(default_factory=dict)
    """What the data call the numbers of masks; empty if they do not say."""
    classes: tuple[str, ...] = ()
    """Classes of boxes that the data name, in their order."""
    ignored: int | None = None
    """Number of voxels that nothing is learned from."""
    channels_per_file: int = 1


def split_of(name: str) -> str:
    """Return the split that a folder of a path names; empty if none does."""
    *folders, _ = name.split("/")
    return next((SPLITS[part.lower()] for part in folders if part.lower() in SPLITS), "")


def read_json(path: Path, files: Files, name: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        FileError: It is none.
    """
    try:
        return json.loads(files.read(name))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}/{name}", f"it is no JSON ({error}).", "Correct it.") from error
