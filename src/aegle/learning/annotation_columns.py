"""Annotations that a manifest names in its columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aegle.domain.errors import InputError
from aegle.learning.annotation_boxes import NamedBox, from_text
from aegle.learning.annotation_files import Drawn
from aegle.learning.annotation_forms import Form
from aegle.learning.image_decoding import is_image
from aegle.learning.image_sources import Files, beside
from aegle.learning.sample_options import DataOptions
from aegle.learning.sample_rows import LABEL, Row, Table, first_five, manifest_rows

FILE = "file"
_FILES = ("image", "image_path", "file_name", "filename", "path", "img", "scan")
_MASKS = (
    "mask",
    "label_map",
    "labelmap",
    "mask_path",
    "mask_file",
    "segmentation",
    "seg",
    "annotation",
    "masks",
    LABEL,
)
_OBSERVERS = ("mask_observer2", "observer2", "mask_observer", "observer", "mask2", "second_mask")
_REGIONS = ("fov", "field_of_view", "region", "fov_mask")
_BOXES = ("boxes_xyxy", "boxes_xywh", "boxes", "bboxes", "bbox", "boxes_json")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Which columns hold what; empty for none."""

    mask: str = ""
    observer: str = ""
    region: str = ""
    boxes: str = ""


def manifest_form(
    path: Path, table: Table, files: Files, *, options: DataOptions, wanted: bool | None
) -> Form | None:
    """Return the annotated images of a manifest, or None if it is one of labels.

    Args:
        path: For messages.
        table: The manifest.
        files: Beside it.
        options: Names of columns; obvious ones are found where they are left at their defaults.
        wanted: Whether annotations are asked for; None if what is there decides.

    Raises:
        InputError: A column is missing, or a cell holds no boxes.
    """
    options = _with_file(table, options)
    if options.file not in table.header:
        return None
    files = beside(files, table.records[0][options.file])
    found = _found(path, table, files, options)
    if not (found.mask or found.boxes):
        return None
    if not _is_meant(table, found, options, wanted):
        return None
    columns = replace(options.columns, label="")
    rows = _images(manifest_rows(path, table, columns), found)
    if found.boxes and not found.mask:
        pairs = tuple((row, _boxed(row, found.boxes)) for row in rows)
        return Form(kind="boxes", files=files, pairs=pairs)
    return Form(
        kind="masks", files=files, pairs=tuple((row, _masked(row, found, files)) for row in rows)
    )


def _with_file(table: Table, options: DataOptions) -> DataOptions:
    """Return the options with another name of the column of images, if one is obvious."""
    if options.file in table.header or options.file != FILE:
        return options
    found = next((name for name in _FILES if name in table.header), FILE)
    return replace(options, file=found)


def _found(path: Path, table: Table, files: Files, options: DataOptions) -> Found:
    wanted = {"mask": options.mask, "observer": options.observer}
    wanted |= {"region": options.region, "boxes": options.boxes}
    for option, column in wanted.items():
        if column and column not in table.header:
            raise InputError(
                f"{path}: it has no column '{column}' for the {option}; it has "
                f"{', '.join(table.header)}. Set the option '{option}'."
            )

    def paths(names: Sequence[str]) -> str:
        taken = {options.file}
        return next((n for n in names if n not in taken and _holds_paths(table, n, files)), "")

    boxes = options.boxes or ("" if options.mask else next(_box_columns(table), ""))
    mask = options.mask or ("" if options.boxes else paths(_MASKS))
    return Found(
        mask=mask,
        observer=options.observer or paths(_OBSERVERS),
        region=options.region or paths(_REGIONS),
        boxes=boxes,
    )


def _box_columns(table: Table) -> Iterator[str]:
    for name in _BOXES:
        cells = [record[name] for record in table.records if name in table.header]
        if any(cell.strip().startswith("[") for cell in cells):
            yield name


def _holds_paths(table: Table, column: str, files: Files) -> bool:
    """Return whether a column names image files, at least one of which is there."""
    if column not in table.header:
        return False
    cells = [record[column] for record in table.records if record[column].strip()]
    return all(is_image(cell) for cell in cells) and any(files.has(cell) for cell in cells)


def _is_meant(table: Table, found: Found, options: DataOptions, wanted: bool | None) -> bool:
    """Return whether annotations are meant, where a manifest may hold labels too."""
    if wanted or options.names_annotations:
        return True
    if options.label != LABEL:
        return False
    return LABEL not in table.header or found.mask == LABEL


def _images(rows: list[Row], found: Found) -> list[Row]:
    """Return the rows without those that list the masks of others."""
    columns = [name for name in (found.mask, found.observer, found.region) if name]
    drawn = {row.columns[name] for row in rows for name in columns}
    return [row for row in rows if row.name not in drawn]


def _masked(row: Row, found: Found, files: Files) -> Drawn:
    def cell(column: str) -> str:
        return row.columns.get(column, "").strip() if column else ""

    masks = tuple(name.strip() for name in cell(found.mask).split(";") if name.strip())
    named = (*masks, cell(found.observer), cell(found.region))
    absent = [name for name in named if name and not files.has(name)]
    problem = ""
    if not masks:
        problem = f"'{row.name}' has no mask in the column '{found.mask}'"
    elif absent:
        problem = f"'{row.name}' names the mask {first_five(absent)}, which is not there"
    return Drawn(
        images=(row.name,),
        masks=masks,
        observer=cell(found.observer),
        region=cell(found.region),
        problem=problem,
    )


def _boxed(row: Row, column: str) -> Drawn:
    boxes: tuple[NamedBox, ...] = ()
    problem = ""
    try:
        boxes = from_text(row.name, row.columns[column], column)
    except InputError as error:
        problem = str(error)
    return Drawn(images=(row.name,), boxes=boxes, problem=problem)
