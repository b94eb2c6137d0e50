"""A trained detector used on pictures: boxes in the pixels of each picture."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.learning.annotations import PlacedImage
from aegle.learning.batches import normalise, scaled
from aegle.learning.detection.boxes import Boxes, likeliest, within
from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.detection.configure import DetectionOptions
from aegle.learning.detection.losses import boxes_at
from aegle.learning.detection.prepared import squared
from aegle.learning.model import Model
from aegle.learning.networks.detector import Looked, MobileDetector
from aegle.options import read

MOST = 200
"""Boxes of one picture, before those that overlap are left out."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FoundObjects:
    """What a detector finds in one picture, the likeliest first."""

    boxes: Boxes
    """Shape (box, 4): left, top, right, bottom edge [pixel of the picture]."""
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    """How sure the detector is, 0 to 1; not calibrated."""


def configuration_of(model: Model) -> BoxConfiguration:
    """Return what a detector was configured with.

    Raises:
        InputError: The model finds no boxes.
    """
    stated = model.facts.extras.get("configuration")
    if model.facts.task != "detect" or not isinstance(stated, dict):
        raise InputError(
            f"Model '{model.facts.name}' is for '{model.facts.task}' and finds no boxes; give one "
            "that was trained to detect."
        )
    configuration: BoxConfiguration = read(BoxConfiguration, stated)
    return configuration


def find_boxes(model: Model, image: PlacedImage, *, options: DetectionOptions) -> FoundObjects:
    """Return the objects of a picture.

    Args:
        model: A detector.
        image: One picture of any size.
        options: Least score, and overlap of boxes of one class.

    Raises:
        InputError: The model finds no boxes, or the image is no picture.
    """
    configuration = configuration_of(model)
    if not image.is_picture:
        raise InputError(
            "A detector of boxes takes pictures; give the slices of a volume one by one."
        )
    network = model.network
    assert isinstance(network, MobileDetector)
    pixels, fit = squared(image, configuration)
    pictures = normalise(scaled(pixels[None]), configuration.mean, configuration.deviation)
    with torch.inference_mode():
        looked = network(pictures.contiguous(memory_format=torch.channels_last))
        found = _objects(looked, network, configuration.size, options.least_score)
    kept = likeliest(found.boxes, found.scores, found.classes, overlap=options.overlap)
    rows, columns = image.grid.shape[1:]
    boxes = fit.undo(found.boxes[kept]).clip(0, [columns, rows, columns, rows]).astype(np.float32)
    _, is_real = within(boxes, max(rows, columns), least_share=0)
    return FoundObjects(
        boxes=boxes[is_real],
        classes=found.classes[kept][is_real],
        scores=found.scores[kept][is_real],
    )


def _objects(
    looked: Looked, network: MobileDetector, size: int, least_score: float
) -> FoundObjects:
    """Return a box for every place that is likelier than its neighbours, and class [pixel].

    A box is listed once for each class that is likely enough: its score is the probability of an
    object times that of the class.
    """
    output = looked.places[0].float()
    likely = torch.sigmoid(output[0])
    highest = functional.max_pool2d(likely[None], 3, stride=1, padding=1)[0]
    rows, columns = torch.nonzero((likely == highest) & (likely >= least_score), as_tuple=True)
    order = torch.argsort(likely[rows, columns], descending=True, stable=True)[:MOST]
    rows, columns = rows[order], columns[order]
    boxes = boxes_at(output[1:])[:, rows, columns].T * network.stride
    classes = network.classify(tuple(f[0] for f in looked.features), boxes, size).softmax(dim=1)
    scores = likely[rows, columns][:, None] * classes
    number, kind = torch.nonzero(scores >= least_score, as_tuple=True)
    return FoundObjects(
        boxes=boxes[number].numpy().astype(np.float32),
        classes=kind.numpy(),
        scores=scores[number, kind].numpy().astype(np.float32),
    )
