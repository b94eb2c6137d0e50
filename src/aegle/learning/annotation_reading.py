"""Annotated images, told by what is there.

manifest.csv          a column with the mask of each image, or with its boxes
images/, masks/       masks called as their images, in a folder or zip; several are laid over
                      each other
dataset.json          nnU-Net: imagesTr, labelsTr, one file per channel; the older list of pairs
*.json, *.xml         boxes of COCO and Pascal VOC beside the images
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from aegle.domain.errors import FileError, InputError
from aegle.learning.annotation_coco import coco_form
from aegle.learning.annotation_columns import manifest_form
from aegle.learning.annotation_files import AnnotatedFiles, Drawn
from aegle.learning.annotation_folders import folder_form
from aegle.learning.annotation_forms import Form
from aegle.learning.annotation_labels import BACKGROUND, Meaning, of_names
from aegle.learning.annotation_nnunet import nnunet_form
from aegle.learning.annotation_numbers import looks_like_objects, numbers_of
from aegle.learning.annotation_voc import voc_form
from aegle.learning.image_sources import Decoders, Files, FolderFiles, files_at
from aegle.learning.sample_options import DataOptions
from aegle.learning.sample_rows import Row, chosen_rows, first_five, read_table
from aegle.learning.samples import Sample, SampleSet

MANIFEST = "manifest.csv"
OBJECT = "object"
"""Class of numbered objects that nobody named."""
_FORMS: Sequence[Callable[[Path, Files], Form | None]] = (
    nnunet_form,
    folder_form,
    coco_form,
    voc_form,
)


def annotated_samples(
    path: Path, *, options: DataOptions, decoders: Decoders, strict: bool, wanted: bool | None
) -> SampleSet | None:
    """Return annotated images, or None if there are none.

    Where the classes of masks are not given, every mask is read once to find them.

    Args:
        path: A folder, manifest or zip.
        options: Columns, classes and choice of images.
        decoders: What reads further kinds of files, by ending.
        strict: Refuse images whose annotations are missing; otherwise asking for them does.
        wanted: Whether annotations are asked for; None if the options or the data decide.

    Raises:
        FileError: A file is damaged or missing.
        InputError: Annotations are missing, of other classes, or all empty.
    """
    form = _form(path, options, wanted)
    if form is None:
        if wanted or options.names_annotations:
            raise InputError(
                f"{path}: nothing was found there that is drawn on images. Give a manifest with "
                "a column of masks or boxes, folders images and masks, a dataset.json of nnU-Net, "
                "or boxes of COCO or Pascal VOC."
            )
        return None
    rows = chosen_rows(
        path, [row for row, _ in form.pairs], start=options.start, where=options.where
    )
    drawn = {row.name: one for row, one in form.pairs}
    drawn = {row.name: drawn[row.name] for row in rows}
    _require_files(path, form.files, drawn)
    if strict:
        _require_drawn(path, drawn)
    if options.group and not any(row.group for row in rows):
        raise InputError(
            f"{path}: nothing there says the group '{options.group}' of an image; give a manifest "
            "with that column, or leave data.group empty."
        )
    form, meaning = _meant(path, form, drawn, options, strict)
    images = AnnotatedFiles(
        files=form.files,
        drawn=_merged(drawn, options) if form.kind == "boxes" else drawn,
        meaning=meaning,
        decoders=decoders,
        channels_per_file=form.channels_per_file,
    )
    return _set(path, rows, images)


def _set(path: Path, rows: list[Row], images: AnnotatedFiles) -> SampleSet:
    return SampleSet(
        classes=images.meaning.classes,
        samples=tuple(
            Sample(name=row.name, group=row.group, split=row.split, columns=row.columns)
            for row in rows
        ),
        load=images.load,
        content=images.content,
        source=str(path),
        place=images.place,
        annotate=images.annotate,
    )


def _form(path: Path, options: DataOptions, wanted: bool | None) -> Form | None:
    if not path.exists():
        raise FileError(path, "it does not exist.", "Check the path.")
    kind = path.suffix.lower()
    files: Files
    if kind == ".csv":
        files, manifest = FolderFiles(path.parent), path.name
    elif path.is_dir() or kind == ".zip":
        files, manifest = files_at(path), MANIFEST
    else:
        return None
    if files.has(manifest):
        table = read_table(path, files.read(manifest))
        return manifest_form(path, table, files, options=options, wanted=wanted)
    return next((form for one in _FORMS if (form := one(path, files)) is not None), None)


def _require_files(path: Path, files: Files, drawn: dict[str, Drawn]) -> None:
    absent = [name for one in drawn.values() for name in one.images if not files.has(name)]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} of {len(drawn)} images that it names are not there, such as "
            f"{first_five(absent)}. Put them beside it, or in the zip beside it."
        )


def _require_drawn(path: Path, drawn: dict[str, Drawn]) -> None:
    problems = [one.problem for one in drawn.values() if one.problem]
    if problems:
        raise InputError(
            f"{path}: {len(problems)} of {len(drawn)} images have no annotation that can be used: "
            f"{'; '.join(problem.rstrip('.') for problem in problems[:5])}. Add them (an empty "
            "mask where there is nothing), or leave the images out by the options 'where' or "
            "'start'."
        )


def _meant(
    path: Path, form: Form, drawn: dict[str, Drawn], options: DataOptions, strict: bool
) -> tuple[Form, Meaning]:
    """Return what numbers of masks, or names of boxes, mean; masks are read if nothing says."""
    if form.kind == "boxes":
        return form, _of_boxes(path, form, drawn, options, strict)
    if options.objects:
        return form, Meaning(classes=options.classes or (OBJECT,), is_objects=True)
    names = dict(form.names)
    if not names and options.classes and not options.merge:
        names = dict(enumerate(options.classes, 1))
    if not names:
        found = numbers_of(path, form.files, drawn)
        if looks_like_objects(found):
            return form, Meaning(classes=options.classes or (OBJECT,), is_objects=True)
        names = {number: f"label {number}" for number in found.numbers}
    meaning = of_names(
        str(path), names, classes=options.classes, merge=options.merge, ignored=form.ignored
    )
    return form, meaning


def _of_boxes(
    path: Path, form: Form, drawn: dict[str, Drawn], options: DataOptions, strict: bool
) -> Meaning:
    merge = options.merge
    owners: dict[str, list[str]] = {}
    for name, one in drawn.items():
        for box in one.boxes or ():
            owners.setdefault(merge.get(box.name, box.name), []).append(name)
    owners.pop(BACKGROUND, None)
    if not owners:
        raise InputError(f"{path}: none of {len(drawn)} images has a box; give at least one.")
    told = tuple(dict.fromkeys(merge.get(name, name) for name in form.classes))
    classes = options.classes or told or tuple(sorted(owners))
    outside = {name: images for name, images in owners.items() if name not in classes}
    if strict and outside:
        images = sorted({image for found in outside.values() for image in found})
        raise InputError(
            f"{path}: {len(images)} images have boxes outside the classes "
            f"({', '.join(classes)}): of {first_five(sorted(outside))}, in {first_five(images)}. "
            "Correct them, add the class, or merge it into another by data.merge (into "
            f"'{BACKGROUND}' to leave it out)."
        )
    return Meaning(classes=classes)


def _merged(drawn: dict[str, Drawn], options: DataOptions) -> dict[str, Drawn]:
    """Return boxes by the names that theirs count as."""
    if not options.merge:
        return drawn
    return {
        name: replace(
            one,
            boxes=tuple(
                replace(box, name=options.merge.get(box.name, box.name))
                for box in one.boxes or ()
                if options.merge.get(box.name, box.name) != BACKGROUND
            ),
        )
        for name, one in drawn.items()
    }
