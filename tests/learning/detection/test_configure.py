"""What pictures with boxes are like, and what that decides."""

from dataclasses import asdict
from json import dumps, loads

import numpy as np
import pytest
import torch

from aegle import catalogue
from aegle.domain.errors import InputError
from aegle.learning.assignment import TrainingOptions
from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.detection.configure import (
    BoxFacts,
    DetectionOptions,
    box_facts,
    configure_boxes,
)
from aegle.learning.samples import SampleSet
from aegle.learning.transfer import TransferOptions
from aegle.options import read


def tell_nobody(done, total):
    del done, total


def facts(**changes):
    usual = {
        "pictures": 500,
        "channels": 3,
        "classes": ("disc", "bar"),
        "median_side": 416.0,
        "small_side": 0.3,
        "boxes": 700,
    }
    return BoxFacts(**(usual | changes))


def plan(pretrained=True, options=None, **changes):
    return configure_boxes(
        facts(**changes), options=DetectionOptions(**(options or {})), pretrained=pretrained
    )


@pytest.mark.parametrize(
    ("side", "size"), [(416, 416), (400, 416), (395, 384), (4000, 512), (60, 192)]
)
def test_pictures_are_seen_at_about_their_size(side, size):
    assert plan(median_side=float(side), pictures=50).size == size


def test_the_time_is_spent_and_not_more():
    short, long = (plan(options={"minutes": minutes}, pictures=50) for minutes in (10, 20))

    assert long.steps == pytest.approx(2 * short.steps, rel=0.01)


def test_steps_are_as_the_option_says():
    assert plan(options={"steps": 7}).steps == 7


@pytest.mark.parametrize("memory_mb", [900, 1200, 2000, 8000])
@pytest.mark.parametrize("pretrained", [True, False])
def test_the_plan_keeps_within_the_memory(memory_mb, pretrained):
    found = plan(pretrained, {"memory_mb": memory_mb})

    assert found.memory_mb <= memory_mb
    assert 1 <= found.batch <= 8


def test_given_weights_decide_scaling_and_channels():
    found, plain = plan(True, channels=1), plan(False, channels=1)

    # Mean and deviation of ImageNet as torchvision's weights expect them.
    assert found.mean == (0.485, 0.456, 0.406)
    assert found.deviation == (0.229, 0.224, 0.225)
    assert found.settings["channels"] == 3
    assert (len(plain.mean), plain.settings["channels"]) == (1, 1)


def test_the_plan_is_plain_data_that_can_be_read_back():
    found = plan()

    assert read(BoxConfiguration, loads(dumps(asdict(found)))) == found


def test_what_is_planned_can_be_built_and_trained_with():
    found = plan()
    network = catalogue.load("network", found.network)(**found.settings).eval()

    TrainingOptions(**found.training)
    TransferOptions(**found.transfer)
    with torch.inference_mode():
        places = network(torch.zeros(1, 3, 64, 64)).places
    assert places.shape == (1, 5, 64 // found.stride, 64 // found.stride)


SQUARE = np.zeros((100, 200), np.uint8)


def test_facts_are_those_of_the_pictures(sample_set):
    found = box_facts(
        sample_set(
            [SQUARE, np.zeros((300, 100), np.uint8), SQUARE],
            [[(0, 0, 20, 20)], [(0, 0, 30, 30)], [(0, 0, 100, 100)]],
            [[0], [0], [1]],
        ),
        progress=tell_nobody,
    )

    assert (found.pictures, found.boxes, found.channels) == (3, 3, 1)
    assert found.median_side == 200
    # Sides are 0.1, 0.1 and 0.5 of the pictures'; the percentile lies among the first two.
    assert found.small_side == pytest.approx(0.1)


def test_pictures_without_any_box_are_refused(sample_set):
    with pytest.raises(InputError, match="not one box is drawn"):
        box_facts(sample_set([SQUARE], [[]], [[]]), progress=tell_nobody)


def test_offenders_are_counted_and_named(sample_set):
    whole = sample_set([SQUARE] * 7, [[(0, 0, 9, 9)]] * 7, [[0]] * 7)

    def annotate(sample):
        raise InputError("a box ends before it begins.")

    broken = SampleSet(
        classes=whole.classes,
        samples=whole.samples,
        load=whole.load,
        content=whole.content,
        source="made",
        place=whole.place,
        annotate=annotate,
    )

    with pytest.raises(InputError, match=r"made: 7 of 7 pictures .*00\.png.*04\.png") as refused:
        box_facts(broken, progress=tell_nobody)
    assert "05.png" not in str(refused.value)


def test_pictures_without_annotations_are_refused(sample_set):
    whole = sample_set([SQUARE], [[(0, 0, 9, 9)]], [[0]])
    bare = SampleSet(
        classes=whole.classes,
        samples=whole.samples,
        load=whole.load,
        content=whole.content,
        source="made",
    )

    with pytest.raises(InputError, match="made: the pictures come without boxes"):
        box_facts(bare, progress=tell_nobody)
