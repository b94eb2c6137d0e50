"""A case is a folder that grows, and that a power cut cannot spoil.

    CASE/stages/<name>/   a finished stage: its result, and the key it was made under
    CASE/<output>         what people and other programs read (report, DICOM objects, ...)
    CASE/case.json        what everything was made from; its key is written last

Everything is written beside its place under a name that starts with ``.part-`` and then moved,
so a folder of that name is whole or not there. What a killed run left behind is cleared away by
the next one.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aegle.domain.errors import OptionError, WorkflowError
from aegle.record import store

Result = TypeVar("Result")
PART = ".part-"
KEY = "key.json"
RECORD = "case.json"


@dataclass(frozen=True)
class CaseFolder:
    """The folder of one case, held by one run at a time."""

    root: Path

    @property
    def stages(self) -> Path:
        """Folder of the finished stages."""
        return self.root / "stages"

    def digest_of(self, stage: str, key: str) -> str | None:
        """Return the digest of a finished stage, or None if it was not made under ``key``."""
        try:
            made = json.loads((self.stages / stage / KEY).read_text())
        except (OSError, ValueError):
            return None
        return str(made["digest"]) if made.get("key") == key else None

    def load(self, stage: str, kind: type[Result]) -> Result:
        """Return the result of a finished stage."""
        return store.read(kind, self.stages / stage)

    def keep(self, stage: str, key: str, result: Any) -> str:
        """Keep the result of a stage; return its digest."""
        with self.replacing(self.stages / stage) as part:
            part.mkdir()
            digest = store.write(result, part)
            (part / KEY).write_text(json.dumps({"key": key, "digest": digest}))
        return digest

    @contextmanager
    def replacing(self, place: Path) -> Iterator[Path]:
        """Give a path to write to, and move it to ``place`` once it is whole."""
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(PART + place.name)
        _remove(part)
        yield part
        # A folder cannot be renamed over a full one; a stage that is gone is only made again.
        if part.is_dir():
            _remove(place)
        part.rename(place)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write ``case.json``: whose case it is and, once it is complete, its key."""
        with self.replacing(self.root / RECORD) as part:
            part.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")

    def record(self) -> dict[str, Any]:
        """Return ``case.json``; empty if nothing was published yet."""
        try:
            return dict(json.loads((self.root / RECORD).read_text("utf-8")))
        except (OSError, ValueError):
            return {}


@contextmanager
def opened(root: Path) -> Iterator[CaseFolder]:
    """Open a case folder for one run; made if it is not there.

    Raises:
        OptionError: The folder holds something else than a case, or cannot be written to.
        WorkflowError: Another run holds the case.
    """
    with _made(root).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkflowError(
                f"Another run is working on {root}; wait for it or give another folder."
            ) from error
        # Writers keep a half file beside theirs, under a name that holds theirs.
        for left in [*root.glob(f"*{PART}*"), *(root / "stages").glob(f"*{PART}*")]:
            _remove(left)
        yield CaseFolder(root)


def clear(root: Path) -> None:
    """Remove the folder of a case in which no stage was finished; leave any other."""
    if not any((root / "stages").glob(f"*/{KEY}")):
        _remove(root)


def _made(root: Path) -> Path:
    """Make the folder of a case; return the file that a run locks."""
    try:
        _require_case(root)
        (root / "stages").mkdir(parents=True, exist_ok=True)
        lock = root / "stages" / ".lock"
        lock.touch()
    except OSError as error:
        raise OptionError(
            f"{root} cannot be used for the case ({error.strerror or error}); give a folder that "
            "you may write to with --out."
        ) from error
    return lock


def _require_case(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise OptionError(f"{root} is a file; give a folder for the case with --out.")
    if root.is_dir() and any(root.iterdir()) and not (root / "stages").is_dir():
        raise OptionError(
            f"{root} holds files that are not an Aegle case; give a new or empty folder with --out."
        )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
