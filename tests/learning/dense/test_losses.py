"""What training to outline makes small."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from aegle.learning.dense.losses import nearest, object_loss, outline_loss


class Given(nn.Module):
    """A network that gives what it was made with, whatever it sees."""

    def __init__(self, *outputs):
        super().__init__()
        self.outputs = [nn.Parameter(output) for output in outputs]

    def forward(self, images):
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs


def logits_of(shares):
    """Return logits whose softmax over axis 1 is given."""
    return torch.log(torch.tensor(shares, dtype=torch.float64))


def measured(loss, labels, *outputs):
    images = torch.zeros(len(labels), 1, *labels.shape[1:])
    return loss(Given(*outputs), images, labels)


def test_cross_entropy_and_dice_have_their_closed_form():
    # Four pixels of two classes; the share of class 1 is 0.9, 0.6, 0.2 and 0.1.
    inside = np.array([0.9, 0.6, 0.2, 0.1])
    logits = logits_of(np.stack([1 - inside, inside])[None, :, None])
    labels = torch.tensor([[[1, 1, 0, 0]]])

    entropy = -np.log([0.9, 0.6, 0.8, 0.9]).mean()
    dice = (2 * 1.5 + 1) / (1.8 + 2 + 1)
    assert measured(outline_loss(), labels, logits).item() == pytest.approx(entropy + 1 - dice)
    assert measured(outline_loss(dice=0), labels, logits).item() == pytest.approx(entropy)


def test_dice_is_the_mean_over_classes_that_occur():
    shares = np.array([[0.1, 0.2, 0.2, 0.5], [0.6, 0.5, 0.3, 0.1], [0.3, 0.3, 0.5, 0.4]])
    logits = logits_of(shares[None, :, None])
    entropy = outline_loss(dice=0)

    def dice_part(*labels):
        values = torch.tensor([[labels]])
        both = measured(outline_loss(), values, logits) - measured(entropy, values, logits)
        return both.item()

    first = 1 - (2 * 1.1 + 1) / (1.5 + 2 + 1)
    second = 1 - (2 * 0.5 + 1) / (1.5 + 1 + 1)
    assert dice_part(1, 1, 2, 0) == pytest.approx((first + second) / 2)
    assert dice_part(1, 1, 0, 0) == pytest.approx(first)
    assert dice_part(0, 0, 0, 0) == pytest.approx(0)


@pytest.mark.parametrize("shape", [(7, 6), (4, 5, 6)])
def test_ignored_voxels_count_nothing(shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *shape, generator=generator)
    labels = torch.randint(0, 3, (2, *shape), generator=generator, dtype=torch.int16)
    labels[:, 3:] = -1

    part = measured(outline_loss(), labels[:, :3], logits[:, :, :3])
    noisy = logits.clone()
    noisy[:, :, 3:] = 50

    torch.testing.assert_close(measured(outline_loss(), labels, logits), part)
    torch.testing.assert_close(measured(outline_loss(), labels, noisy), part)


def test_an_image_of_which_nothing_is_known_has_no_loss():
    loss = measured(outline_loss(), torch.full((1, 4, 4), -1), torch.randn(1, 3, 4, 4))

    assert loss.item() == 0


def test_cross_entropy_is_torchs():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator)
    labels = torch.randint(-1, 4, (3, 5, 6), generator=generator)

    expected = [
        functional.cross_entropy(a[None], b[None], ignore_index=-1)
        for a, b in zip(logits, labels, strict=True)
    ]
    torch.testing.assert_close(
        measured(outline_loss(dice=0), labels, logits), torch.stack(expected).mean()
    )


@pytest.mark.parametrize("kind", ["classes", "objects"])
def test_the_loss_of_a_batch_is_the_mean_over_its_images(kind):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 2, 8, 8, generator=generator)
    labels = torch.randint(-1, 2, (5, 8, 8), generator=generator)
    labels[0] = 0
    loss = outline_loss()
    if kind == "objects":
        loss = object_loss()
        labels = torch.stack([labels.float(), torch.rand(5, 8, 8, generator=generator)], dim=1)

    alone = [measured(loss, labels[i : i + 1], outputs[i : i + 1]) for i in range(5)]

    torch.testing.assert_close(measured(loss, labels, outputs), torch.stack(alone).mean())


def test_coarser_outputs_count_half_as_much_as_finer_ones():
    labels = torch.randint(0, 3, (2, 8, 12), generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    outputs = [torch.randn(2, 3, 8 // f, 12 // f, generator=generator) for f in (1, 2, 4)]

    each = [
        measured(outline_loss(), nearest(labels, output.shape[2:]), output) for output in outputs
    ]

    expected = (4 * each[0] + 2 * each[1] + each[2]) / 7
    torch.testing.assert_close(measured(outline_loss(), labels, *outputs), expected)


def test_labels_of_coarse_voxels_are_those_at_their_centre():
    labels = torch.arange(24).reshape(1, 4, 6)

    assert nearest(labels, (4, 6)) is labels
    assert nearest(labels, (2, 3)).tolist() == [[[7, 9, 11], [19, 21, 23]]]
    assert nearest(labels, (4, 2)).tolist() == [[[1, 4], [7, 10], [13, 16], [19, 22]]]
    expected = functional.interpolate(labels[None].double(), size=(3, 5), mode="nearest-exact")
    assert torch.equal(nearest(labels, (3, 5)).double(), expected[0])


def test_targets_of_objects_are_made_coarser_along_their_own_axes():
    targets = torch.arange(32.0).reshape(1, 2, 4, 4)

    assert nearest(targets, (2, 2)).shape == (1, 2, 2, 2)


@pytest.mark.parametrize("kind", ["classes", "objects"])
def test_gradients_are_the_slopes_of_the_loss(kind):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 2, (2, 3, 3), generator=generator)
    loss, images = outline_loss(), torch.zeros(2, 1, 3, 3)
    if kind == "objects":
        loss = object_loss()
        labels = torch.stack([labels.float(), torch.rand(2, 3, 3, generator=generator)], dim=1)
    network = Given(outputs)

    loss(network, images, labels).backward()

    slopes = network.outputs[0].grad
    step = 1e-3
    for index in np.ndindex(*outputs.shape):
        moved = [outputs.clone(), outputs.clone()]
        moved[0][index] += step
        moved[1][index] -= step
        high, low = (loss(Given(one.float()), images, labels).item() for one in moved)
        assert slopes[index].item() == pytest.approx((high - low) / (2 * step), abs=5e-4)


def test_a_perfect_outline_has_almost_no_loss_and_a_wrong_one_much():
    labels = torch.zeros(1, 16, 16, dtype=torch.int16)
    labels[0, 4:12, 4:12] = 1
    right = 40.0 * functional.one_hot(labels.long(), 2).permute(0, 3, 1, 2) - 20

    assert measured(outline_loss(), labels, right).item() < 1e-6
    assert measured(outline_loss(), labels, -right).item() > 20


def test_half_precision_outputs_are_measured_in_single_precision():
    labels = torch.ones(1, 64, 64, dtype=torch.int16)
    logits = torch.zeros(1, 2, 64, 64, dtype=torch.bfloat16)

    loss = measured(outline_loss(), labels, logits)

    # Of 4096 voxels half is found: 1 - (4096 + 1) / (2048 + 4096 + 1).
    assert loss.item() == pytest.approx(np.log(2) + 1 - 4097 / 6145, rel=1e-5)
    assert loss.dtype == torch.float32


def test_objects_have_their_closed_form():
    # Two pixels inside, one outside, one ignored.
    inside, distance = [1.0, 1.0, 0.0, -1.0], [1.0, 0.5, 0.0, 0.0]
    shares, drawn = np.array([0.8, 0.6, 0.3, 0.9]), [0.5, 0.45, 0.0, 7.0]
    labels = torch.tensor([[[inside], [distance]]])
    outputs = torch.tensor(np.array([[[np.log(shares / (1 - shares))], [drawn]]]))

    entropy = -np.log([0.8, 0.6, 0.7]).mean()
    dice = (2 * 1.4 + 1) / (1.7 + 2 + 1)
    # Errors of 0.5 and 0.05: straight above 0.1, by the square below.
    error = ((0.5 - 0.05) + 0.5 * 0.05**2 / 0.1) / 3
    total = entropy + (1 - dice) + error
    assert measured(object_loss(), labels, outputs).item() == pytest.approx(total, rel=1e-5)
    no_distance = measured(object_loss(distance=0), labels, outputs).item()
    assert no_distance == pytest.approx(total - error, rel=1e-5)
