"""Labelled images from a folder, a manifest, a zip or a MedMNIST archive, told by what is there.

folder or zip     one folder per class, or train/val/test with a folder per class in each
manifest.csv      one row per image; files beside it or in the one zip beside it
name.npz          MedMNIST: train_images, train_labels, val_images, ...
"""

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.domain.errors import FileError, InputError
from aegle.learning.image_decoding import is_image
from aegle.learning.image_sources import (
    ArchiveImages,
    Decoders,
    FileImages,
    Files,
    FolderFiles,
    ZipFiles,
)
from aegle.learning.sample_rows import (
    LABEL,
    SPLIT,
    Columns,
    Row,
    archive_rows,
    folder_rows,
    manifest_rows,
)
from aegle.learning.samples import UNLABELLED, Sample, SampleSet
from aegle.options import option

MANIFEST = "manifest.csv"
IMAGES = "images.zip"
"""The zip that is taken where several lie beside a manifest."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, and what their labels are."""

    path: Annotated[str, option("Folder, manifest (.csv), zip or MedMNIST archive (.npz)")] = ""
    label: Annotated[str, option("Column with the label; empty for images without labels")] = LABEL
    group: Annotated[
        str, option("Column with what belongs together: patient or cluster; empty for none")
    ] = ""
    file: Annotated[str, option("Column with the path of the image")] = "file"
    split: Annotated[str, option("Column with train, val or test; empty to ignore it")] = SPLIT
    classes: Annotated[
        tuple[str, ...], option("Classes in order; empty for all labels, sorted")
    ] = ()
    where: Annotated[
        dict[str, tuple[str, ...]], option("Only rows whose column has one of these values")
    ] = field(default_factory=dict)
    start: Annotated[str, option("Only images whose name starts so, such as images/")] = ""
    merge: Annotated[
        dict[str, str], option("Labels that count as another class, such as benign as lesion")
    ] = field(default_factory=dict)

    @property
    def columns(self) -> Columns:
        """What the columns of a manifest are called."""
        return Columns(file=self.file, label=self.label, group=self.group, split=self.split)


def read_samples(
    path: Path, *, options: DataOptions, decoders: Decoders | None = None, strict: bool = True
) -> SampleSet:
    """Return the images that lie at a path, with what is known about them; no pixel is read.

    Args:
        path: A folder, manifest, zip, MedMNIST archive or single image; not ``options.path``.
        options: Which images, and what their labels are.
        decoders: What reads further kinds of files, by ending.
        strict: Refuse labels outside ``options.classes``; otherwise such images stay unlabelled,
            and the gate before training names them.

    Raises:
        FileError: The manifest, zip or archive is damaged or missing.
        InputError: A column or file is missing, a label is outside the classes, or no image is
            left.
    """
    rows, images = _everything(path, options, decoders or {})
    chosen = _chosen(path, rows, options)
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
    )


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
    if path.is_file() and path.suffix.lower() != ".zip":
        raise FileError(
            path, "it is no data set.", "Give a folder, manifest (.csv), .zip or MedMNIST .npz."
        )
    files: Files = FolderFiles(path) if path.is_dir() else ZipFiles(path)
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
    rows = manifest_rows(path, files.read(manifest), options.columns)
    if isinstance(files, FolderFiles) and not files.has(rows[0].name):
        files = _zip_beside(files.root) or files
    return rows, files


def _zip_beside(folder: Path) -> ZipFiles | None:
    zips = sorted(folder.glob("*.zip"))
    named = [path for path in zips if path.name == IMAGES] or (zips if len(zips) == 1 else [])
    return ZipFiles(named[0]) if named else None


def _chosen(path: Path, rows: list[Row], options: DataOptions) -> list[Row]:
    known = {column for row in rows for column in row.columns}
    unknown = sorted(set(options.where) - known)
    if unknown:
        raise InputError(
            f"{path}: it has no column '{unknown[0]}'; it has {', '.join(sorted(known))}. "
            "Correct the option 'where'."
        )
    chosen = [
        row
        for row in rows
        if row.name.startswith(options.start)
        and all(row.columns[column] in values for column, values in options.where.items())
    ]
    if not chosen:
        raise InputError(
            f"{path}: none of {len(rows)} images starts with '{options.start}' and has the values "
            f"{options.where}. Correct 'start' or 'where'."
        )
    return chosen


def _require_present(path: Path, rows: list[Row], files: Files) -> None:
    absent = [row.name for row in rows if not files.has(row.name)]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} of {len(rows)} images that it names are not there, such as "
            f"'{absent[0]}'. Put them beside it, or in the zip beside it."
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
