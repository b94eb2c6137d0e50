"""Outline what is in images with a trained model, and write it on the grid of each image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image as Pixels

from aegle.dicom import images, segmentation, structure_set
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions
from aegle.dicom.scan import ScannedSeries, scan
from aegle.domain.codes import StructureType
from aegle.domain.errors import AegleError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient, Projection
from aegle.evaluation.drawing import Picture
from aegle.evaluation.outline_pictures import draw_predicted
from aegle.learning.annotation_images import of_pixels
from aegle.learning.annotations import PlacedImage
from aegle.learning.dense.inference import InferenceOptions, outline
from aegle.learning.image_decoding import ending, is_image
from aegle.learning.model import Model
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.samples import Sample, SampleSet
from aegle.workflow.case_folder import CaseFolder
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
from aegle.workflow.learning.unlabelled import holds_pictures, reason, require_fit
from aegle.workflow.stage import Progress

MOST_SHOWN = 50
"""Images that a page shows."""
MOST_STRUCTURES = 255
"""More objects than this are not written to DICOM one by one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """One image that is to be outlined."""

    name: str
    image: PlacedImage
    dicom: Image | None = None
    """Set where DICOM files are to be answered in DICOM."""
    patient: Patient | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """Where images are read when they are wanted."""

    name: str
    read: Callable[[], Iterator[Subject]]


def run(model: Model, path: Path, out: Path, *, now: datetime, announce: Announce) -> Done:
    """Outline images.

    Pictures give a PNG of labels, volumes NIfTI, DICOM volumes SEG and RTSTRUCT besides. An image
    that fails is named and does not stop the others.

    Raises:
        InputError: There is no image, an image is of another kind than the model is made for, or
            none could be outlined.
        OptionError: The folder holds something else.
    """
    sources = _sources(path, model, announce)
    if not sources:
        raise InputError(
            f"{path}: no image was found there. Give pictures, volumes or DICOM images."
        )
    require_no_training(out)
    progress = announce(Step(f"outline {len(sources)} images"), False)
    rows: list[dict[str, Any]] = []
    pictures: list[Picture] = []
    failed: list[str] = []
    with opened(out) as folder:
        for subject in _read(sources, failed, progress):
            try:
                labels = outline(model, subject.image, options=InferenceOptions())
                row = _written(subject, labels, model, folder, now)
            except AegleError as error:
                failed.append(reason(subject.name, error))
                continue
            rows.append(row)
            if len(pictures) < MOST_SHOWN:
                pictures.append(_drawn(subject, labels, model, row))
        if not rows:
            raise InputError(f"{path}: no image could be outlined. {failed[0]}")
        return _told(model, rows, pictures, failed, folder)


def _sources(path: Path, model: Model, announce: Announce) -> list[Source]:
    """Return the pictures or DICOM series at a path."""
    if holds_pictures(path):
        samples = read_samples(path, options=DataOptions(label=""), strict=False, annotated=False)
        return [Source(name=s.name, read=partial(_of_file, samples, s)) for s in samples.samples]
    found = scan((path,), options=ScanOptions(), progress=announce(Step("read"), False))
    return [
        Source(name=series.name, read=partial(_of_series, series, one.patient, model, path))
        for one in found.patients
        for study in one.studies
        for series in study.series
        if series.object_name is None
    ]


def _read(sources: list[Source], failed: list[str], progress: Progress) -> Iterator[Subject]:
    """Yield what the sources hold, one after the other, under names that differ.

    Args:
        sources: Read when they are wanted; one alone is held in memory.
        failed: Is told of those that cannot be read.
        progress: Told of the sources done and in all.
    """
    taken: set[str] = set()
    for done, source in enumerate(sources, 1):
        try:
            for subject in source.read():
                yield replace(subject, name=_free(subject.name, taken))
        except AegleError as error:
            failed.append(reason(source.name, error))
        progress(done, len(sources))


def _free(name: str, taken: set[str]) -> str:
    """Return a name under whose stem nothing is written yet, and take it."""
    stem, ending = _parted(name)
    number, free = 1, stem
    while free in taken:
        number += 1
        free = f"{stem} {number}"
    taken.add(free)
    return name if number == 1 else f"{free}{ending}"


def _parted(name: str) -> tuple[str, str]:
    """Return a name that files can have, and the ending that was left off."""
    plain = name.replace("/", "_")
    count = len(ending(plain)) if is_image(plain) else 0
    return plain[: len(plain) - count], plain[len(plain) - count :]


def _of_file(samples: SampleSet, sample: Sample) -> Iterator[Subject]:
    assert samples.place is not None
    yield Subject(name=sample.name, image=samples.place(sample))


def _of_series(
    series: ScannedSeries, patient: Patient, model: Model, path: Path
) -> Iterator[Subject]:
    for reading in images.read_all(series, options=ImageOptions()):
        require_fit(reading.image, model.facts, path)
        for subject in _of_dicom(reading.image, patient):
            yield replace(subject, name=f"{patient.id} {subject.name}".strip())


