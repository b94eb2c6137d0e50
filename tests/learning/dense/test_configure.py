import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.errors import InputError, OptionError
from aegle.learning.dense.configuration import Configuration
from aegle.learning.dense.configure import OutlineOptions, configure
from aegle.learning.dense.fingerprint import ChannelFacts, Fingerprint
from aegle.learning.dense.rules import rules
from aegle.learning.dense.scaling import scaled
from aegle.options import read

GREY = ChannelFacts(
    mean=120.0,
    deviation=30.0,
    low=20.0,
    high=240.0,
    least=0.0,
    greatest=255.0,
    zero_share=0.1,
    image_mean=102.0,
    image_deviation=51.0,
    image_spread=0.4,
)


def facts(shape, spacing_mm=(1.0, 1.0, 1.0), *, thickness_mm=10.0, channel=GREY, **others):
    """Return a fingerprint of images that are all alike."""
    given = {
        "images": 100,
        "axes": 2 if shape[0] == 1 else 3,
        "modality": "",
        "median_shape": shape,
        "least_shape": shape,
        "greatest_shape": shape,
        "median_spacing_mm": spacing_mm,
        "spacing_percentile_10_mm": spacing_mm,
        "channels": (channel,),
        "classes": ("organ",),
        "class_voxels": {"organ": 1000},
        "class_images": {"organ": 100},
        "class_thickness_mm": {"organ": thickness_mm},
    }
    return Fingerprint(**(given | others))


def chosen(found, *, task="segment", pretrained=False, **options):
    return configure(found, options=OutlineOptions(**options), task=task, pretrained=pretrained)


HIPPOCAMPUS = facts((36, 50, 35), modality="MR", classes=("anterior", "posterior"))


def test_hippocampus_gets_the_patch_of_nnunet():
    """Isensee 2021, supplement: patch 40 x 56 x 40, four levels."""
    found = chosen(HIPPOCAMPUS)

    assert found.patch == (40, 56, 40)
    assert len(found.settings["widths"]) == 4
    assert found.settings["classes"] == 3
    assert found.network == "unet"
    assert found.spacing_mm == (1.0, 1.0, 1.0)


def test_every_rule_that_applies_gives_a_reason():
    silent = set(rules()) - set(chosen(HIPPOCAMPUS).reasons)

    assert silent <= {"objects", "thin", "transfer", "windows"}
    assert set(chosen(HIPPOCAMPUS).reasons) <= set(rules())


def test_configuration_is_plain_data():
    found = chosen(HIPPOCAMPUS)

    assert read(Configuration, json.loads(json.dumps(asdict(found)))) == found


def test_thick_slices_are_brought_to_their_tenth_percentile():
    thick = facts((20, 320, 320), (5.0, 0.6, 0.7), spacing_percentile_10_mm=(3.0, 0.5, 0.5))

    found = chosen(thick, minutes=1e6, memory_mb=1e5)

    assert found.spacing_mm[0] == 3.0
    assert found.image_order == 1


def test_slices_are_not_made_finer_than_the_pixels():
    finer_mm = (0.3, 0.5, 0.5)
    thick = facts(
        (20, 320, 320), (5.0, 0.6, 0.7), spacing_percentile_10_mm=finer_mm, thickness_mm=0.5
    )

    assert chosen(thick).spacing_mm == (0.7, 0.6, 0.7)


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "expected"),
    [
        pytest.param((20, 80, 80), (3.0, 1.0, 1.0), 3.0, id="three times is not thick"),
        pytest.param((20, 80, 80), (3.1, 1.0, 1.0), 2.0, id="more than three times is"),
        pytest.param((27, 80, 80), (3.1, 1.0, 1.0), 3.1, id="unless slices are many"),
    ],
)
def test_thick_slices(shape, spacing_mm, expected):
    found = facts(shape, spacing_mm, spacing_percentile_10_mm=(2.0, 1.0, 1.0))

    assert chosen(found, minutes=1e6, memory_mb=1e5).spacing_mm[0] == expected


def test_large_images_are_seen_coarser():
    large = facts((300, 400, 400), (1.0, 1.0, 1.0), thickness_mm=100.0)

    found = chosen(large)

    shape = [round(size / mm) for size, mm in zip((300, 400, 400), found.spacing_mm, strict=True)]
    assert np.prod(found.patch) >= 0.2 * np.prod(shape)
    assert "in place of" in found.reasons["coarsening"]


