"""Changes of images for a shortcut audit."""

import numpy as np
import pytest

from aegle.evaluation.probes import (
    PROBES,
    border_masked,
    border_only,
    centre_only,
    coarse,
    corners_masked,
    corners_only,
    darker,
    equalised,
    text_masked,
)


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return generator.integers(1, 255, (3, 1, 50, 100), dtype=np.uint8)


@pytest.mark.parametrize("name", sorted(PROBES))
@pytest.mark.parametrize(
    "shape", [(2, 1, 64, 64), (2, 3, 40, 56), (2, 1, 6, 32, 32)], ids=["grey", "colour", "volume"]
)
def test_every_change_keeps_shape_and_kind_and_leaves_its_input(name, shape):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = values.copy()

    changed = PROBES[name].change(values)

    assert (changed.shape, changed.dtype) == (shape, np.uint8)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("name", sorted(PROBES))
def test_every_image_is_changed_for_itself(name, images):
    together = PROBES[name].change(images)

    alone = np.concatenate([PROBES[name].change(images[i : i + 1]) for i in range(3)])

    np.testing.assert_array_equal(together, alone)


def test_the_border_is_the_outer_12_percent_of_height_and_width(images):
    kept = border_masked(images) == images
    shown = border_only(images) == images

    assert kept[:, :, 6:44, 12:88].all()
    assert shown[:, :, :6].all()
    assert shown[:, :, :, :12].all()
    # Chance leaves one pixel in 255 alike.
    assert kept[:, :, :6].mean() < 0.05
    assert kept[:, :, :, 88:].mean() < 0.05
    assert shown[:, :, 6:44, 12:88].mean() < 0.05


def test_the_centre_is_the_middle_60_percent(images):
    kept = centre_only(images) == images

    assert kept[:, :, 10:40, 20:80].all()
    assert kept[:, :, :10].mean() < 0.05
    assert kept[:, :, :, 80:].mean() < 0.05


def test_corners_are_boxes_of_22_percent(images):
    kept = corners_masked(images) == images
    shown = corners_only(images) == images

    boxes = np.zeros((50, 100), bool)
    for rows in (slice(0, 11), slice(39, 50)):
        for columns in (slice(0, 22), slice(78, 100)):
            boxes[rows, columns] = True
    assert kept[..., ~boxes].all()
    assert shown[..., boxes].all()
    assert kept[..., boxes].mean() < 0.05
    assert shown[..., ~boxes].mean() < 0.05


@pytest.mark.parametrize("change", [border_only, corners_only])
def test_what_is_left_tells_nothing_of_what_is_covered(change, images):
    other = images.copy()
    other[:, :, 15:35, 30:70] = 255

    np.testing.assert_array_equal(change(images), change(other))


def test_burned_in_text_goes_and_wide_bright_anatomy_stays():
    image = np.full((1, 1, 112, 112), 40, np.uint8)
    image[..., 60:100, 20:80] = 230
    text = image.copy()
    text[..., 10:18, 10] = 255
    text[..., 10, 10:16] = 255
    text[..., 13:15, 90:100] = 255

    cleaned = text_masked(text)

    np.testing.assert_array_equal(cleaned[..., :40, :], 40)
    np.testing.assert_array_equal(cleaned[..., 62:98, 22:78], 230)


def test_coarse_images_hold_the_means_of_16_by_16_boxes():
    values = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 32), dtype=np.uint8)

    found = coarse(values)

    boxes = values.reshape(16, 4, 16, 2).mean(axis=(1, 3)).round()
    np.testing.assert_array_equal(found[0, 0, ::4, ::2], boxes)
    np.testing.assert_array_equal(found[0, 0, 3::4, 1::2], boxes)


def test_equalised_images_have_a_flat_histogram_and_the_same_order():
    values = np.random.default_rng(0).normal(120, 30, (1, 1, 64, 64)).clip(0, 255).astype(np.uint8)

    found = equalised(values)

    quarters = np.quantile(found, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quarters, [0, 63.75, 127.5, 191.25, 255], atol=3)
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(found.ravel()[order].astype(int)) >= 0).all()


def test_an_even_image_can_be_changed():
    values = np.full((1, 1, 32, 32), 7, np.uint8)

    for probe in PROBES.values():
        assert np.unique(probe.change(values)).size == 1


def test_darker_images_keep_black_and_white():
    values = np.array([[[[0, 64, 128, 255]]]], np.uint8)

    np.testing.assert_array_equal(darker(values), [[[[0, 28, 85, 255]]]])
