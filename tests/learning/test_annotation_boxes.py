"""Boxes mean the same pixels, whichever form they were written in."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from aegle.domain.errors import FileError, InputError
from aegle.learning.reading_samples import DataOptions, read_samples

ROWS, COLUMNS = 20, 30
LOOP, KNIFE = (4.0, 2.0, 10.0, 8.0), (12.0, 5.0, 30.0, 20.0)
"""Left, top, right, bottom edge [pixel]."""


def png():
    file = io.BytesIO()
    Image.fromarray(np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS).astype(np.uint8)).save(
        file, "PNG"
    )
    return file.getvalue()


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def listed(folder, *cells, column="boxes_xyxy"):
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["file", column])
    for index, cell in enumerate(cells):
        writer.writerow([f"{index}.png", cell if isinstance(cell, str) else json.dumps(cell)])
    files = {f"{index}.png": png() for index in range(len(cells))}
    return fill(folder, files | {"manifest.csv": table.getvalue()})


def coco(**changes):
    """Two pictures: one with a loop and a knife, one with nothing."""
    stated = {
        "images": [{"id": 5, "file_name": "a.png"}, {"id": 6, "file_name": "b.png"}],
        "categories": [
            {"id": 9, "name": "knife"},
            {"id": 0, "name": "tools"},
            {"id": 3, "name": "loop"},
        ],
        "annotations": [
            {"image_id": 5, "category_id": 3, "bbox": [4, 2, 6, 6]},
            {"image_id": 5, "category_id": 9, "bbox": [12, 5, 18, 15]},
            {"image_id": 5, "category_id": 9, "bbox": [0, 0, 30, 20], "iscrowd": 1},
        ],
    }
    return json.dumps(stated | changes)


def voc(*objects, file="a.png"):
    parts = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in objects
    )
    return f"<annotation><filename>{file}</filename>{parts}</annotation>"


def read(path, *, strict=True, **options):
    return read_samples(path, options=DataOptions(**options), strict=strict)


def drawn(samples, index=0):
    found = samples.annotate(samples.samples[index])
    kinds = [samples.classes[number] for number in found.box_classes]
    return [(kind, *box) for kind, box in zip(kinds, found.boxes.tolist(), strict=True)]


WANTED = [("loop", *LOOP), ("knife", *KNIFE)]
FORMS = {
    "manifest": lambda folder: listed(folder, [["loop", *LOOP], ["knife", *KNIFE]], []),
    "width and height": lambda folder: listed(
        folder, [["loop", 4, 2, 6, 6], ["knife", 12, 5, 18, 15]], "", column="boxes_xywh"
    ),
    "COCO beside": lambda folder: fill(
        folder, {"a.png": png(), "b.png": png(), "_annotations.coco.json": coco()}
    ),
    "COCO apart": lambda folder: fill(
        folder,
        {
            "val2017/a.png": png(),
            "val2017/b.png": png(),
            "annotations/instances_val2017.json": coco(),
            "annotations/captions_val2017.json": coco(annotations=[{"caption": "tools"}]),
        },
    ),
    "VOC beside": lambda folder: fill(
        folder,
        {
            "a.png": png(),
            "b.png": png(),
            "a.xml": voc(("loop", 5, 3, 10, 8), ("knife", 13, 6, 30, 20)),
            "b.xml": voc(file="elsewhere/b.jpg"),
        },
    ),
    "VOC apart": lambda folder: fill(
        folder,
        {
            "VOC2012/JPEGImages/a.png": png(),
            "VOC2012/JPEGImages/b.png": png(),
            "VOC2012/Annotations/a.xml": voc(("loop", 5, 3, 10, 8), ("knife", 13, 6, 30, 20)),
            "VOC2012/Annotations/b.xml": voc(file="b.png"),
        },
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_boxes_are_read_from_every_form(tmp_path, form):
    samples = read(FORMS[form](tmp_path))

    assert sorted(samples.classes) == ["knife", "loop"]
    assert drawn(samples, 0) == WANTED
    assert drawn(samples, 1) == []
    assert samples.annotate(samples.samples[1]).boxes.shape == (0, 4)


def test_categories_of_coco_keep_their_order_and_its_files_tell_the_split(tmp_path):
    samples = read(FORMS["COCO apart"](tmp_path))

    assert samples.classes == ("loop", "knife"), "by number, those without a box left out"
    assert {sample.split for sample in samples.samples} == {"val"}
    assert [sample.name for sample in samples.samples] == ["val2017/a.png", "val2017/b.png"]


def test_kinds_may_be_merged_or_left_out(tmp_path):
    path = FORMS["manifest"](tmp_path)

    merged = read(path, merge={"loop": "tool", "knife": "tool"})
    fewer = read(path, merge={"knife": "background"})

    assert merged.classes == ("tool",)
    assert [kind for kind, *_ in drawn(merged)] == ["tool", "tool"]
    assert drawn(fewer) == [("loop", *LOOP)]


def test_a_box_over_the_edge_is_cut_off(tmp_path):
    samples = read(listed(tmp_path, [["loop", -3, 10, 40, 25.5]]))

    assert drawn(samples) == [("loop", 0, 10, COLUMNS, ROWS)]


@pytest.mark.parametrize(
    "outside", [(-5, 2, 0, 8), (30, 2, 35, 8), (2, 20, 5, 25)], ids=["left", "right", "below"]
)
def test_a_box_beside_the_picture_is_refused(tmp_path, outside):
    samples = read(listed(tmp_path, [["loop", *LOOP], ["loop", *outside]]))

    with pytest.raises(InputError, match=r"1 of 2 box\(es\) lie outside the picture of 30 x 20"):
        drawn(samples)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        pytest.param("[[", "no JSON", id="cut off"),
        pytest.param('{"a": 1}', "no list", id="a table"),
        pytest.param([["loop", 1, 2, 3]], "are no four numbers", id="three numbers"),
        pytest.param([["loop", 1, 2, "x", 4]], "no four numbers", id="a word"),
        pytest.param([["loop", 5, 2, 5, 4]], "holds nothing", id="no width"),
        pytest.param([["loop", 1, 8, 5, 4]], "holds nothing", id="upside down"),
        pytest.param('[["loop", 1, 2, Infinity, 4]]', "holds nothing", id="infinite"),
    ],
)
def test_boxes_that_are_none_are_counted_and_named(tmp_path, cell, words):
    path = listed(tmp_path, [["loop", *LOOP]], cell)

    with pytest.raises(InputError, match=rf"1 of 2 images have no annotation.*(?:{words})"):
        read(path)
    with pytest.raises(InputError, match=words):
        drawn(read(path, strict=False), 1)


def test_kinds_outside_the_classes_are_counted(tmp_path):
    path = listed(tmp_path, *([["knife", *KNIFE]] for _ in range(7)), [["loop", *LOOP]])

    with pytest.raises(
        InputError, match=r"7 images have boxes outside the classes \(loop\)"
    ) as caught:
        read(path, classes=("loop",))
    assert "'4.png' and 2 more" in str(caught.value)
    with pytest.raises(InputError, match="boxes of 'knife'"):
        drawn(read(path, classes=("loop",), strict=False))


def test_a_set_without_any_box_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of 2 images has a box"):
        read(listed(tmp_path, [], []), boxes="boxes_xyxy")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(coco()[:-20], "it is no JSON", id="cut off"),
        pytest.param('{"images": [', "it is no JSON", id="cut off early"),
        pytest.param(
            coco(annotations=[{"image_id": 5, "category_id": 4, "bbox": [1, 1, 2, 2]}]),
            "the category 4, which is not listed",
            id="unknown category",
        ),
        pytest.param(
            coco(annotations=[{"image_id": 7, "category_id": 3, "bbox": [1, 1, 2, 2]}]),
            "the image 7, which is not listed",
            id="unknown image",
        ),
        pytest.param(
            coco(annotations=[{"image_id": 5, "category_id": 3, "bbox": [1, 1, 2]}]),
            "no four numbers",
            id="three numbers",
        ),
    ],
)
def test_a_damaged_coco_file_is_named(tmp_path, content, words):
    fill(tmp_path, {"a.png": png(), "b.png": png(), "train.json": content})

    with pytest.raises(InputError, match=words):
        read(tmp_path)


def test_pictures_that_coco_names_but_nobody_gave_are_named(tmp_path):
    fill(tmp_path, {"a.png": png(), "train.json": coco()})

    with pytest.raises(InputError, match=r"1 of 2 images that it names are not there.*'b\.png'"):
        read(tmp_path)


def test_a_picture_without_its_xml_is_named(tmp_path):
    fill(tmp_path, {"a.png": png(), "b.png": png(), "a.xml": voc(("loop", 5, 3, 10, 8))})

    with pytest.raises(InputError, match=r"no XML file is called as 'b\.png'"):
        read(tmp_path)


def test_a_damaged_xml_file_is_named(tmp_path):
    fill(tmp_path, {"a.png": png(), "a.xml": voc(("loop", 5, 3, 10, 8))[:-9]})

    with pytest.raises(FileError, match=r"a\.xml: it is no XML"):
        read(tmp_path)
