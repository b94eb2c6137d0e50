"""A trained network used on a whole image, and its result brought back to the image's own grid."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass as plain
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle import options as plain_values
from aegle.domain.errors import InputError
from aegle.imaging.cubic import resized
from aegle.imaging.label_export import Window
from aegle.learning.annotations import PlacedImage
from aegle.learning.dense.configuration import Configuration
from aegle.learning.dense.engines import (
    Engine,
    TileNeed,
    mirrored,
    openvino_engine,
    tile_need,
    torch_engine,
    usable_precision,
)
from aegle.learning.dense.objects import ObjectOptions, objects_of
from aegle.learning.dense.prepared import prepare_image
from aegle.learning.dense.sliding_window import Window3D, box_of_interest, labels_of, scores_of
from aegle.learning.model import Model
from aegle.options import option

CONFIGURATION, OBJECTS = "configuration", "objects"
"""Under which the facts' extras keep the configuration, and how objects are parted."""


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """How a network is moved over an image."""

    step: Annotated[
        float,
        option(
            "Largest distance of neighbouring tiles, in tiles", gt=0, le=1, source="Isensee 2021"
        ),
    ] = 0.5
    mirrors: Annotated[
        bool, option("Take the mean over mirror images (test-time augmentation)")
    ] = False
    precision: Annotated[
        Literal["float32", "bfloat16"],
        option("Number format of the network; float32 on processors without bfloat16"),
    ] = "bfloat16"
    engine: Annotated[
        Literal["torch", "openvino"], option("What computes; openvino is an extra, CPU only")
    ] = "torch"
    memory_mb: Annotated[
        float, option("Memory beside the image and the network", unit="MB", ge=64)
    ] = 2000.0
    threads: Annotated[int, option("Processor threads; 0 for all", ge=0)] = 0
    margin_mm: Annotated[
        float, option("Added around what a coarse model finds", unit="mm", ge=0)
    ] = 20.0


def outline(
    model: Model,
    image: PlacedImage,
    *,
    options: InferenceOptions,
    coarse: Model | None = None,
) -> NDArray[np.uint8 | np.uint16]:
    """Return the class (task segment) or the object (task instances) of each voxel.

    Args:
        model: Made for such images.
        image: As stored.
        options: How the network is moved over it.
        coarse: A faster model that segments; only the box around what it finds, with a margin,
            is looked at closely. The rest is background.

    Returns:
        Shape (slice, row, column) on the image's own grid; 0 is background.

    Raises:
        InputError: The model does not outline, or does not take such an image.
        OptionError: The memory is too little, or the engine is not installed.
    """
    with _threads(options.threads):
        looking = _Looking.of(model, image, options)
        if model.facts.task == "instances":
            return _objects(model, looking.scores(), image)
        if coarse is None:
            return looking.labels(image.grid.shape)
        found = _Looking.of(coarse, image, options).labels(image.grid.shape)
        return looking.labels_within(image, found > 0)


def probabilities(
    model: Model, image: PlacedImage, *, options: InferenceOptions
) -> NDArray[np.float32]:
    """Return the probability of each class on the prepared grid, (class, slice, row, column).

    For objects the classes are background and foreground. All classes are held at once.

    Raises:
        InputError: The model does not outline, or does not take such an image.
        OptionError: The memory is too little, or the engine is not installed.
    """
    with _threads(options.threads), torch.inference_mode():
        scores = _Looking.of(model, image, options).scores()
        if model.facts.task == "instances":
            inside = _sigmoid(scores[0])
            return np.stack([1 - inside, inside])
        shares: NDArray[np.float32] = torch.from_numpy(scores).softmax(0).numpy()
        return shares


def configuration_of(model: Model) -> Configuration:
    """Return the configuration that a model was trained with.

    Raises:
        InputError: The model carries none, so it does not outline.
    """
    values = model.facts.extras.get(CONFIGURATION)
    if values is None or model.facts.task not in {"segment", "instances"}:
        raise InputError(
            f"Model '{model.facts.name}' does not outline (its task is '{model.facts.task}'); "
            "take one of task 'segment' or 'instances'."
        )
    found: Configuration = plain_values.read(Configuration, values, section=CONFIGURATION)
    return found


@plain(frozen=True, eq=False, kw_only=True)
class _Looking:
    """A model that looks at one prepared image."""

    values: NDArray[np.float32]
    """As the network sees it, (channel, slice, row, column)."""
    configuration: Configuration
    engine: Engine
    need: TileNeed
    window: Window3D
    options: InferenceOptions

    @classmethod
    def of(cls, model: Model, image: PlacedImage, options: InferenceOptions) -> "_Looking":
        configuration = configuration_of(model)
        values = prepare_image(image, configuration)
        model.network.eval()
        side = configuration.patch if configuration.axes == 3 else configuration.patch[1:]
        shape = (len(values), *side)
        device = next(model.network.parameters(), torch.empty(0)).device
        precision = usable_precision(options.precision, device)
        if options.engine == "openvino":
            engine = openvino_engine(
                model.network, shape, precision=precision, threads=options.threads
            )
        else:
            engine = torch_engine(model.network, precision=precision)
        if options.mirrors or configuration.mirrors:
            engine = mirrored(engine, configuration.axes)
        window = Window3D(
            tile=configuration.patch,
            axes=configuration.axes,
            step=options.step,
            memory_mb=options.memory_mb,
            precision=precision,
        )
        return cls(
            values=values,
            configuration=configuration,
            engine=engine,
            need=tile_need(model.network, shape),
            window=window,
            options=options,
        )

    def scores(self) -> NDArray[np.float32]:
        """Return what the network gives, (class, slice, row, column)."""
        return scores_of(self.engine, self.values, need=self.need, window=self.window)

    def labels(
        self, shape: tuple[int, int, int], *, box: Window | None = None
    ) -> NDArray[np.uint8 | np.uint16]:
        """Return the class of each voxel of a grid with the same outer faces."""
        return labels_of(
            self.engine, self.values, shape, need=self.need, window=self.window, box=box
        )

    def labels_within(
        self, image: PlacedImage, mask: NDArray[np.bool_]
    ) -> NDArray[np.uint8 | np.uint16]:
        """Return the class of each voxel in the box around a mask, background elsewhere."""
        shape = self.values.shape[1:]
        sizes_mm = np.multiply(image.grid.shape, image.grid.spacing_mm)
        margin = np.ceil(self.options.margin_mm / sizes_mm * shape).astype(int)
        box = box_of_interest(
            mask,
            (shape[0], shape[1], shape[2]),
            margin=(int(margin[0]), int(margin[1]), int(margin[2])),
        )
        return self.labels(image.grid.shape, box=box)


def _objects(model: Model, scores: NDArray[np.float32], image: PlacedImage) -> NDArray[np.uint16]:
    """Return the objects on the image's own grid, from the foreground's logit and the distance."""
    shape = image.grid.shape
    inside, distance = (
        resized(values, shape, order=1) for values in (_sigmoid(scores[0]), scores[1])
    )
    values = model.facts.extras.get(OBJECTS, {})
    return objects_of(inside, distance, plain_values.read(ObjectOptions, values, section=OBJECTS))


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = torch.from_numpy(np.ascontiguousarray(values)).sigmoid().numpy()
    return found


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Use so many threads in between."""
    usual = torch.get_num_threads()
    torch.set_num_threads(count or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