def _of_dicom(image: Image | Projection, patient: Patient) -> Iterator[Subject]:
    if isinstance(image, Image):
        placed = PlacedImage(
            values=image.volume.values[None], grid=image.volume.grid, is_picture=False
        )
        yield Subject(name=image.name, image=placed, dicom=image, patient=patient)
        return
    for number, frame in enumerate(image.image.values, 1):
        yield Subject(name=f"{image.name} {number}", image=of_pixels(frame))


def _written(
    subject: Subject, labels: NDArray[Any], model: Model, folder: CaseFolder, now: datetime
) -> dict[str, Any]:
    """Write what was outlined, and return what it measures."""
    stem, _ = _parted(subject.name)
    ending = ".png" if subject.image.is_picture else ".nii.gz"
    place = folder.root / "labels" / f"{stem}{ending}"
    place.parent.mkdir(exist_ok=True)
    with folder.replacing(place) as part:
        _write_labels(labels, subject.image, part)
    if subject.dicom is not None:
        _write_dicom(subject, labels, model, folder.root / "dicom" / stem, now)
    row: dict[str, Any] = {"name": subject.name, "labels": f"labels/{place.name}"}
    if model.facts.task == "instances":
        return row | {"objects": int(labels.max())}
    counts = np.bincount(labels.ravel(), minlength=len(model.facts.classes) + 1)
    if subject.image.is_picture:
        return row | {f"{n} [pixels]": int(counts[k]) for k, n in enumerate(model.facts.classes, 1)}
    voxel_ml = subject.image.grid.voxel_volume_ml
    return row | {
        f"{name} [mL]": round(float(counts[k] * voxel_ml), 3)
        for k, name in enumerate(model.facts.classes, 1)
    }


def _write_labels(labels: NDArray[Any], image: PlacedImage, path: Path) -> None:
    if image.is_picture:
        Pixels.fromarray(labels[0]).save(path, "PNG")
        return
    file = sitk.GetImageFromArray(labels)
    grid: Grid = image.grid
    file.SetSpacing(grid.spacing_mm[::-1])
    file.SetOrigin(grid.origin_mm)
    file.SetDirection(np.asarray(grid.axes)[::-1].T.ravel().tolist())
    sitk.WriteImage(file, str(path), imageIO="NiftiImageIO", useCompression=True)


def _write_dicom(
    subject: Subject, labels: NDArray[Any], model: Model, place: Path, now: datetime
) -> None:
    assert subject.dicom is not None
    assert subject.patient is not None
    structures = structures_of(labels, model, subject.dicom.volume.grid)
    if not len(structures):
        return
    place.mkdir(parents=True, exist_ok=True)
    image, patient = subject.dicom, subject.patient
    segmentation.write(structures, image, patient, place / "seg.dcm", now=now)
    structure_set.write(structures, image, patient, place / "rtstruct.dcm", now=now)


def structures_of(labels: NDArray[Any], model: Model, grid: Grid) -> StructureSet:
    """Return what was outlined as structures on the grid of the image; empty ones are left out."""
    if model.facts.task == "instances":
        names = [f"{model.facts.classes[0]} {k}" for k in range(1, int(labels.max()) + 1)]
    else:
        names = list(model.facts.classes)
    found = [
        Structure.of(name, labels == number, grid, type=StructureType.ORGAN)
        for number, name in enumerate(names[:MOST_STRUCTURES], 1)
    ]
    return StructureSet(tuple(one for one in found if not one.is_empty))


def _drawn(subject: Subject, labels: NDArray[Any], model: Model, row: dict[str, Any]) -> Picture:
    measured = {k: v for k, v in row.items() if k not in {"name", "labels"}}
    said = ", ".join(
        f"{k.partition(' [')[0]} {v} {k.partition('[')[2].rstrip(']')}".strip()
        for k, v in measured.items()
    )
    return draw_predicted(
        subject.image.values,
        labels,
        classes=model.facts.classes if model.facts.task == "segment" else (),
        spacing_mm=subject.image.grid.spacing_mm,
        caption=f"{subject.name}: {said}",
    )


def _told(
    model: Model,
    rows: list[dict[str, Any]],
    pictures: list[Picture],
    failed: list[str],
    folder: CaseFolder,
) -> Done:
    facts = model.facts
    numbers = {
        "model": facts.name,
        "model_digest": model.digest,
        "classes": list(facts.classes),
        "images": rows,
        "failed": failed,
    }
    title = f"What {facts.name} outlines on {len(rows)} images"
    files = {
        "labels": folder.root / "labels",
        "predictions": write_table(folder, "predictions.csv", rows),
        "data": write_json(folder, "predictions.json", numbers),
        "page": write_text(folder, "predictions.html", gallery(title, pictures)),
    }
    if (folder.root / "dicom").exists():
        files["dicom"] = folder.root / "dicom"
    notices = (f"{len(failed)} images could not be outlined. {failed[0]}",) if failed else ()
    return Done(folder=folder.root, files=files, numbers=numbers, rows=rows[:20], notices=notices)
