"""Boxes stay on what they mark, whatever is done to the picture."""

import numpy as np
import pytest
import torch
from tests.learning.detection.conftest import SIZE

from aegle.learning.batches import Part
from aegle.learning.detection.source import BoxAugmentOptions, BoxSource

STILL = {"contrast": 0.0, "brightness": 0.0, "colour": 0.0}


def source(data, seed=0, **options):
    return BoxSource(
        data=data,
        device=torch.device("cpu"),
        layout=torch.contiguous_format,
        seed=seed,
        augment=BoxAugmentOptions(**{**STILL, **options}),
    )


def whole(count, epoch=1, update=0):
    return Part(epoch=epoch, update=update, number=0, start=0, stop=count, weight=1.0)


def seen(picture):
    """Return the box around what is bright."""
    rows, columns = np.nonzero(picture.numpy() > 1.2)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"turn_deg": 0, "zoom": 1, "shift": 0, "flip": False}, id="mirrored"),
        pytest.param({"turn_deg": 0, "zoom": 1, "shift": 0, "mirror": False}, id="flipped"),
        pytest.param({"turn_deg": 0, "zoom": 1.3, "mirror": False, "flip": False}, id="zoomed"),
        pytest.param({"turn_deg": 3, "zoom": 1.2}, id="all at once"),
    ],
)
def test_the_box_lies_around_the_rectangle(rectangles, options):
    given = source(rectangles, **options)

    for update in range(6):
        batch = given.changed(np.arange(4), whole(4, update=update))
        for picture, rows in zip(batch.images, batch.labels, strict=True):
            (box,) = rows[rows[:, 0] >= 0][:, 1:].numpy()
            # A turn widens the box beyond what is bright by the corners' reach.
            np.testing.assert_allclose(
                seen(picture[0]),
                box,
                atol=3.2 if "turn_deg" in str(options) and options["turn_deg"] else 1.6,
            )


def test_pictures_differ_from_update_to_update_and_are_the_same_again(rectangles):
    first = source(rectangles).changed(np.arange(4), whole(4))
    again = source(rectangles).changed(np.arange(4), whole(4))
    later = source(rectangles).changed(np.arange(4), whole(4, update=1))

    torch.testing.assert_close(first.images, again.images, rtol=0, atol=0)
    torch.testing.assert_close(first.labels, again.labels, rtol=0, atol=0)
    assert not torch.equal(first.images, later.images)


def test_two_parts_are_the_batch_of_one(rectangles):
    given = source(rectangles)
    halves = [
        given.changed(
            np.arange(4),
            Part(epoch=1, update=0, number=n, start=2 * n, stop=2 * n + 2, weight=0.5),
        )
        for n in range(2)
    ]
    one = given.changed(np.arange(4), whole(4))

    torch.testing.assert_close(torch.cat([h.images for h in halves]), one.images, rtol=0, atol=0)


def test_still_pictures_are_normalised_and_not_moved(rectangles):
    batch = source(rectangles).still(np.array([1]))

    np.testing.assert_allclose(batch.labels[0], [[1, 40, 20, 52, 60]])
    assert seen(batch.images[0, 0]) == (40, 20, 52, 60)
    assert float(batch.images.max()) == pytest.approx((1 - 0.45) / 0.25)
    assert batch.images.shape == (1, 1, SIZE, SIZE)
