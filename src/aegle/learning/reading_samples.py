"""Images from a folder, a manifest, a zip or a MedMNIST archive, told by what is there.

folder or zip     one folder per class, or train/val/test with a folder per class in each
manifest.csv      one row per image; files beside it or in the one zip beside it
name.npz          MedMNIST: train_images, train_labels, val_images, ...

Images on which something is outlined or boxed: see annotation_reading.
"""

from functools import partial
from pathlib import Path

from aegle.domain.errors import FileError, InputError
from aegle.learning.annotation_images import of_pixels, placed
from aegle.learning.annotation_reading import annotated_samples
from aegle.learning.annotations import PlacedImage
from aegle.learning.image_decoding import is_image
from aegle.learning.image_sources import (
    ArchiveImages,
    Decoders,
    FileImages,
    Files,
    FolderFiles,
    beside,
    files_at,
)
from aegle.learning.sample_options import DataOptions as DataOptions
from aegle.learning.sample_rows import (
    Row,
    archive_rows,
    chosen_rows,
    first_five,
    folder_rows,
    manifest_rows,
    read_table,
)
from aegle.learning.samples import UNLABELLED, Sample, SampleSet

MANIFEST = "manifest.csv"


def read_samples(
    path: Path,
    *,
    options: DataOptions,
    decoders: Decoders | None = None,
    strict: bool = True,
    annotated: bool | None = None,
) -> SampleSet:
    """Return the images that lie at a path, with what is known about them; no pixel is read.

    Args:
        path: A folder, manifest, zip, MedMNIST archive or single image; not ``options.path``.
        options: Which images, and what their labels are.
        decoders: What reads further kinds of files, by ending.
        strict: Refuse labels outside ``options.classes``; otherwise such images stay unlabelled,
            and the gate before training names them. The same holds for images without mask.
        annotated: Whether masks or boxes are read, the labels of whole images left aside; None
            for as the options say, or what is there leaves no doubt of.

    Raises:
        FileError: The manifest, zip or archive is damaged or missing.
        InputError: A column or file is missing, a label is outside the classes, or no image is
            left.
    """
    if annotated is not False:
        found = annotated_samples(
            path, options=options, decoders=decoders or {}, strict=strict, wanted=annotated
        )
        if found is not None:
            return found
    rows, images = _everything(path, options, decoders or {})
    chosen = chosen_rows(path, rows, start=options.start, where=options.where)
    if options.group and chosen and not any(row.group for row in chosen):
        raise InputError(
            f"{path}: nothing there says the group '{options.group}' of an image; give a manifest "
            "with that column, or leave data.group empty."
        )
    if isinstance(images, FileImages):
        _require_present(path, chosen, images.files)
    labels = [options.merge.get(row.label, row.label) for row in chosen]
    if not options.label:
        labels = [""] * len(chosen)
    classes = options.classes or tuple(sorted({label for label in labels if label}))
    if strict and options.label:
        _require_known(path, chosen, labels, classes)
    return SampleSet(
        classes=classes,
        samples=tuple(
            Sample(
                name=row.name,
                label=classes.index(label) if label in classes else UNLABELLED,
                group=row.group,
                split=row.split,
                columns=row.columns,
            )
            for row, label in zip(chosen, labels, strict=True)
        ),
        load=images.load,
        content=images.content,
        source=str(path),
        place=partial(_placed, images),
    )


def _placed(images: FileImages | ArchiveImages, sample: Sample) -> PlacedImage:
    """Return an image with where it lies."""
    if isinstance(images, FileImages):
        return placed((sample.name,), images.files.read, images.decoders)
    return of_pixels(images.load(sample))


def _everything(
    path: Path, options: DataOptions, decoders: Decoders
) -> tuple[list[Row], FileImages | ArchiveImages]:
    """Return all rows that are there, before any choice, and what reads their pixels."""
    if not path.exists():
        raise FileError(path, "it does not exist.", "Check the path.")
    kind = path.suffix.lower()
    if kind == ".npz":
        archive = ArchiveImages(path)
        return archive_rows(path, archive.arrays(), options.classes), archive
    if kind == ".csv":
        rows, files = _listed(path, FolderFiles(path.parent), path.name, options)
    elif path.is_file() and is_image(path.name, tuple(decoders)):
        rows, files = [Row(name=path.name)], FolderFiles(path.parent)
    else:
        rows, files = _held(path, options, tuple(decoders))
    return rows, FileImages(files, decoders)


def _held(path: Path, options: DataOptions, endings: tuple[str, ...]) -> tuple[list[Row], Files]:
    """Return what a folder or zip holds: as its manifest says, or all its images."""
    files = files_at(path)
    if files.has(MANIFEST):
        return _listed(path, files, MANIFEST, options)
    names = [name for name in files.names() if is_image(name, endings)]
    if not names:
        raise InputError(
            f"{path}: it holds no images. Give a folder per class, or a manifest.csv with the "
            "images or their zip beside it."
        )
    return folder_rows(path, names, is_labelled=bool(options.label)), files


def _listed(
    path: Path, files: Files, manifest: str, options: DataOptions
) -> tuple[list[Row], Files]:
    """Return what a manifest names, and the files beside it or in the zip beside it."""
    rows = manifest_rows(path, read_table(path, files.read(manifest)), options.columns)
    return rows, beside(files, rows[0].name)


def _require_present(path: Path, rows: list[Row], files: Files) -> None:
    absent = [row.name for row in rows if not files.has(row.name)]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} of {len(rows)} images that it names are not there, such as "
            f"{first_five(absent)}. Put them beside it, or in the zip beside it."
        )


def _require_known(
    path: Path, rows: list[Row], labels: list[str], classes: tuple[str, ...]
) -> None:
    outside = [
        (row.name, label) for row, label in zip(rows, labels, strict=True) if label not in classes
    ]
    if outside:
        name, label = outside[0]
        raise InputError(
            f"{path}: {len(outside)} label(s) lie outside the classes ({', '.join(classes)}), such "
            f"as '{label}' of '{name}'. Correct them, add the class, merge it into another, or "
            "leave it out by the option 'where'."
        )
