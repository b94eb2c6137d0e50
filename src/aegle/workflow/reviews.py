"""Decisions of persons, kept with a case: one file each, written once and never changed.

    CASE/reviews/0001-R-3f2a9c1d20.json

A later decision about the same suggestion is a new file that names the one it replaces.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aegle.domain.errors import FileError, WorkflowError
from aegle.domain.suggestion import Decision, Review, replacing
from aegle.record.identity import digest

FOLDER = "reviews"


def kept(case: Path) -> tuple[Review, ...]:
    """Return the reviews kept with a case, oldest first.

    Raises:
        FileError: A file is no review, or was changed since it was written.
    """
    return tuple(_read(path) for path in sorted((case / FOLDER).glob("[0-9]*-R-*.json")))


def keep(review: Review, case: Path) -> Review:
    """Keep a review with a case; it names the one that it replaces, if there is one.

    Args:
        review: The decision; its id is derived here.
        case: Folder of the case.

    Raises:
        FileError: A review that is kept cannot be read.
        WorkflowError: Another review was written at the same moment.
    """
    earlier = kept(case)
    linked = replacing(review, earlier)
    made = replace(linked, id=_identity(linked))
    folder = case / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{len(earlier) + 1:04d}-{made.id}.json"
    text = json.dumps(plain(made), ensure_ascii=False, indent=1) + "\n"
    if any(folder.glob(f"{len(earlier) + 1:04d}-*")):
        raise WorkflowError(f"{path}: another review was written at this moment; repeat yours.")
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return made


def plain(review: Review) -> dict[str, Any]:
    """Return a review as plain data."""
    return {
        "id": review.id,
        "suggestion": review.suggestion,
        "decision": review.decision.value,
        "category": review.category,
        "reason": review.reason,
        "by": review.by,
        "at": review.at.isoformat(),
        "replaces": review.replaces,
    }


def _identity(review: Review) -> str:
    content = {k: v for k, v in plain(review).items() if k != "id"}
    return f"R-{digest(*content.values())[:10]}"


def _read(path: Path) -> Review:
    try:
        tree = json.loads(path.read_text("utf-8"))
        review = Review(
            **tree
            | {
                "decision": Decision(tree["decision"]),
                "at": datetime.fromisoformat(tree["at"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(path, f"is no review ({error}).", "Restore it from a copy.") from error
    if review.id != _identity(review):
        raise FileError(path, "was changed after it was written.", "Restore it from a copy.")
    return review