@pytest.mark.parametrize(("shape", "least"), [((300, 400, 400), 1.5), ((1, 3000, 3000), 4.0)])
def test_thin_classes_keep_images_fine(shape, least):
    thin = facts(shape, (1.0, 1.0, 1.0), thickness_mm=1.8 * least)

    found = chosen(thin)

    assert 1.7 < found.spacing_mm[2] <= 1.8
    assert found.spacing_mm[1] == found.spacing_mm[2]


@pytest.mark.parametrize(
    ("thickness_mm", "share"), [(2.47, 0.618), (1.0, 0.5), (4.0, 1.0), (3.9, 0.975)]
)
def test_thin_classes_of_pictures_are_seen_finer(thickness_mm, share):
    """The median vessel of DRIVE is 2.47 pixels thick."""
    thin = facts((1, 584, 565), thickness_mm=thickness_mm)

    found = chosen(thin, pretrained=True)

    assert found.spacing_mm[1:] == pytest.approx((share, share), abs=6e-4)
    assert ("thin" in found.reasons) == (share < 1)
    assert chosen(thin).spacing_mm[1:] == (1.0, 1.0)


def test_finer_axes_are_coarsened_first():
    large = facts((60, 512, 512), (5.0, 0.8, 0.8), thickness_mm=100.0)

    found = chosen(large, minutes=60)

    slices_mm, rows_mm, columns_mm = found.spacing_mm
    assert rows_mm == columns_mm
    assert slices_mm / 5.0 < 1.3 < rows_mm / 0.8


def test_few_slices_are_seen_one_by_one():
    assert chosen(facts((3, 128, 128), axes=3)).patch[0] == 1
    assert chosen(facts((3, 128, 128), axes=3)).axes == 2
    assert chosen(facts((4, 128, 128), axes=3)).axes == 3


def test_ct_is_clipped_by_the_labelled_voxels():
    (scaling,) = chosen(facts((40, 60, 60), modality="CT")).scaling

    assert (scaling.scheme, scaling.low, scaling.high) == ("ct", 20.0, 240.0)
    assert (scaling.mean, scaling.deviation) == (120.0, 30.0)


@pytest.mark.parametrize(
    ("others", "scheme"),
    [
        pytest.param({"modality": "MR"}, "z-score", id="MR"),
        pytest.param({"modality": "MR", "cropped_share": 0.74}, "z-score-inside", id="cropped"),
        pytest.param({"modality": "MR", "cropped_share": 0.75}, "z-score", id="three quarters"),
        pytest.param({"channel": replace(GREY, least=-1024.0)}, "ct", id="air without modality"),
        pytest.param(
            {"modality": "MR", "channel": replace(GREY, least=-1024.0)}, "z-score", id="MR below 0"
        ),
    ],
)
def test_scheme_of_volumes(others, scheme):
    assert chosen(facts((40, 60, 60), **others)).scaling[0].scheme == scheme


@pytest.mark.parametrize(
    ("low_hu", "high_hu", "windows"), [(-1000.0, 200.0, 2), (-600.0, 200.0, 1), (-160.0, 240.0, 1)]
)
def test_ct_that_spans_air_and_tissue_is_seen_through_a_window_of_soft_tissue_too(
    low_hu, high_hu, windows
):
    channel = replace(GREY, low=low_hu, high=high_hu, least=-1024.0)
    found = chosen(facts((60, 128, 128), modality="CT", channel=channel))

    assert len(found.scaling) == found.settings["channels"] == windows
    assert (found.scaling[0].low, found.scaling[0].high) == (low_hu, high_hu)
    if windows == 2:
        # The usual window of soft tissue: level 40, width 400 HU.
        assert (found.scaling[1].low, found.scaling[1].high) == (-160.0, 240.0)
        values = np.full((1, 1, 1, 1), 120.0, np.float32)
        assert scaled(values, found.scaling)[1, 0, 0, 0] == pytest.approx(1.0)


def test_filters_levels_and_share_on_labels_may_be_given():
    found = chosen(facts((100, 128, 128)), filters=16, levels=3, label_share=0.7)

    assert found.settings["widths"] == [16, 32, 64]
    assert found.foreground_share == 0.7


def test_pictures_are_scaled_by_the_training_pictures():
    (scaling,) = chosen(facts((1, 256, 256))).scaling

    assert (scaling.scheme, scaling.high) == ("range", 255.0)
    assert scaling.mean == pytest.approx(0.4)
    assert scaling.deviation == pytest.approx(0.2)


def test_pictures_with_weights_are_scaled_by_imagenet():
    colour = facts((1, 256, 256), channels=(GREY,) * 3)

    found = chosen(colour, pretrained=True)

    assert [one.mean for one in found.scaling] == [0.485, 0.456, 0.406]
    assert [one.deviation for one in found.scaling] == [0.229, 0.224, 0.225]
    assert found.network == "mobile-unet"
    assert [size % 32 for size in found.patch[1:]] == [0, 0]
    assert chosen(facts((1, 256, 256)), pretrained=True).scaling[0].mean == pytest.approx(0.449)


