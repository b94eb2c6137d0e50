import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.dense.fingerprint import fingerprint
from aegle.learning.samples import Sample, SampleSet


def quiet(done, total):
    """Tell nobody."""


def look(samples, **facts):
    return fingerprint(samples, modality="", progress=quiet, **facts)


def random_volume(seed, shape=(6, 10, 8), channels=1):
    return np.random.default_rng(seed).normal(100, 20, (channels, *shape)).astype(np.float32)


def placed_set(cases, *, classes=("first", "second"), is_picture=False):
    """Return a set of (values, labels, spacing) by name."""

    def place(sample):
        values, _, spacing_mm = cases[sample.name]
        grid = Grid(shape=values.shape[1:], spacing_mm=spacing_mm)
        return PlacedImage(values=values, grid=grid, is_picture=is_picture)

    return SampleSet(
        classes=classes,
        samples=tuple(Sample(name=name) for name in cases),
        load=lambda sample: cases[sample.name][0],
        content=lambda sample: b"",
        source="made",
        place=place,
        annotate=lambda sample: Annotation(labels=cases[sample.name][1]),
    )


def test_values_are_those_of_labelled_voxels(outlined_set):
    images = {str(n): random_volume(n) for n in range(3)}
    labels = {name: (values[0] > 110).astype(np.int32) for name, values in images.items()}

    (channel,) = look(outlined_set(images, labels)).channels

    inside = np.concatenate([images[name][0][labels[name] > 0] for name in images])
    everything = np.stack(list(images.values()))
    assert channel.mean == pytest.approx(inside.mean(dtype=float))
    assert channel.deviation == pytest.approx(inside.std(dtype=float))
    assert channel.low == pytest.approx(np.percentile(inside, 0.5), rel=1e-5)
    assert channel.high == pytest.approx(np.percentile(inside, 99.5), rel=1e-5)
    assert (channel.least, channel.greatest) == (everything.min(), everything.max())
    assert channel.image_mean == pytest.approx(everything.mean(dtype=float))
    assert channel.image_deviation == pytest.approx(everything.std(dtype=float))


def test_classes_are_counted_by_voxels_and_images(outlined_set):
    images = {str(n): random_volume(n) for n in range(2)}
    labels = {name: np.zeros((6, 10, 8), np.int32) for name in images}
    labels["0"][1, 2, :3] = 1
    labels["1"][4, 5, :2] = 2
    labels["0"][0, 0, 0] = 2
    labels["0"][0] = np.where(labels["0"][0] == 0, -1, labels["0"][0])

    found = look(outlined_set(images, labels))

    assert found.class_voxels == {"first": 3, "second": 3}
    assert found.class_images == {"first": 1, "second": 2}


def test_shapes_are_those_of_what_is_not_zero(outlined_set):
    values = np.zeros((1, 10, 20, 30), np.float32)
    values[:, 2:9, 5:15, 12:30] = 7
    labels = (values[0] > 0).astype(np.int32)

    found = look(outlined_set({"0": values}, {"0": labels}))

    assert found.median_shape == (7, 10, 18)
    assert found.cropped_share == pytest.approx(7 * 10 * 18 / 6000)
    assert found.channels[0].zero_share == pytest.approx(1 - 7 * 10 * 18 / 6000)


def test_spacing_is_the_median_and_the_tenth_percentile_of_each_axis():
    labels = np.ones((4, 5, 6), np.int32)
    slices_mm = np.arange(1.0, 12.0)
    cases = {
        str(mm): (random_volume(0, (4, 5, 6)), labels, (float(mm), 0.5, 0.7)) for mm in slices_mm
    }

    found = look(placed_set(cases))

    assert found.median_spacing_mm == pytest.approx((6.0, 0.5, 0.7))
    assert found.spacing_percentile_10_mm == pytest.approx((2.0, 0.5, 0.7))


@pytest.mark.parametrize("axis", [0, 1, 2])
@given(width=st.integers(1, 6))
def test_thickness_of_a_band_is_its_width(axis, width):
    spacing_mm = (2.0, 0.5, 3.0)
    labels = np.zeros((8, 20, 9), np.int32)
    np.moveaxis(labels, axis, 0)[1 : 1 + width] = 1

    found = look(placed_set({"0": (random_volume(0, labels.shape), labels, spacing_mm)}))

    assert found.class_thickness_mm == pytest.approx({"first": width * spacing_mm[axis]})


