"""Random patches of prepared images."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from aegle.learning.batches import parts_of
from aegle.learning.dense.augment_options import DenseAugmentOptions
from aegle.learning.dense.augmentation import dense_augment
from aegle.learning.dense.distances import object_targets
from aegle.learning.dense.patches import PatchSource


def source(data, **settings):
    defaults = {
        "data": data,
        "device": torch.device("cpu"),
        "layout": torch.contiguous_format,
        "seed": 1,
    }
    return PatchSource(**(defaults | settings))


def augmentation(data, **options):
    return dense_augment(DenseAugmentOptions(**options), data.configuration)


def whole(images, *, epoch=1, update=0):
    return parts_of(len(images), epoch=epoch, update=update, parts=1)[0]


def told_apart(shape):
    """Return an image of which every voxel has its own value, exact in half precision."""
    assert np.prod(shape) <= 2048
    return np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)


def rough(shape, seed=0, channels=1):
    return np.random.default_rng(seed).standard_normal((channels, *shape)).astype(np.float32)


@pytest.fixture
def volumes(dense):
    """Return three volumes of different sizes, labelled where they are above 0."""
    shapes = {"a": (14, 20, 18), "b": (12, 9, 30), "c": (16, 16, 16)}
    images = {name: rough(shape, i) for i, (name, shape) in enumerate(shapes.items())}
    labels = {name: (image[0] > 0) + (image[0] > 1) for name, image in images.items()}
    return dense(images, labels, (8, 12, 10))


@pytest.fixture
def pictures(dense):
    """Return two pictures of three channels, with a class that is rare."""
    images = {name: rough((1, 40, 50), i, 3) for i, name in enumerate("ab")}
    labels = {name: np.zeros((1, 40, 50), int) for name in "ab"}
    labels["a"][0, 5:8, 6:9], labels["a"][0, 20:40, 20:50] = 1, 2
    return dense(images, labels, (1, 16, 12))


def test_patches_of_volumes_have_channels_slices_rows_and_columns(volumes):
    images = np.array([0, 1, 2])

    for batch in (source(volumes).still(images), source(volumes).changed(images, whole(images))):
        assert batch.images.shape == (3, 1, 8, 12, 10)
        assert batch.images.dtype == torch.float32
        assert batch.labels.shape == (3, 8, 12, 10)
        assert not batch.labels.is_floating_point()


def test_patches_of_pictures_have_no_slices(pictures):
    batch = source(pictures, layout=torch.channels_last).still(np.array([0, 1]))

    assert batch.images.shape == (2, 3, 16, 12)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.shape == (2, 16, 12)


def test_without_augmentation_a_patch_is_a_part_of_its_image(dense):
    image = told_apart((8, 15, 16))
    labels = (image[0] % 3).astype(int)
    data = dense({"a": image}, {"a": labels}, (4, 6, 5))
    views = sliding_window_view(image[0], (4, 6, 5)).reshape(-1, 4, 6, 5)
    starts = set()

    for update in range(20):
        batch = source(data).changed(np.array([0]), whole([0], update=update))
        patch = batch.images[0, 0].numpy()
        assert (views == patch).all(axis=(1, 2, 3)).sum() == 1
        assert np.array_equal(batch.labels[0], patch % 3)
        starts.add(int(patch[0, 0, 0]))

    assert len(starts) > 15


def test_patches_reach_both_ends_of_an_image(dense):
    image = told_apart((1, 1, 20))
    data = dense({"a": image}, {"a": np.zeros((1, 1, 20), int)}, (1, 1, 17), foreground_share=0.0)

    firsts = {
        int(source(data).changed(np.array([0]), whole([0], update=u)).images[0, 0, 0, 0])
        for u in range(60)
    }

    assert firsts == {0, 1, 2, 3}


def test_a_part_shows_what_the_whole_update_shows(volumes):
    own = source(volumes, augment=augmentation(volumes, rotation_share=1))
    images = np.array([0, 1, 2, 0, 2])
    everything = own.changed(images, whole(images))

    parts = [own.changed(images, part) for part in parts_of(5, epoch=1, update=0, parts=3)]

    assert torch.equal(torch.cat([part.images for part in parts]), everything.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), everything.labels)


def test_patches_follow_seed_epoch_update_and_position(volumes):
    images = np.array([0, 0])

    def shown(seed=1, epoch=1, update=0):
        own = source(volumes, augment=augmentation(volumes), seed=seed)
        return own.changed(images, whole(images, epoch=epoch, update=update)).images

    first = shown()
    assert torch.equal(first, shown())
    assert not torch.equal(first[0], first[1])
    for other in (shown(seed=2), shown(epoch=2), shown(update=1)):
        assert not torch.equal(first, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_patches_do_not_depend_on_the_number_of_threads(dense, threads):
    image = rough((1, 300, 300))
    data = dense({"a": image}, {"a": image[0] > 0}, (1, 256, 256))
    options = dict.fromkeys(("rotation_share", "noise_share", "blur_share"), 1.0)
    options |= dict.fromkeys(("contrast_share", "gamma_share", "coarse_share"), 1.0)
    own = source(data, augment=augmentation(data, elastic_share=1.0, **options))
    before = torch.get_num_threads()

    try:
        torch.set_num_threads(1)
        expected = own.changed(np.array([0]), whole([0])).images
        torch.set_num_threads(threads)
        assert torch.equal(own.changed(np.array([0]), whole([0])).images, expected)
    finally:
        torch.set_num_threads(before)


def test_validation_shows_the_same_patch_for_every_seed(volumes):
    images = np.array([2, 0])
    own = source(volumes, augment=augmentation(volumes), seed=3)

    first, other = own.still(images), source(volumes, seed=4).still(images[::-1].copy())

    assert torch.equal(first.images, other.images.flip(0))
    assert torch.equal(first.labels, other.labels.flip(0))


def test_validation_shows_labels_where_there_are_any(pictures):
    shown = source(pictures).still(np.array([0, 1])).labels

    assert (shown[0] > 0).any()
    assert not (shown[1] > 0).any()


@pytest.mark.parametrize("share", [0.0, 0.25, 1 / 3, 1.0])
def test_the_share_of_patches_on_a_label_is_kept_in_every_update(dense, share):
    image = told_apart((1, 40, 50))
    labels = np.zeros((1, 40, 50), int)
    labels[0, 30, 40] = 1
    data = dense({"a": image}, {"a": labels}, (1, 4, 4), foreground_share=share)
    images = np.zeros(12, np.int64)

    for update in range(5):
        shown = source(data).changed(images, whole(images, update=update)).labels
        hit = (shown > 0).any(dim=(1, 2)).sum().item()
        # Of the others one in about 100 shows the single voxel by chance.
        assert share * 12 - 1e-9 <= hit <= share * 12 + 1


def test_small_shares_come_about_over_many_updates(volumes):
    own = source(volumes)
    chosen = [own._on_label(2, whole([0, 0], update=update)) for update in range(600)]

    # Four standard deviations of 1200 independent draws, which these are better than.
    assert np.mean(chosen) == pytest.approx(1 / 3, abs=0.055)


def test_rare_classes_are_shown_as_often_as_common_ones(pictures):
    own = source(pictures)
    pictures_share = np.zeros(3)
    for update in range(60):
        shown = own._random(0, True, np.random.default_rng(update))[1]
        pictures_share += [(shown == label).any() for label in range(3)]

    assert pictures_share[1] > 20
    assert pictures_share[2] > 20


def test_a_labelled_voxel_lies_in_the_middle_half_of_its_patch(dense):
    labels = np.zeros((1, 60, 60), int)
    labels[0, 30, 25] = 1
    data = dense({"a": rough((1, 60, 60))}, {"a": labels}, (1, 16, 20))
    own = source(data)

    places = [
        np.argwhere(own._random(0, True, np.random.default_rng(seed))[1][0] == 1)[0]
        for seed in range(200)
    ]

    rows, columns = np.array(places).T
    assert (rows.min(), rows.max()) in {(4, 11), (4, 12)}
    assert (columns.min(), columns.max()) in {(5, 14), (5, 15)}


def test_a_small_volume_lies_in_the_middle_of_zeros(dense):
    image = 1 + told_apart((5, 6, 7))
    labels = np.ones((5, 6, 7), int)
    data = dense({"a": image}, {"a": labels}, (8, 6, 10))

    batch = source(data).changed(np.array([0]), whole([0]))

    assert np.array_equal(batch.images[0, 0, 1:6, :, 1:8], image[0])
    assert batch.images.sum() == image.sum()
    assert batch.labels.sum() == labels.sum()
    assert batch.labels.min() == 0


def test_a_small_picture_is_mirrored_at_its_edges_with_its_labels(dense):
    image = told_apart((1, 4, 5))
    data = dense({"a": image}, {"a": image[0] % 3}, (1, 6, 11))

    batch = source(data).changed(np.array([0]), whole([0]))

    expected = np.pad(image[0, 0], [(1, 1), (3, 3)], mode="symmetric")
    assert np.array_equal(batch.images[0, 0], expected)
    assert np.array_equal(batch.labels[0], expected % 3)


def test_turned_patches_show_what_lies_around_them(dense):
    # A ramp is turned into a ramp: any voxel that was taken from elsewhere would stand out.
    rows, columns = np.mgrid[:80, :80]
    ramp = (rows + 2.0 * columns).astype(np.float32)[None, None]
    middle = np.zeros((1, 80, 80), int)
    middle[0, 40, 40] = 1
    data = dense({"a": ramp}, {"a": middle}, (1, 12, 12), foreground_share=1.0)
    plain = {f"{kind}_share": 0.0 for kind in ("noise", "blur", "brightness", "contrast")}
    plain |= {f"{kind}_share": 0.0 for kind in ("gamma", "coarse")}
    augment = augmentation(data, rotation_share=1, rotation_deg=180, scale_share=1, **plain)

    for update in range(20):
        patch = source(data, augment=augment).changed(np.array([0]), whole([0], update=update))
        values = patch.images[0, 0].double().numpy()
        # Second differences of a plane are zero.
        assert np.abs(np.diff(values, 2, axis=0)).max() < 0.2
        assert np.abs(np.diff(values, 2, axis=1)).max() < 0.2


def test_objects_come_as_foreground_and_distance(dense):
    labels = np.zeros((1, 30, 30), int)
    labels[0, 3:12, 4:13], labels[0, 3:12, 13:20], labels[0, 18:27, 10:22] = 1, 2, 9
    labels[0, 28] = -1
    data = dense({"a": rough((1, 30, 30))}, {"a": labels}, (1, 30, 30), objects=True)

    still = source(data).still(np.array([0]))

    expected = object_targets(torch.from_numpy(labels))
    torch.testing.assert_close(still.labels, expected, atol=1e-3, rtol=0)
    assert still.images.shape == (1, 1, 30, 30)


def test_distance_is_moved_with_the_foreground(dense):
    labels = np.zeros((1, 60, 60), int)
    labels[0, 10:40, 20:50] = 4
    data = dense({"a": rough((1, 60, 60))}, {"a": labels}, (1, 40, 40), objects=True)
    augment = augmentation(data, rotation_share=1, scale_share=1)

    inside, distance = source(data, augment=augment).changed(np.array([0]), whole([0])).labels[0]

    assert (distance[inside == 1] > -1e-6).all()
    assert distance[inside == 0].max() < 0.06
    assert distance.max() > 0.9


def test_labels_may_become_other_targets(pictures):
    plain, other = source(pictures), source(pictures, targets=lambda labels: labels.float() + 0.5)
    images = np.array([0, 1])

    assert torch.equal(other.still(images).labels, plain.still(images).labels + 0.5)


def test_an_epoch_holds_every_image_as_often_as_it_is_named(volumes):
    images = np.array([0, 1, 1, 2])
    own = source(volumes)

    assert sorted(own.order(images, 1)) == [0, 1, 1, 2]
    assert any(own.order(images, 1).tolist() != own.order(images, e).tolist() for e in range(2, 6))
    assert own.draws(1, 2, 3) == source(volumes).draws(1, 2, 3) != own.draws(1, 2, 4)
