"""Patches are changed, image and labels alike."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform, map_coordinates

from aegle.learning.dense.augment_options import DenseAugmentOptions
from aegle.learning.dense.augmentation import (
    Change,
    DenseAugmentation,
    changed,
    dense_augment,
)
from aegle.learning.dense.intensity import Shading

ONE_MM = (1.0, 1.0, 1.0)


def only(**chosen):
    """Return options that change nothing but what is chosen."""
    shares = {f.name: 0.0 for f in fields(DenseAugmentOptions) if f.name.endswith("share")}
    return DenseAugmentOptions(**(shares | chosen))


def draw(options, patch, seed=0, axes=3, spacing_mm=ONE_MM, mirrors=()):
    own = DenseAugmentation(options=options, axes=axes, spacing_mm=spacing_mm, mirrors=mirrors)
    return own.draw(patch, np.random.default_rng(seed))


def change(patch, linear=None, mirror=(), bend=None, shading=None):
    matrix = None if linear is None else np.array(linear, float)
    return Change(
        patch=patch, linear=matrix, mirror=mirror, bend=bend, shading=shading or Shading()
    )


def window_of(made, values, labels):
    """Return the window around the middle of an image that a change needs, and its centre."""
    middle = (np.array(labels.shape) - 1) / 2
    first = np.floor(middle - made.reach).astype(int)
    last = np.ceil(middle + made.reach).astype(int)
    assert (first >= 0).all()
    inside = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    return values[(slice(None), *inside)], labels[inside], tuple(middle - first)


def corner(shape):
    """Return an image with a mark that no turn and no mirror leaves in place."""
    values = np.zeros((1, *shape), np.float32)
    s, r, c = (size // 2 for size in shape)
    values[0, s : s + 2, r - 4 : r + 1, c + 1 : c + 4] = 1
    return values, (values[0] > 0).astype(np.int16)


def expected(made, values, order):
    """Return what SciPy makes of the middle of an image."""
    middle = (np.array(values.shape) - 1) / 2
    half = (np.array(made.patch) - 1) / 2
    linear = np.eye(3) if made.linear is None else made.linear
    result = affine_transform(
        values,
        linear,
        offset=middle - linear @ half,
        output_shape=made.patch,
        order=order,
        mode="nearest",
    )
    return np.flip(result, made.mirror) if made.mirror else result


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_values_are_moved_as_scipy_moves_them_and_labels_with_them(seed):
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((1, 40, 42, 44)).astype(np.float32)
    labels = (generator.random((40, 42, 44)) < 0.5).astype(np.int16)
    options = only(rotation_share=1, rotation_deg=40, scale_share=1)
    made = draw(options, (10, 13, 12), seed, spacing_mm=(1.5, 0.75, 1.0), mirrors=(0, 1))

    image, moved = changed(*window_of(made, values, labels), made, 1)

    np.testing.assert_allclose(image[0], expected(made, values[0], 1), atol=2e-4)
    # Where two voxels are equally near, rounding decides.
    assert np.mean(moved != expected(made, labels, 0)) < 0.002


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("axes", [2, 3])
def test_every_geometric_change_keeps_labels_on_the_image(seed, axes):
    patch = (1, 24, 20) if axes == 2 else (16, 24, 20)
    shape = (1, 64, 64) if axes == 2 else (50, 64, 64)
    rough = np.random.default_rng(seed).random(shape) > 0.6
    labels = rough.repeat(1, axis=0).astype(np.int16)
    options = only(
        rotation_share=1,
        scale_share=1,
        elastic_share=1,
        elastic=0.02,
    )
    made = draw(options, patch, seed, axes=axes, mirrors=(0, 1, 2))

    image, moved = changed(*window_of(made, labels[None].astype(np.float32), labels), made, 1)

    assert image.shape == (1, *patch)
    # Linear shares are above one half where the nearest voxel is labelled, but for mixed corners.
    assert np.mean((image[0] > 0.5) == (moved > 0)) > 0.8
    is_clear = (image[0] < 0.1) | (image[0] > 0.9)
    assert is_clear.mean() > 0.1
    assert ((image[0] > 0.5) == (moved > 0))[is_clear].all()


def test_a_turn_in_mm_keeps_lengths_between_thick_slices():
    spacing_mm = (2.0, 1.0, 1.0)
    made = draw(only(rotation_share=1, rotation_deg=90), (9, 9, 9), 3, spacing_mm=spacing_mm)
    in_mm = np.array(spacing_mm)[:, None] * made.linear / np.array(spacing_mm)

    np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-12)
    assert abs(in_mm[0, 0]) < 0.999
    assert np.linalg.det(in_mm) == pytest.approx(1)


@pytest.mark.parametrize(
    ("axes", "spacing_mm"), [(2, (1.0, 1.0, 1.0)), (3, (5.0, 1.0, 1.0))], ids=["picture", "thick"]
)
def test_pictures_and_thick_slices_are_turned_within_their_plane(axes, spacing_mm):
    made = draw(only(rotation_share=1), (1, 9, 9), axes=axes, spacing_mm=spacing_mm)

    assert made.linear[0].tolist() == [1, 0, 0]
    assert made.linear[:, 0].tolist() == [1, 0, 0]
    assert abs(made.linear[1, 2]) > 0.01


def test_rotations_reach_the_angle_given_and_no_further():
    angles = [
        np.rad2deg(np.arcsin(draw(only(rotation_share=1), (1, 9, 9), s, axes=2).linear[1, 2]))
        for s in range(200)
    ]

    assert 18 < max(angles) <= 20
    assert -18 > min(angles) >= -20


def test_a_larger_size_shows_less_of_the_image():
    factors = [draw(only(scale_share=1, scale=0.25), (9, 9, 9), s).linear for s in range(200)]
    sizes = np.array([1 / linear[0, 0] for linear in factors])

    assert all(np.allclose(linear, linear[0, 0] * np.eye(3)) for linear in factors)
    assert 0.75 <= sizes.min() < 0.77
    assert 1.23 < sizes.max() <= 1.25


@pytest.mark.parametrize("axis", range(3))
def test_mirrors_turn_one_axis_of_image_and_labels(axis):
    values, labels = corner((14, 14, 14))

    image, moved = changed(values, labels, (6.5,) * 3, change((14,) * 3, mirror=(axis,)), 1)

    assert np.array_equal(image[0], np.flip(values[0], axis))
    assert np.array_equal(moved, np.flip(labels, axis))
    assert not np.array_equal(moved, labels)


def test_half_of_the_patches_are_mirrored_along_each_wanted_axis():
    drawn = [draw(only(), (4, 4, 4), seed, mirrors=(1, 2)).mirror for seed in range(400)]

    shares = [np.mean([axis in mirror for mirror in drawn]) for axis in range(3)]
    assert shares[0] == 0
    # Four standard deviations of 400 tosses.
    assert shares[1:] == pytest.approx([0.5, 0.5], abs=0.1)


def test_slices_of_pictures_are_never_mirrored():
    drawn = [draw(only(), (1, 4, 4), s, axes=2, mirrors=(0, 1, 2)).mirror for s in range(20)]

    assert any(1 in mirror for mirror in drawn)
    assert not any(0 in mirror for mirror in drawn)


@pytest.mark.parametrize(
    ("wanted", "axes", "used_with_mirrors", "expected"),
    [
        ({}, 2, False, (0, 1, 2)),
        ({}, 3, False, ()),
        ({}, 3, True, (0, 1, 2)),
        ({"mirror_columns": True}, 3, False, (2,)),
        ({"mirror_rows": False}, 2, False, (0, 2)),
    ],
)
def test_bodies_are_mirrored_only_if_wanted(configured, wanted, axes, used_with_mirrors, expected):
    configuration = configured(axes, (1, 4, 4), mirrors=used_with_mirrors, spacing_mm=(3, 2, 1))

    made = dense_augment(DenseAugmentOptions(**wanted), configuration)

    assert made.mirrors == expected
    assert (made.axes, made.spacing_mm) == (axes, (3, 2, 1))


def test_bending_moves_by_the_offsets_between_its_knots():
    values = np.random.default_rng(0).standard_normal((1, 1, 40, 40)).astype(np.float32)
    bend = np.zeros((3, 1, 2, 2), np.float32)
    bend[1] = 1.5
    bend[2, 0, 0] = -2
    made = change((1, 11, 11), bend=bend)

    window, labels, centre = window_of(made, values, np.zeros((1, 40, 40), np.int16))
    image, _ = changed(window, labels, centre, made, 1)

    rows, columns = np.mgrid[:11, :11] + 14.5
    across = np.linspace(-2, 0, 11)[:, None]
    wanted = map_coordinates(values[0, 0], [rows + 1.5, columns + across], order=1)
    np.testing.assert_allclose(image[0, 0], wanted, atol=1e-4)


def test_bending_has_the_deviation_given():
    bends = [draw(only(elastic_share=1), (10, 20, 40), seed).bend for seed in range(30)]

    deviations = np.std(bends, axis=(0, 2, 3, 4))
    np.testing.assert_allclose(deviations, [0.3, 0.6, 1.2], rtol=0.05)


def test_further_channels_are_moved_but_keep_their_values():
    values = np.random.default_rng(0).random((2, 1, 9, 9)).astype(np.float32)
    labels = np.zeros((1, 9, 9), np.int16)
    made = change((1, 9, 9), mirror=(2,), shading=Shading(brightness=5.0))

    image, _ = changed(values, labels, (0, 4, 4), made, 1)

    np.testing.assert_allclose(image[0], np.flip(values[0], 2) + 5, rtol=1e-6)
    assert np.array_equal(image[1], np.flip(values[1], 2))


def test_what_is_given_is_not_changed():
    values, labels = corner((14, 14, 14))
    before = values.copy()

    changed(values, labels, (6.5,) * 3, change((14,) * 3, shading=Shading(brightness=5.0)), 1)

    assert np.array_equal(values, before)


def test_setting_one_kind_of_change_does_not_alter_the_others():
    one = draw(DenseAugmentOptions(), (8, 8, 8), 5, mirrors=(0, 1, 2))
    other = draw(
        DenseAugmentOptions(rotation_share=1, elastic_share=1, noise_share=1),
        (8, 8, 8),
        5,
        mirrors=(0, 1, 2),
    )

    assert one.mirror == other.mirror
    assert one.shading.gamma == other.shading.gamma
    assert one.shading.noise_seed == other.shading.noise_seed
