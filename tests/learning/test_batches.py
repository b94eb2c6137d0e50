"""Which images come when, and what they look like then."""

import threading
from functools import partial

import numpy as np
import pytest
import torch

from aegle import catalogue
from aegle.learning.augmentation import AugmentationOptions, augment
from aegle.learning.batches import Feed, ahead, layout_of, mixed, normalise, parts_of, updates_of


def feed(**settings):
    values = np.random.default_rng(0).integers(0, 256, (20, 1, 6, 8), np.uint8)
    defaults = {
        "values": values,
        "labels": np.arange(20) % 2,
        "mean": (0.0,),
        "deviation": (1.0,),
        "device": torch.device("cpu"),
        "layout": torch.channels_last,
        "classes": 2,
    }
    return Feed(**(defaults | settings))


def part(images, *, parts=1, number=0, epoch=1, update=0):
    return parts_of(len(images), epoch=epoch, update=update, parts=parts)[number]


def test_an_epoch_holds_every_image_once_in_another_order():
    images = np.arange(3, 20)
    orders = [feed(seed=1).order(images, epoch) for epoch in (1, 2)]

    assert all(sorted(order) == images.tolist() for order in orders)
    assert orders[0].tolist() != orders[1].tolist()
    assert orders[0].tolist() == feed(seed=1).order(images, 1).tolist()
    assert orders[0].tolist() != feed(seed=2).order(images, 1).tolist()


@pytest.mark.parametrize(
    ("count", "sizes"), [(8, [4, 4]), (9, [3, 3, 3]), (10, [4, 3, 3]), (2, [2])]
)
def test_no_update_is_much_smaller_than_the_others(count, sizes):
    assert [len(update) for update in updates_of(np.arange(count), size=4)] == sizes


def test_parts_cover_an_update_and_their_weights_are_their_shares():
    parts = parts_of(10, epoch=1, update=2, parts=3)

    assert [(p.start, p.stop) for p in parts] == [(0, 3), (3, 7), (7, 10)]
    assert [p.weight for p in parts] == pytest.approx([0.3, 0.4, 0.3])


def test_a_part_without_images_counts_nothing():
    parts = parts_of(1, epoch=1, update=0, parts=2)

    assert sorted((p.stop - p.start, p.weight) for p in parts) == [(1, 0.0), (1, 1.0)]


def test_stored_values_become_normalised_ones_and_one_channel_several():
    own = feed(mean=(0.2, 0.4, 0.6), deviation=(1.0, 2.0, 4.0))
    images = np.array([4, 2])

    batch = own.still(images)

    given = own.values[images][:, 0] / 255
    for channel, (mean, deviation) in enumerate(zip(own.mean, own.deviation, strict=True)):
        np.testing.assert_allclose(
            batch.images[:, channel], (given - mean) / deviation, rtol=1e-5, atol=1e-6
        )
    assert batch.labels.tolist() == [0, 0]
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_normalisation_is_per_channel():
    result = normalise(torch.ones(1, 2, 3, 3), (0.5, 0.0), (0.25, 2.0))

    assert result[0, :, 0, 0].tolist() == [2.0, 0.5]


def test_parts_in_several_processes_are_those_of_one():
    own = feed(augment=augment(AugmentationOptions(rotation_deg=20, noise=0.1, blur=1)))
    images = np.array([3, 1, 4, 15, 9, 2])

    whole = own.changed(images, part(images))
    halves = [own.changed(images, part(images, parts=2, number=n)) for n in (0, 1)]

    np.testing.assert_allclose(torch.cat([half.images for half in halves]), whole.images, atol=1e-6)
    assert torch.cat([half.labels for half in halves]).tolist() == whole.labels.tolist()


def test_what_happens_to_an_image_follows_from_epoch_and_update_alone():
    own = feed(augment=augment(AugmentationOptions(noise=0.5)))
    images = np.arange(4)
    first = own.changed(images, part(images, epoch=3, update=5)).images
    own.changed(images, part(images))

    assert torch.equal(own.changed(images, part(images, epoch=3, update=5)).images, first)
    assert not torch.equal(own.changed(images, part(images, epoch=3, update=6)).images, first)
    assert not torch.equal(own.changed(images, part(images, epoch=4, update=5)).images, first)


def test_mixed_images_carry_the_shares_of_their_classes():
    own = feed(mix=0.4, values=np.stack([np.full((1, 2, 2), 255 * (n % 2)) for n in range(20)]))
    images = np.arange(12)

    batch = own.changed(images, part(images))

    # Images of class 1 are white and those of class 0 black, so the grey is the share.
    np.testing.assert_allclose(batch.images[:, 0, 0, 0], batch.labels[:, 1], atol=1e-6)
    np.testing.assert_allclose(batch.labels.sum(1), 1, atol=1e-6)
    assert ((batch.labels > 0.01) & (batch.labels < 0.99)).any()


def test_mixing_is_linear():
    result = mixed(torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0]), torch.tensor([0.25, 1.0]))

    assert result.tolist() == [2.5, 1.0]


def test_results_come_in_order_and_one_ahead():
    begun = []

    def task(number):
        begun.append(number)
        return number, threading.current_thread() is threading.main_thread()

    results = []
    for number, in_main in ahead([partial(task, n) for n in range(5)]):
        results.append(number)
        assert not in_main
        assert len(begun) <= number + 2

    assert results == begun == [0, 1, 2, 3, 4]


def test_an_error_of_a_task_reaches_the_caller():
    def fail():
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        list(ahead([fail]))


def test_narrow_networks_are_not_trained_channels_last():
    narrow, wide = (catalogue.load("network", "small-cnn")(width=width) for width in (6, 16))

    assert layout_of(narrow, 4) is torch.contiguous_format
    assert layout_of(wide, 4) is torch.channels_last
