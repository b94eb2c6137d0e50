"""Find objects in pictures with a trained detector, and write their boxes."""

from pathlib import Path
from typing import Any

from aegle.domain.errors import AegleError, InputError
from aegle.evaluation.drawing import Picture
from aegle.evaluation.outline_pictures import ShownBox, draw_boxes
from aegle.learning.annotations import PlacedImage
from aegle.learning.detection.configure import DetectionOptions
from aegle.learning.detection.finding import FoundObjects, find_boxes
from aegle.learning.model import Model
from aegle.workflow.learning.gallery import gallery
from aegle.workflow.learning.run_folder import (
    Announce,
    Done,
    Step,
    opened,
    require_no_training,
    write_json,
    write_table,
    write_text,
)
from aegle.workflow.learning.unlabelled import images_at, reason

MOST_SHOWN = 50
"""Pictures that a page shows."""
SHOWN_SCORE = 0.3
"""Boxes of a lower score are listed, but not drawn."""


def run(model: Model, path: Path, out: Path, *, announce: Announce) -> Done:
    """Find objects; a picture that fails is named and does not stop the others.

    Raises:
        InputError: There is no picture, or none could be searched.
        OptionError: The folder holds something else.
    """
    samples = images_at(path, model.facts, progress=announce(Step("read"), False)).samples
    assert samples.place is not None
    require_no_training(out)
    progress = announce(Step(f"find objects in {len(samples.samples)} pictures"), False)
    rows: list[dict[str, Any]] = []
    pictures: list[Picture] = []
    failed: list[str] = []
    searched = 0
    with opened(out) as folder:
        for done, sample in enumerate(samples.samples, 1):
            try:
                image = samples.place(sample)
                found = find_boxes(model, image, options=DetectionOptions())
            except AegleError as error:
                failed.append(reason(sample.name, error))
                continue
            searched += 1
            rows += _rows(sample.name, found, model)
            if len(pictures) < MOST_SHOWN:
                pictures.append(_drawn(sample.name, image, found, model))
            progress(done, len(samples.samples))
        if not searched:
            raise InputError(f"{path}: no picture could be searched. {failed[0]}")
        facts = model.facts
        numbers = {
            "model": facts.name,
            "model_digest": model.digest,
            "classes": list(facts.classes),
            "pictures": searched,
            "boxes": rows,
            "failed": failed,
        }
        title = f"What {facts.name} finds in {searched} pictures"
        files = {
            "predictions": write_table(folder, "predictions.csv", rows),
            "data": write_json(folder, "predictions.json", numbers),
            "page": write_text(folder, "predictions.html", gallery(title, pictures)),
        }
        return Done(
            folder=folder.root,
            files=files,
            numbers=numbers,
            rows=rows[:20],
            notices=_notices(searched, rows, failed),
        )


def _notices(searched: int, rows: list[dict[str, Any]], failed: list[str]) -> tuple[str, ...]:
    found = [] if rows else [f"Not one object was found in {searched} pictures."]
    if failed:
        found.append(f"{len(failed)} pictures could not be searched. {failed[0]}")
    return tuple(found)


def _rows(name: str, found: FoundObjects, model: Model) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "class": model.facts.classes[int(number)],
            "score": round(float(score), 4),
            **{
                side: round(float(value), 1)
                for side, value in zip(("left", "top", "right", "bottom"), box, strict=True)
            },
        }
        for box, number, score in zip(found.boxes, found.classes, found.scores, strict=True)
    ]


def _drawn(name: str, image: PlacedImage, found: FoundObjects, model: Model) -> Picture:
    shown = [
        ShownBox(
            box=[float(side) for side in box],
            words=f"{model.facts.classes[int(number)]} {score:.2f}",
            is_true=False,
        )
        for box, number, score in zip(found.boxes, found.classes, found.scores, strict=True)
        if score >= SHOWN_SCORE
    ]
    caption = f"{name}: {len(shown)} objects"
    return draw_boxes(image.values, shown, caption=caption, is_judged=False)