def test_thickness_of_a_cube_is_a_third_of_its_side():
    labels = np.zeros((12, 12, 12), np.int32)
    labels[3:9, 3:9, 3:9] = 2

    found = look(placed_set({"0": (random_volume(0, labels.shape), labels, (1.0, 1.0, 1.0))}))

    assert found.class_thickness_mm == pytest.approx({"second": 2.0})


def test_touching_objects_are_as_thick_as_each_of_them():
    labels = np.zeros((1, 12, 30), np.int32)
    labels[:, :, 4:8], labels[:, :, 8:12] = 500, 7
    values = random_volume(0, labels.shape)
    pictures = placed_set(
        {"0": (values, labels, (1.0, 1.0, 1.0))}, classes=("cell",), is_picture=True
    )

    found = look(pictures, objects=True)

    assert found.class_thickness_mm == pytest.approx({"cell": 4.0})
    assert found.object_area == 48
    assert found.class_voxels == {"cell": 96}


def test_one_grey_picture_among_coloured_ones_stands_for_all_channels():
    labels = np.ones((1, 8, 8), np.int32)
    grey, coloured = random_volume(0, (1, 8, 8)), random_volume(1, (1, 8, 8), channels=3)
    cases = {name: (v, labels, (1.0, 1.0, 1.0)) for name, v in (("g", grey), ("c", coloured))}

    found = look(placed_set(cases, is_picture=True))

    assert len(found.channels) == 3
    assert found.channels[2].mean == pytest.approx((grey.mean() + coloured[2].mean()) / 2, rel=1e-5)


def test_all_offenders_are_counted_and_five_named(outlined_set):
    images = {f"case{n}": random_volume(n) for n in range(9)}
    labels = {name: np.ones((6, 10, 8), np.int32) for name in images}
    for name in list(images)[:7]:
        labels[name] = np.full((6, 10, 8), 7, np.int32)

    with pytest.raises(InputError, match=r"7 of 9 images .* and 2 more") as error:
        look(outlined_set(images, labels))

    assert "label 7" in str(error.value)
    assert "case4" in str(error.value)
    assert "case5" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((6, 10, 8), np.int32), "nothing is drawn"),
        (np.ones((6, 10, 9), np.int32), "6 x 10 x 9 voxels, the image 6 x 10 x 8"),
        (np.full((6, 10, 8), -2, np.int32), "label -2"),
    ],
)
def test_masks_that_do_not_fit_are_refused(outlined_set, labels, said):
    with pytest.raises(InputError, match=said):
        look(outlined_set({"0": random_volume(0)}, {"0": labels}))


def test_images_with_a_fourth_axis_are_refused(outlined_set):
    values = random_volume(0)[None]
    cases = {"0": (random_volume(0), np.ones((6, 10, 8), np.int32), (1.0, 1.0, 1.0))}
    samples = placed_set(cases)
    grid = Grid(shape=(6, 10, 8), spacing_mm=(1.0, 1.0, 1.0))
    image = PlacedImage(values=values, grid=grid, is_picture=False)
    wrong = SampleSet(
        classes=samples.classes,
        samples=samples.samples,
        load=samples.load,
        content=samples.content,
        place=lambda sample: image,
        annotate=samples.annotate,
    )

    with pytest.raises(InputError, match="4 axes"):
        look(wrong)


def test_values_that_are_no_numbers_are_refused(outlined_set):
    values = random_volume(0)
    values[0, 1, 1, 1] = np.nan

    with pytest.raises(InputError, match="no finite numbers"):
        look(outlined_set({"0": values}, {"0": np.ones((6, 10, 8), np.int32)}))


def test_pictures_and_volumes_are_not_mixed(outlined_set):
    images = {"flat": random_volume(0, (1, 10, 8)), "deep": random_volume(1)}
    labels = {name: np.ones(values.shape[1:], np.int32) for name, values in images.items()}

    with pytest.raises(InputError, match="1 pictures and 1 volumes"):
        look(outlined_set(images, labels))


def test_progress_is_told_of_each_image(outlined_set):
    images = {str(n): random_volume(n) for n in range(3)}
    labels = {name: np.ones((6, 10, 8), np.int32) for name in images}
    told = []

    fingerprint(
        outlined_set(images, labels), modality="MR", progress=lambda *done: told.append(done)
    )

    assert told == [(1, 3), (2, 3), (3, 3)]
