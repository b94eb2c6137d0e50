"""What any trained model has to beat: frozen features of given weights with logistic regression."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aegle import catalogue
from aegle.domain.prediction import Predictions
from aegle.learning import transfer
from aegle.learning.batches import normalise, scaled
from aegle.learning.model import ready
from aegle.learning.prepared import PreparedSet
from aegle.learning.weights import load_into, read_state
from aegle.record.identity import digest
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.building import IMAGENET_DEVIATION, IMAGENET_MEAN, file_digest
from aegle.workflow.learning.fitting import predictions_of
from aegle.workflow.learning.recipe import ValidateOptions
from aegle.workflow.stage import Progress

SIZE = 224
"""Rows and columns that ImageNet networks are trained on."""
ITERATIONS = 2000
BATCH = 32


def features(
    prepared: PreparedSet, options: ValidateOptions, folder: CaseFolder, progress: Progress
) -> NDArray[np.float32]:
    """Return what the last layer of the frozen network is given, shape (image, feature).

    Args:
        prepared: Images at 224 pixels.
        options: Weights and network of the baseline.
        folder: Where the features are kept for the next time.
        progress: Told of the images done.
    """
    names = (sample.name for sample in prepared.samples)
    key = digest(file_digest(options.baseline), options.baseline_network, *names)
    place = folder.root / "baseline" / f"features-{key[:16]}.npy"
    if place.exists():
        kept: NDArray[np.float32] = np.load(place, allow_pickle=False)
        return kept
    made = _features(prepared.values, options, progress)
    with folder.replacing(place) as part, part.open("wb") as file:
        np.save(file, made, allow_pickle=False)
    return made


def baseline_of(
    prepared: PreparedSet,
    described: NDArray[np.float32],
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
) -> Predictions:
    """Return what logistic regression on standardised features says of the validation images.

    Args:
        prepared: Images with their classes.
        described: Features, shape (image, feature).
        training: Indices of training images.
        validation: Indices of validation images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    classifier.fit(described[training], prepared.labels[training])
    found = np.zeros((len(validation), len(prepared.classes)))
    # A class without a training image is not known to the classifier.
    found[:, classifier.classes_] = classifier.predict_proba(described[validation])
    return predictions_of(prepared, validation, found)


def _features(
    values: NDArray[np.uint8], options: ValidateOptions, progress: Progress
) -> NDArray[np.float32]:
    network: nn.Module = catalogue.load("network", options.baseline_network)(channels=3)
    load_into(network, read_state(Path(options.baseline)))
    ready(network)
    described = []
    for begin in range(0, len(values), BATCH):
        images = normalise(
            scaled(np.array(values[begin : begin + BATCH])), IMAGENET_MEAN, IMAGENET_DEVIATION
        )
        described.append(transfer.features(network, images))
        progress(min(begin + BATCH, len(values)), len(values))
    return np.concatenate(described)
