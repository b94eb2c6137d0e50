"""A detector that says what is true has next to no loss; edges are measured in strides."""

import pytest
import torch

from aegle import catalogue
from aegle.learning.detection import losses
from aegle.learning.detection.losses import box_loss, boxes_at, bumps
from aegle.learning.networks.detector import Looked, _mean_within


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return catalogue.load("network", "mobile-detector")(
        channels=1, classes=2, stride=8, width=16
    ).eval()


ROWS = torch.tensor([[1.0, 16.0, 8.0, 56.0, 40.0], [-1.0, 0.0, 0.0, 0.0, 0.0]])


def test_a_bump_is_1_in_the_middle_of_its_object_alone(network):
    heat, boxes, weights = bumps(ROWS, torch.Size((8, 8)), network)

    # The middle is (36, 24) pixels, in the place of column 4 and row 3.
    assert torch.nonzero(heat == 1).tolist() == [[3, 4]]
    assert heat[3, 5] < 1
    assert boxes[:, 3, 4].tolist() == [2.0, 1.0, 7.0, 5.0]
    assert float(weights.sum()) == pytest.approx(1)


def test_places_of_two_objects_belong_to_the_smaller(network):
    both = torch.tensor([[0.0, 0.0, 0.0, 64.0, 64.0], [1.0, 16.0, 16.0, 48.0, 48.0]])

    _, boxes, _ = bumps(both, torch.Size((8, 8)), network)

    assert boxes[:, 4, 4].tolist() == [2.0, 2.0, 6.0, 6.0]


def test_edges_count_from_the_middle_of_a_place():
    far = torch.full((4, 2, 3), 1.5).expm1().log()

    found = boxes_at(far)

    assert found[:, 1, 2].tolist() == pytest.approx([1.0, 0.0, 4.0, 3.0], abs=1e-5)


def said(network, edge_error=0.0, certainty=12.0):
    """Return an output that is right but for an error of the edges [stride]."""
    heat, boxes, _ = bumps(ROWS, torch.Size((8, 8)), network)
    logits = torch.where(heat == 1, certainty, -certainty)
    column = torch.arange(8) + 0.5
    far = torch.stack(
        (
            column - boxes[0],
            column[:, None] - boxes[1],
            boxes[2] - column,
            boxes[3] - column[:, None],
        )
    )
    edges = (far + edge_error).clamp(min=1e-3).expm1().log()
    return torch.cat((logits[None], edges))[None]


def loss_of(network, output, monkeypatch):
    """Return the loss of what is said of places, classes being told with certainty."""
    looked = Looked(output, (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)))
    certain = torch.tensor([[-60.0, 60.0]])
    monkeypatch.setattr(network, "forward", lambda images: looked)
    monkeypatch.setattr(network, "classify", lambda features, boxes, size: certain)
    monkeypatch.setattr(losses, "SMOOTHING", 0.0)
    return float(box_loss()(network, torch.zeros(1, 1, 64, 64), ROWS[None]))


def test_what_is_right_costs_next_to_nothing(network, monkeypatch):
    assert loss_of(network, said(network), monkeypatch) < 1e-3


def test_edges_too_far_by_one_stride_cost_their_generalised_overlap(network, monkeypatch):
    # 5 x 4 strides become 7 x 6: overlap 20 / 42, and what is around both is the larger box.
    expected = 5.0 * (1 - 20 / 42)

    assert loss_of(network, said(network, edge_error=1.0), monkeypatch) == pytest.approx(
        expected, abs=0.02
    )


def test_an_object_that_is_missed_costs_more_than_one_that_is_doubted(network, monkeypatch):
    doubted = loss_of(network, said(network, certainty=0.5), monkeypatch)
    missed = said(network)
    missed[:, 0] = -12.0

    assert loss_of(network, missed, monkeypatch) > doubted


def test_the_class_of_a_box_is_told_by_what_lies_in_it(network):
    """Features are means over the box; parts of places count as parts."""
    fine = torch.zeros(1, 4, 4)
    fine[0, 1, 1], fine[0, 1, 2] = 6.0, 2.0
    boxes = torch.tensor([[16.0, 16.0, 48.0, 32.0], [16.0, 16.0, 40.0, 32.0]])

    means = _mean_within(fine, boxes / 16)

    # Two whole places; then one and a half.
    assert means[:, 0].tolist() == pytest.approx([(6 + 2) / 2, (6 + 2 / 2) / 1.5])


def test_boxes_thinner_than_a_place_and_beyond_the_picture_have_features():
    features = torch.arange(16.0).reshape(1, 4, 4)
    boxes = torch.tensor([[1.4, 1.4, 1.6, 1.6], [9.0, 9.0, 10.0, 10.0]])

    assert _mean_within(features, boxes)[:, 0].tolist() == pytest.approx([5.0, 15.0])
