"""A detector that says what is true has next to no loss; edges are measured in strides."""

import pytest
import torch

from aegle import catalogue
from aegle.learning.detection.losses import box_loss, boxes_at, bumps


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
    assert torch.nonzero(heat == 1).tolist() == [[1, 3, 4]]
    assert float(heat[0].max()) == 0
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


class Says(torch.nn.Module):
    """Gives an output whatever it is shown."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output.expand(len(images), -1, -1, -1)


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
    return torch.cat((logits, edges))[None]


def loss_of(network, output, monkeypatch):
    monkeypatch.setattr(network, "forward", lambda images: output.expand(len(images), -1, -1, -1))
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
    missed[:, :2] = -12.0

    assert loss_of(network, missed, monkeypatch) > doubted
