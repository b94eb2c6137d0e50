"""A folder of a training, and what a finished step gives.

    RUN/plan.json              what was decided, and on which images
    RUN/data.json              what the images are
    RUN/cache/                 prepared images
    RUN/parts/<name>/          a training: its checkpoint, its model and its key
    RUN/model.safetensors      the model, written last

Files and folders are written beside their place and then moved, so they are whole or not there.
"""

import csv
import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegle.domain.errors import OptionError, WorkflowError
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.stage import Progress, silent

if TYPE_CHECKING:
    from aegle.evaluation.evaluate import Evaluation
    from aegle.evaluation.outline_card import Judged as Located

PLAN = "plan.json"
MODEL = "model.safetensors"
LOCK = ".lock"


@dataclass(frozen=True)
class Step:
    """What is announced before it starts."""

    name: str


Announce = Callable[[Any, bool], Progress]
"""Called before each step with whether a kept result is used; gives its progress."""


def unannounced(step: Any, reused: bool) -> Progress:  # noqa: ARG001
    """Announce nothing."""
    return silent


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command about models gives."""

    folder: Path
    files: Mapping[str, Path]
    """What was written, by what it is."""
    numbers: Mapping[str, Any]
    """Plain data."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The main numbers as a table."""
    notices: tuple[str, ...] = ()
    evaluation: "Evaluation | None" = None
    """Of a classifier."""
    located: "Located | None" = None
    """Of a model that outlines or finds boxes."""


def require_no_training(out: Path) -> None:
    """Never write over what a training says of its own model.

    Raises:
        OptionError: The folder is that of a training.
    """
    if (out / PLAN).exists():
        raise OptionError(f"{out} is the folder of a training; give another with --out.")


@contextmanager
def opened(root: Path) -> Iterator[CaseFolder]:
    """Open a folder for one run; made if it is not there.

    Raises:
        OptionError: The folder holds something else, or cannot be written to.
        WorkflowError: Another run holds it.
    """
    with _lock(root).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkflowError(
                f"Another run is working on {root}; wait for it or give another folder."
            ) from error
        yield CaseFolder(root)


def write_json(folder: CaseFolder, name: str, data: Any) -> Path:
    """Write plain data whole or not at all."""
    with folder.replacing(folder.root / name) as part:
        part.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return folder.root / name


def write_text(folder: CaseFolder, name: str, text: str) -> Path:
    """Write text whole or not at all."""
    with folder.replacing(folder.root / name) as part:
        part.write_text(text, "utf-8")
    return folder.root / name


def write_table(folder: CaseFolder, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as CSV whole or not at all; the first row names the columns."""
    with folder.replacing(folder.root / name) as part, part.open("w", newline="") as file:
        table = csv.DictWriter(file, tuple(rows[0]) if rows else ())
        table.writeheader()
        table.writerows(rows)
    return folder.root / name


def _lock(root: Path) -> Path:
    try:
        if root.exists() and not root.is_dir():
            raise OptionError(f"{root} is a file; give a folder for the results with --out.")
        if root.is_dir() and any(root.iterdir()) and not (root / LOCK).exists():
            raise OptionError(
                f"{root} holds files that Aegle did not write; give a new or empty folder with "
                "--out."
            )
        root.mkdir(parents=True, exist_ok=True)
        (root / LOCK).touch()
    except OSError as error:
        raise OptionError(
            f"{root} cannot be used for the results ({error.strerror or error}); give a folder "
            "that you may write to with --out."
        ) from error
    return root / LOCK
