"""The methods of anomaly detection that are compared, each with its settings."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aegle import catalogue
from aegle.learning.anomaly import (
    BankOptions,
    FilledBank,
    Scores,
    describe,
    fit_described,
    judged,
    reader,
)
from aegle.learning.assignment import Assignment, TrainingOptions
from aegle.learning.augmentation import AugmentationOptions, augment
from aegle.learning.losses import reconstruction_loss
from aegle.learning.model import ModelFacts
from aegle.learning.networks.autoencoders import NarrowAutoencoder, VariationalAutoencoder
from aegle.learning.networks.memory_bank import Described
from aegle.learning.preparation import PreparationOptions
from aegle.learning.prepared import PreparedSet, prepare_all
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.reconstruction_error import ErrorOptions, by_components, scores_between
from aegle.learning.samples import SampleSet
from aegle.learning.splits import folds, fraction
from aegle.learning.training import train
from aegle.learning.weights import load_into, read_state

Indices = NDArray[np.int64]
FOLDS = 5
MOST_ANOMALIES = 600
"""Anomalous images that are used; whole clusters, chosen at random."""
SMALL = 64
"""Rows and columns that images are drawn at [pixel]."""
MAP = 56
"""Rows and columns of the maps that pixels are judged on."""
PREPARATIONS = {
    "raw": PreparationOptions(low_percentile=0, high_percentile=100),
    "standard": PreparationOptions(),
    "cropped": PreparationOptions(crop="foreground"),
    "equalised": PreparationOptions(equalise=1.0),
}
TAPS = (13, 16, 17)
TAP_SETS = ((13,), (16,), (17,), (13, 16), (16, 17), (13, 16, 17))
READINGS = ((0.0, 1.0), (0.01, 1.0), (0.01, 0.1))
"""Whitening, and share of the positions that makes the score."""
COMPONENTS, CODES = (8, 16, 32, 64), (16, 32)
ERRORS = {
    "mean squared error": ErrorOptions(),
    "mean absolute error": ErrorOptions(measure="absolute"),
    "blurred absolute error, worst 3 %": ErrorOptions(measure="absolute", blur=2, share=0.03),
    "blurred squared error, worst 3 %": ErrorOptions(measure="squared", blur=2, share=0.03),
    "structural dissimilarity, mean": ErrorOptions(measure="structure"),
    "structural dissimilarity, worst 3 %": ErrorOptions(measure="structure", share=0.03),
}
EPOCHS = {"narrow": (0, 3, 12), "convolutional": (15, 30)}
"""After which drawings are looked at; the last one ends training. 0: principal components."""
CHANGES = AugmentationOptions(mirror=True, scale=0.1, shift=0.1, contrast=0.1, share=0.8)
FACTS = ModelFacts(
    name="measured",
    task="anomaly",
    network="memory-bank",
    channels=3,
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One data set."""

    title: str
    folder: str
    normal: str
    start: str = ""
    masks: bool = False


