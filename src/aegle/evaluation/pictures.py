"""The images on which a model is most wrong."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.prediction import Predictions
from aegle.evaluation.drawing import Picture, thumbnail
from aegle.evaluation.scores import predicted

ImageOf = Callable[[str], NDArray[np.generic]]
"""Gives the pixels of an image by its name."""


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """An image whose likeliest class is not the true one."""

    name: str
    group: str
    truth: str
    predicted: str
    probability: float
    """Of the class that was said."""
    probability_of_truth: float


def worst_cases(predictions: Predictions, *, most: int = 12) -> tuple[WorstCase, ...]:
    """Return the most confidently wrong predictions, the surest first.

    Args:
        predictions: Of any number of images.
        most: How many at most.
    """
    said = predicted(predictions)
    rows = np.arange(said.size)
    of_said = predictions.probabilities[rows, said]
    of_truth = predictions.probabilities[rows, predictions.truth]
    wrong = np.flatnonzero(said != predictions.truth)
    order = wrong[np.lexsort((wrong, of_truth[wrong], -of_said[wrong]))][:most]
    return tuple(
        WorstCase(
            name=predictions.names[i],
            group=predictions.groups[i],
            truth=predictions.classes[predictions.truth[i]],
            predicted=predictions.classes[said[i]],
            probability=float(of_said[i]),
            probability_of_truth=float(of_truth[i]),
        )
        for i in order
    )


def draw_case(case: WorstCase, image_of: ImageOf) -> Picture:
    """Return the image of a case with its words."""
    caption = (
        f"{case.name}: is {case.truth}, said {case.predicted} with {case.probability:.1%} "
        f"({case.probability_of_truth:.1%} for {case.truth})"
    )
    return thumbnail(image_of(case.name), f"Image {case.name}", caption)