@pytest.mark.parametrize("change", [{"greatest": 4095.0}, {"image_spread": 1.1}, {"least": -3.0}])
def test_pictures_of_unlike_brightness_are_scaled_each_by_itself(change):
    assert chosen(facts((1, 256, 256), channel=replace(GREY, **change))).scaling[0].scheme == (
        "z-score"
    )


def test_objects_are_drawn_by_two_outputs():
    assert chosen(facts((1, 256, 256)), task="instances").settings["classes"] == 2


def test_volumes_do_not_take_weights_of_pictures():
    assert chosen(HIPPOCAMPUS, pretrained=True).network == "unet"


def test_time_decides_the_steps():
    short, long = chosen(HIPPOCAMPUS, minutes=10), chosen(HIPPOCAMPUS, minutes=20)

    assert long.patch == short.patch
    assert (long.settings["widths"][0], long.steps) > (short.settings["widths"][0], short.steps)
    assert chosen(HIPPOCAMPUS, steps=123).steps == 123


def test_less_memory_makes_a_smaller_plan_that_says_so():
    large = facts((200, 200, 200), thickness_mm=1.0)
    plenty, little = (chosen(large, minutes=600, memory_mb=mb) for mb in (8000, 1000))

    assert np.prod(little.patch) < np.prod(plenty.patch)
    assert "memory allows no more" in little.reasons["patch"]
    assert "memory" not in plenty.reasons["patch"]


def test_too_little_memory_is_refused_with_what_is_needed():
    with pytest.raises(InputError, match=r"needs (\d+) MB .* 256 MB are given") as error:
        chosen(HIPPOCAMPUS, memory_mb=256)

    enough = int(str(error.value).split("outline.memory_mb to at least ")[1].split(",")[0])
    assert chosen(HIPPOCAMPUS, memory_mb=enough).memory_mb <= enough
    with pytest.raises(InputError):
        chosen(HIPPOCAMPUS, memory_mb=enough - 1)


def test_small_images_are_padded_and_it_is_said():
    found = chosen(facts((36, 50, 35), least_shape=(20, 30, 20)))

    assert "smaller ones are padded" in found.reasons["patch"]


@pytest.mark.parametrize("shape", [(1, 6, 5), (4, 5, 6)])
def test_tiny_images_are_padded_until_a_network_can_halve_them(shape):
    found = chosen(facts(shape))

    assert found.patch[1:] == (8, 8)
    assert len(found.settings["widths"]) == 2


def test_batch_holds_at_most_a_twentieth_of_the_voxels():
    few = facts((36, 50, 35), images=30)

    found = chosen(few, minutes=600, memory_mb=16000)

    assert found.batch == 2
    assert chosen(replace(few, images=3000), minutes=600, memory_mb=16000).batch == 8


def test_other_tasks_are_refused():
    with pytest.raises(OptionError, match="classify"):
        chosen(HIPPOCAMPUS, task="classify")


@settings(max_examples=8, deadline=None)
@given(
    shape=st.tuples(st.sampled_from([1, 5, 30, 200]), *[st.integers(20, 600)] * 2),
    slices_mm=st.sampled_from([0.5, 1.0, 5.0]),
    memory_mb=st.sampled_from([1000.0, 2000.0]),
    thickness_mm=st.sampled_from([1.0, 20.0]),
)
def test_plans_fit_memory_and_strides(shape, slices_mm, memory_mb, thickness_mm):
    found = chosen(
        facts(shape, (slices_mm, 1.0, 1.0), thickness_mm=thickness_mm), memory_mb=memory_mb
    )

    assert found.memory_mb <= memory_mb
    assert found.batch >= 2
    assert found.steps >= 1
    steps = np.prod(found.settings["strides"], axis=0)
    assert not np.any(np.array(found.patch[-found.axes :]) % steps)
    assert found.deep_supervision <= len(found.settings["widths"]) - 2 or not found.deep_supervision


def test_a_training_stays_within_its_memory():
    """Fingerprint, preparation and three steps in a process of their own."""
    script = Path(__file__).with_name("within_memory.py")
    paths = [str(Path(__file__).parents[3] / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}

    result = subprocess.run(
        [sys.executable, str(script), "3", "1000"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    found = json.loads(result.stdout.splitlines()[-1])

    assert found["measured_mb"] < found["expected_mb"] <= 1000
    assert found["measured_mb"] > 0.6 * found["expected_mb"]