KINDS = {
    "busi": Kind(
        title="BUSI breast ultrasound: normal against lesion",
        folder="busi_breast_us",
        normal="normal",
        start="images/",
        masks=True,
    ),
    "brain": Kind(
        title="Brain MRI: no tumour against tumour", folder="brain_mri_4class", normal="no_tumor"
    ),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """Images of one set, and who is for what; indices count the images that are used."""

    samples: SampleSet
    groups: NDArray[np.str_]
    is_odd: NDArray[np.bool_]
    tuning: Indices
    test: Indices
    folds: tuple[tuple[Indices, Indices], ...]
    """Normal images to learn from, and those held out."""
    cache: Path

    def prepared(self, options: PreparationOptions) -> PreparedSet:
        """Return all images at one preparation."""
        return prepare_all(self.samples, self.cache, options=options, progress=lambda *_: None)


Judge = Callable[[Indices], Scores]
"""Scores images by index."""
FoldScore = Callable[[int, Indices], NDArray[np.float64]]
"""Scores images by index with what learned from the normal images of a fold."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One setting of a method."""

    method: str
    settings: dict[str, Any]


def trial_of(kind: Kind, data: Path, cache: Path) -> Trial:
    """Return the images of a set with the split that everything is measured on."""
    options = DataOptions(group="cluster", start=kind.start)
    every = read_samples(data / kind.folder, options=options)
    normal = every.classes.index(kind.normal)
    found = every.samples
    labels = np.array([int(s.label != normal) for s in found], np.int64)
    groups = [s.group or s.name for s in found]
    odd = np.flatnonzero(labels == 1)
    used = fraction(odd, groups, labels, min(1, MOST_ANOMALIES / len(odd)), 1)
    kept = np.sort(np.concatenate([np.flatnonzero(labels == 0), used]))
    samples = every.subset(tuple(found[place] for place in kept))
    labels, groups = labels[kept], [groups[place] for place in kept]
    odd, normals = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    tuning = fraction(odd, groups, labels, 1 / 3, 0)
    parts = folds([groups[i] for i in normals], np.zeros(len(normals), np.int64), FOLDS, 0)
    return Trial(
        samples=samples,
        groups=np.array(groups),
        is_odd=labels == 1,
        tuning=tuning,
        test=np.setdiff1d(odd, tuning),
        folds=tuple((normals[part.training], normals[part.held_out]) for part in parts),
        cache=cache,
    )


def taken(described: Described, images: Indices) -> Described:
    """Return the features of some images."""
    return {tap: features[torch.from_numpy(images)] for tap, features in described.items()}


class Banks:
    """Memory banks of a trial; features and single taps are computed once."""

    def __init__(self, trial: Trial, weights: Path) -> None:
        self.trial = trial
        self.backbone: nn.Module = catalogue.load("network", "mobilenet-v2")(
            classes=1000, batch_norm=False
        )
        load_into(self.backbone.eval(), read_state(weights))
        self.described: dict[str, Described] = {}
        self.single: dict[Any, NDArray[np.float64]] = {}

    def images(self, preparation: str) -> Described:
        """Return the features of all images."""
        if preparation not in self.described:
            values = self.trial.prepared(PREPARATIONS[preparation]).values
            self.described[preparation] = describe(reader(self.backbone, TAPS), values, FACTS)
        return self.described[preparation]

    def fitted(self, preparation: str, options: BankOptions, fold: int) -> FilledBank:
        """Return a memory of the normal images of a fold."""
        training = self.trial.folds[fold][0]
        described = taken(self.images(preparation), training)
        groups = tuple(self.trial.groups[training])
        return fit_described(self.backbone, described, groups=groups, options=options)

    def tap_scores(
        self, preparation: str, options: BankOptions, fold: int, images: Indices
    ) -> NDArray[np.float64]:
        """Return the scores of a memory with one tap, which are means over nothing else."""
        key = (preparation, options, fold, images.tobytes())
        if key not in self.single:
            network = self.fitted(preparation, options, fold).network
            asked = taken(self.images(preparation), images)
            self.single[key] = judged(network, asked, (1, 1)).images
        return self.single[key]

    def settings(self) -> Iterator[tuple[Candidate, FoldScore]]:
        """Yield every setting with what scores images of a fold.

        The score of several taps is the mean of those of each, so only single taps are fitted.
        """
        for preparation, (whitening, share), taps in itertools.product(
            PREPARATIONS, READINGS, TAP_SETS
        ):
            options = BankOptions(whitening=whitening, share=share, taps=taps)

            def score(
                fold: int,
                images: Indices,
                preparation: str = preparation,
                options: BankOptions = options,
            ) -> NDArray[np.float64]:
                alone = [
                    self.tap_scores(preparation, replace(options, taps=(tap,)), fold, images)
                    for tap in options.taps
                ]
                mean: NDArray[np.float64] = np.mean(alone, axis=0)
                return mean

            yield (
                Candidate(
                    method="memory bank",
                    settings={
                        "preparation": preparation,
                        "taps": list(taps),
                        "whitening": whitening,
                        "share": share,
                    },
                ),
                score,
            )

    def final(self, chosen: dict[str, Any]) -> list[Judge]:
        """Return what scores images by the chosen setting, one per fold."""
        given = dict(chosen)
        preparation = given.pop("preparation")
        options = BankOptions(**given)

        def judge_with(fitted: FilledBank) -> Judge:
            def judge(images: Indices) -> Scores:
                asked = taken(self.images(preparation), images)
                return judged(fitted.network, asked, (MAP, MAP))

            return judge

        return [judge_with(self.fitted(preparation, options, n)) for n in range(FOLDS)]


class Drawings:
    """Images as drawn by principal components or autoencoders; each is trained once."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.drawn: dict[Any, NDArray[np.float32]] = {}

    def values(self, preparation: str) -> PreparedSet:
        """Return all images at the size that they are drawn at."""
        return self.trial.prepared(replace(PREPARATIONS[preparation], size=SMALL))

    def by(self, preparation: str, fold: int, **settings: Any) -> NDArray[np.float32]:
        """Return all images as drawn by what learned from the normal images of a fold."""
        key = (preparation, fold, *sorted(settings.items()))
        if key not in self.drawn:
            data = self.values(preparation)
            training = self.trial.folds[fold][0]
            if "components" in settings:
                draw = by_components(data.values[training], settings["components"])
                self.drawn[key] = draw(np.array(data.values))
            else:
                self._train(preparation, fold, settings["kind"], settings["code"])
        return self.drawn[key]

    def _train(self, preparation: str, fold: int, kind: str, code: int) -> None:
        """Train an autoencoder; its drawings from earlier on are kept too."""
        data = self.values(preparation)
        training = self.trial.folds[fold][0]
        most = EPOCHS[kind][-1]
        images = torch.from_numpy(np.array(data.values)).float() / 255
        network = _autoencoder(kind, code, images[training])
        inner = {"code": code, "kind": kind}

        def keep(done: int) -> None:
            network.eval()
            with torch.inference_mode():
                drawn = torch.cat([network(part) for part in images.split(64)]).numpy()
            key = (preparation, fold, *sorted({**inner, "epochs": done}.items()))
            self.drawn[key] = drawn

        assignment = Assignment(
            network=network,
            data=data,
            training=training,
            validation=np.zeros(0, np.int64),
            loss=reconstruction_loss(),
            mean=(0.0,),
            deviation=(1.0,),
            augment=augment(CHANGES),
            groups=network.groups() if isinstance(network, NarrowAutoencoder) else None,
            before_epoch=lambda number: keep(number - 1) if number - 1 in EPOCHS[kind] else None,
        )
        rate = 1e-3 if kind == "narrow" else 4e-3
        options = TrainingOptions(epochs=most, batch=16, rate=rate, warm_up=0.15, clip=1.0)
        with tempfile.TemporaryDirectory() as folder:
            train(assignment, options=options, folder=Path(folder), progress=lambda *_: None)
        keep(most)

    def settings(self, method: str) -> Iterator[tuple[Candidate, FoldScore]]:
        """Yield every setting of a method with what scores images of a fold."""
        for preparation, inner, (name, error) in itertools.product(
            PREPARATIONS, list(_drawers(method)), ERRORS.items()
        ):

            def score(
                fold: int,
                images: Indices,
                preparation: str = preparation,
                inner: dict[str, Any] = inner,
                error: ErrorOptions = error,
            ) -> NDArray[np.float64]:
                return self.judge(preparation, inner, error, fold, images).images

            settings = {"preparation": preparation, **inner, "error": name}
            yield Candidate(method=method, settings=settings), score

    def judge(
        self,
        preparation: str,
        inner: dict[str, Any],
        error: ErrorOptions,
        fold: int,
        images: Indices,
    ) -> Scores:
        """Return the scores of images by index."""
        drawn = self.by(preparation, fold, **inner)[images]
        return scores_between(self.values(preparation).values[images], drawn, options=error)

    def final(self, chosen: dict[str, Any]) -> list[Judge]:
        """Return what scores images by the chosen setting, one per fold."""
        inner = dict(chosen)
        preparation, error = inner.pop("preparation"), ERRORS[inner.pop("error")]

        def judge_with(fold: int) -> Judge:
            return lambda images: self.judge(preparation, inner, error, fold, images)

        return [judge_with(number) for number in range(FOLDS)]


class Plain(VariationalAutoencoder):
    """A convolutional autoencoder: the mean code alone, trained as it is used."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the images as drawn from their codes."""
        return self.decode(self.encode(images))


def _autoencoder(kind: str, code: int, normal: Tensor) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "convolutional":
            return Plain(code, SMALL, 1, 16)
        network = NarrowAutoencoder(code, SMALL, 1, 12)
    network.start_from(normal)
    return network


def _drawers(method: str) -> Iterator[dict[str, Any]]:
    if method == "principal components":
        yield from ({"components": count} for count in COMPONENTS)
        return
    for kind, code in itertools.product(EPOCHS, CODES):
        yield from ({"kind": kind, "code": code, "epochs": epochs} for epochs in EPOCHS[kind])
