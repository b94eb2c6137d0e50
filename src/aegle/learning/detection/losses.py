"""What training a detector makes small: a plain mean over pictures, as in ``learning.losses``.

Middles of objects are bumps on a map, learned by a focal loss (Lin 2017; Zhou 2019); edges are
learned around each middle by the generalised overlap of boxes (Rezatofighi 2019), weighed by the
bump (Liu 2020). Classes are learned by cross-entropy, of the true boxes and of the same boxes
moved a little, as found ones are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.learning.assignment import Loss
from aegle.learning.networks.detector import Looked, MobileDetector

SPREAD = 0.54
"""Reach of a bump as a share of the box, three deviations on either side (Liu 2020)."""
FOCUS, RELIEF = 2.0, 4.0
"""Exponents of the focal loss: of the error, and of how near a middle is (Zhou 2019)."""
EDGES = 5.0
"""Weight of the edges against the middles (Liu 2020)."""
CLASSES = 2.0
"""Weight of the classes against the middles."""
JITTER = 0.1
"""Largest move of the edges of a box whose class is learned, in its sides."""
SMOOTHING = 0.05
"""Share of a class given to all, in the loss."""


def box_loss() -> Loss:
    """Return the loss of a detector: of its classes, and of its edges."""
    return _BoxLoss()


class _BoxLoss:
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(network, MobileDetector)
        looked: Looked = network(images)
        places, size = looked.places.float(), images.shape[-1]
        each = [
            _places(places[number], *bumps(rows, places.shape[2:], network))
            + CLASSES * _classes(network, tuple(f[number] for f in looked.features), rows, size)
            for number, rows in enumerate(labels)
        ]
        return torch.stack(each).mean()


def _classes(
    network: MobileDetector, features: tuple[Tensor, ...], rows: Tensor, size: int
) -> Tensor:
    """Return the cross-entropy of the classes of the boxes of one picture."""
    found = rows[rows[:, 0] >= 0]
    if not len(found) or network.classes == 1:
        return features[0].sum() * 0.0
    boxes = found[:, 1:]
    truth = found[:, 0].long()
    if network.training:
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        boxes = torch.cat((boxes, boxes + JITTER * sides * (2 * torch.rand_like(boxes) - 1)))
        truth = truth.repeat(2)
    with torch.autocast(rows.device.type, enabled=False):
        logits = network.classify(features, boxes, size)
    return functional.cross_entropy(logits, truth, label_smoothing=SMOOTHING)


def bumps(
    rows: Tensor, shape: torch.Size, network: MobileDetector
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is true of every place.

    Args:
        rows: Class, left, top, right, bottom of each box [pixel]; class -1 fills up.
        shape: Rows and columns of places.
        network: Says classes and stride.

    Returns:
        Bumps, 1 at the middle of an object, (row, column); the box that a place belongs to
        [stride], (4, row, column); and the weight of the place's edges, (row, column), which sum
        to 1 for each box.
    """
    high, wide = shape
    heat = torch.zeros((high, wide), device=rows.device)
    boxes = torch.zeros((4, high, wide), device=rows.device)
    weights = torch.zeros((high, wide), device=rows.device)
    found = rows[rows[:, 0] >= 0]
    sizes = (found[:, 3] - found[:, 1]) * (found[:, 4] - found[:, 2])
    # The smaller of two boxes owns the places that both cover.
    for row in found[torch.argsort(sizes, descending=True)]:
        edges = row[1:] / network.stride
        bump = _bump(edges, high, wide)
        heat = torch.maximum(heat, bump)
        inside = bump > 0
        boxes[:, inside] = edges[:, None]
        weights = torch.where(inside, bump / bump.sum(), weights)
    return heat, boxes, weights


def _bump(edges: Tensor, high: int, wide: int) -> Tensor:
    """Return a bump around the middle of a box, cut at its reach; 1 at the place of the middle."""
    left, top, right, bottom = edges
    column = ((left + right) / 2).floor().clamp(0, wide - 1)
    row = ((top + bottom) / 2).floor().clamp(0, high - 1)
    across = torch.arange(wide, device=edges.device) - column
    along = torch.arange(high, device=edges.device) - row
    reach_x, reach_y = SPREAD * (right - left) / 2, SPREAD * (bottom - top) / 2
    flat = torch.exp(-(across**2) / (2 * (reach_x / 3).clamp(min=0.35) ** 2))
    steep = torch.exp(-(along**2) / (2 * (reach_y / 3).clamp(min=0.35) ** 2))
    near = (along.abs() <= reach_y)[:, None] & (across.abs() <= reach_x)[None]
    is_middle = (along == 0)[:, None] & (across == 0)[None]
    return torch.where(near | is_middle, steep[:, None] * flat[None], 0.0)


def _places(output: Tensor, heat: Tensor, boxes: Tensor, weights: Tensor) -> Tensor:
    """Return the loss of the middles and edges of one picture."""
    logits, edges = output[0], output[1:]
    is_middle = heat == 1
    probability = torch.sigmoid(logits)
    hit = functional.logsigmoid(logits) * (1 - probability) ** FOCUS
    missed = functional.logsigmoid(-logits) * probability**FOCUS * (1 - heat) ** RELIEF
    middles = -torch.where(is_middle, hit, missed).sum() / is_middle.sum().clamp(min=1)
    where = weights > 0
    if not bool(where.any()):
        return middles
    overlap = _generalised_overlap(boxes_at(edges)[:, where], boxes[:, where])
    return middles + EDGES * ((1 - overlap) * weights[where]).sum() / weights.sum()


def boxes_at(edges: Tensor) -> Tensor:
    """Return the box that every place says [stride], from what the network gives for its edges."""
    high, wide = edges.shape[-2:]
    far = functional.softplus(edges)
    column = torch.arange(wide, device=edges.device) + 0.5
    row = (torch.arange(high, device=edges.device) + 0.5)[:, None]
    return torch.stack((column - far[0], row - far[1], column + far[2], row + far[3]))


def _generalised_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalised intersection over union of pairs of boxes, shapes (4, box)."""
    shared = (
        (torch.minimum(first[2:], second[2:]) - torch.maximum(first[:2], second[:2]))
        .clamp(min=0)
        .prod(dim=0)
    )
    union = (first[2:] - first[:2]).prod(dim=0) + (second[2:] - second[:2]).prod(dim=0) - shared
    around = (torch.maximum(first[2:], second[2:]) - torch.minimum(first[:2], second[:2])).prod(
        dim=0
    )
    return shared / union.clamp(min=1e-6) - (around - union) / around.clamp(min=1e-6)
