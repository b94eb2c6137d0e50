"""The gate names annotations that do not fit, are missing or contradict each other."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.learning.annotations import Annotation
from aegle.learning.gate import GateOptions, inspect
from aegle.learning.gate_annotations import survey_annotations


def quiet(done, total):
    del done, total


@pytest.fixture
def outlined(made_set, scene):
    """Return a function that makes a set from masks; a text is why a mask cannot be used."""

    def make(masks, *, images=None, classes=("lesion",), objects=False):
        names = [f"{i:02d}" for i in range(len(masks))]
        pixels = {name: scene(i) for i, name in enumerate(names)} | (images or {})
        given = dict(zip(names, masks, strict=True))

        def annotate(sample):
            mask = given[sample.name]
            if isinstance(mask, str):
                raise InputError(mask)
            labels = np.broadcast_to(np.asarray(mask, np.int32), (1, 64, 64))
            return Annotation(labels=labels, is_objects=objects)

        split = ["train"] * len(masks)
        return replace(
            made_set(pixels, classes=classes, group=names, split=split), annotate=annotate
        )

    return make


def found(samples):
    gate = inspect(samples, options=GateOptions(), progress=quiet)
    return {offence.kind: offence for offence in gate.offences}


def test_a_set_without_fault_passes(outlined):
    assert found(outlined([1, 1, 1])) == {}


def test_images_need_no_class_of_their_own_where_something_is_drawn(outlined):
    assert "label" not in found(outlined([1, 1]))


def test_annotations_that_cannot_be_used_leave(outlined):
    offence = found(outlined([1, "its mask lies elsewhere", 1]))["annotation"]

    assert offence.severity == "stop"
    assert offence.removed == ("01",)
    assert "its mask lies elsewhere" in str(offence.finding)
    assert "1 of 3" in str(offence.finding)


def test_empty_masks_are_counted_but_may_stay(outlined):
    offence = found(outlined([1, 0, 0]))["empty"]

    assert offence.severity == "warn"
    assert offence.names == ("01", "02")
    assert "2 of 3" in str(offence.finding)


def test_a_set_of_empty_masks_alone_stops(outlined):
    offence = found(outlined([0, 0]))["nothing-drawn"]

    assert offence.severity == "stop"
    assert offence.removed == ("00", "01")


def test_a_class_that_no_image_shows_is_named(outlined):
    offence = found(outlined([1, 3], classes=("a", "b", "c")))["class-missing"]

    assert "1 of the classes: b." in str(offence.finding)
    assert "class-missing" not in found(outlined([1, 3], objects=True))


def test_a_class_that_one_image_alone_shows_is_named(outlined):
    stray = np.ones((64, 64), np.int32)
    stray[0] = 2
    offence = found(outlined([1, 1, stray, 1, 0], classes=("a", "label 7")))["class-once"]

    assert offence.names == ("02",)
    assert offence.severity == "warn"
    assert "1 of the classes are drawn on one image alone: label 7." in str(offence.finding)
    assert "class-once" not in found(outlined([1, 1, stray, stray, 1], classes=("a", "b")))
    assert "class-once" not in found(outlined([1, 1, stray], classes=("a", "b")))


def test_images_are_counted_for_every_class_that_is_drawn_on_them(outlined):
    both = np.ones((64, 64), np.int32)
    both[0] = 2
    samples = outlined([1, both, 2, 0], classes=("a", "b"))

    gate = inspect(samples, options=GateOptions(), progress=quiet)

    assert gate.counts == {"train": {"a": 2, "b": 2, "": 1}}
    assert gate.totals == {"train": 4}


def test_the_same_pixels_with_something_else_drawn_are_named(outlined, scene):
    same = {"00": scene(9), "01": scene(9), "02": scene(9)}
    cross = np.eye(64, dtype=np.int32)

    assert "conflicting-annotations" not in found(outlined([1, 1, 1], images=same))
    offence = found(outlined([1, cross, 1], images=same))["conflicting-annotations"]
    assert offence.names == ("00", "01", "02")


def test_boxes_are_counted(outlined):
    samples = replace(
        outlined([1, 1]),
        annotate=lambda sample: Annotation(
            boxes=np.array([[1, 2, 3, 4]] * int(sample.name), np.float32).reshape(-1, 4),
            box_classes=np.zeros(int(sample.name), np.int64),
        ),
    )

    facts = survey_annotations(samples, progress=quiet)

    assert [one.objects for one in facts] == [0, 1]
    assert found(samples)["empty"].names == ("00",)
