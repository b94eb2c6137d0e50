"""A trained network with all that is needed to use it, in one safetensors file.

The file holds the weights; its metadata hold the facts as JSON under the key ``aegle``. Nothing
in it is executed when it is read.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from aegle import catalogue
from aegle import options as plain_values
from aegle.domain.errors import AegleError, FileError, InputError, OptionError
from aegle.learning.batches import memory_format, normalise, scaled
from aegle.learning.preparation import PreparationOptions, prepare

Task = Literal["classify", "reconstruct", "anomaly", "segment", "instances", "detect"]

KEY = "aegle"
"""Under which the facts lie in the metadata."""
ARRAY = "array."
"""What the names of arrays begin with that are no weights."""
BATCH = 16
"""Images that go through the network together."""
LARGEST_HALF = 65504.0
"""IEEE 754 binary16: larger weights stay in single precision."""
REMEDY = "Take a model file that this version wrote, whole."


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """All that is known of a model besides its weights; plain data, kept as JSON."""

    name: str
    """Name with version, e.g. ``radiograph-pneumonia 1``."""
    task: Task
    network: str
    """Name in the catalogue, kind ``network``."""
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    preparation: PreparationOptions = field(default_factory=PreparationOptions)
    channels: int = 1
    """Channels that the network takes; one prepared channel is repeated."""
    mean: tuple[float, ...] = (0.5,)
    """Subtracted from values in [0, 1], per channel."""
    deviation: tuple[float, ...] = (0.5,)
    """Divided by, per channel."""
    flips: bool = False
    """Whether the mean of the image and its mirror image is taken."""
    temperature: float = 1.0
    """Logits are divided by it before softmax."""
    modalities: tuple[str, ...] = ()
    """DICOM modalities that it is made for; empty for any."""
    body_parts: tuple[str, ...] = ()
    """DICOM body parts examined that it is made for; empty for any."""
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    """Data sets with citation."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Scores with their intervals, by name."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What only this task needs, such as the limit of an anomaly score."""

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if len(values) not in {1, self.channels}:
                raise InputError(
                    f"Model '{self.name}' has {len(values)} values of {name} for "
                    f"{self.channels} channels; give one, or one per channel."
                )
        if not (self.temperature > 0 and min(self.deviation) > 0):
            raise InputError(
                f"Model '{self.name}' has temperature {self.temperature} and deviation "
                f"{self.deviation}; both must be positive."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A trained network that can be used.

    Images go in as stored, or (methods that end in ``_of``) as prepared: 0 to 255, shape
    (image, channel, row, column) or (image, channel, slice, row, column).
    """

    facts: ModelFacts
    network: nn.Module
    digest: str = ""
    """SHA-256 of the file it came from."""
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """What only this task needs besides the weights, such as a memory bank; kept as it is."""

    def __post_init__(self) -> None:
        ready(self.network)

    def prepared(self, pixels: Sequence[NDArray[np.generic]]) -> NDArray[np.uint8]:
        """Return images as stored at the size and scale that the network takes."""
        return np.stack([prepare(image, options=self.facts.preparation) for image in pixels])

    def probabilities(self, pixels: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
        """Return calibrated class probabilities of images as stored, shape (image, class)."""
        return self.probabilities_of(self.prepared(pixels))

    def probabilities_of(self, values: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return calibrated class probabilities of prepared images, shape (image, class)."""
        scaled = self.logits_of(values) / self.facts.temperature
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return probabilities

    def logits(self, pixels: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
        """Return what the network gives for images as stored, shape (image, class)."""
        return self.logits_of(self.prepared(pixels))

    def logits_of(self, values: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return what the network gives for prepared images, before the temperature."""
        return np.concatenate([self._logits(batch) for batch in self._batches(values)])

    def reconstruct(self, pixels: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
        """Return images as stored as an autoencoder draws them, prepared, values in [0, 1]."""
        return self.reconstruct_of(self.prepared(pixels))

    def reconstruct_of(self, values: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return prepared images as an autoencoder draws them, values in [0, 1]."""
        drawn = np.concatenate([self._drawn(batch) for batch in self._batches(values)])
        return drawn[:, : values.shape[1]]

    def encode(self, pixels: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
        """Return the codes that an autoencoder gives to images as stored, (image, code)."""
        return self.encode_of(self.prepared(pixels))

    def encode_of(self, values: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the codes that an autoencoder gives to prepared images, (image, code)."""
        encode = getattr(self.network, "encode", None)
        if encode is None:
            raise InputError(
                f"Model '{self.facts.name}' is no autoencoder, so it gives no codes; take one."
            )
        return np.concatenate([_array(encode(batch)) for batch in self._batches(values)])

    def _logits(self, images: Tensor) -> NDArray[np.float64]:
        logits = self.network(images)
        if self.facts.flips:
            logits = (logits + self.network(images.flip(-1))) / 2
        return _array(logits).astype(np.float64)

    def _drawn(self, images: Tensor) -> NDArray[np.float32]:
        drawn = self.network(images).float().cpu()
        shape = (1, -1) + (1,) * (drawn.ndim - 2)
        deviation = torch.tensor(self.facts.deviation).view(shape)
        return _array(drawn * deviation + torch.tensor(self.facts.mean).view(shape))

    def _batches(self, values: NDArray[np.uint8]) -> Iterator[Tensor]:
        """Yield normalised images with the network ready to take them."""
        if len(values) == 0:
            raise InputError(f"Model '{self.facts.name}' was given no image.")
        self.network.eval()
        place = next(self.network.parameters(), torch.empty(0)).device
        with torch.inference_mode():
            for start in range(0, len(values), BATCH):
                yield normalised(values[start : start + BATCH], self.facts).to(place)


def normalised(values: NDArray[np.uint8], facts: ModelFacts) -> Tensor:
    """Return prepared images as the network takes them: channels repeated, scaled.

    Args:
        values: 0 to 255, shape (image, channel, ...).
        facts: Channels, mean and deviation.

    Raises:
        InputError: The images have neither one channel nor as many as the network takes.
    """
    channels = values.shape[1]
    if channels not in {1, facts.channels}:
        raise InputError(
            f"Model '{facts.name}' takes {facts.channels} channels, the images have {channels}."
        )
    images = normalise(scaled(values), facts.mean, facts.deviation)
    images = images.expand(len(values), facts.channels, *values.shape[2:])
    return images.contiguous(memory_format=memory_format(images.ndim))


def save(model: Model, path: Path, *, half: bool = False) -> Path:
    """Write a model whole or not at all.

    Args:
        model: What to write.
        path: Where; an older file there is replaced.
        half: Whether weights of two and more dimensions are stored in half precision. The file
            has half the size; the model read from it differs by the rounding.

    Raises:
        InputError: The facts hold something that is no plain data.
        FileError: The file cannot be written.
    """
    state = {name: _stored(value, half=half) for name, value in _state(model.network).items()}
    for name, array in model.arrays.items():
        state[ARRAY + name] = torch.from_numpy(np.array(array, order="C"))
    content = to_bytes(state, metadata={KEY: _facts_text(model.facts)})
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise FileError(
            path, f"cannot be written ({error.strerror}).", "Choose a writable folder with space."
        ) from error
    return path


def load(path: Path) -> Model:
    """Read a model.

    Raises:
        FileError: The file is damaged, no model of ours, or its weights do not fit its network.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            state = {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}).", REMEDY) from error
    except SafetensorError as error:
        raise FileError(path, f"is damaged or no safetensors file ({error}).", REMEDY) from error
    if KEY not in metadata:
        raise FileError(path, "is a safetensors file, but no model of Aegle.", REMEDY)
    facts = _facts(metadata[KEY], path)
    network = _network(facts, path)
    arrays = {
        name.removeprefix(ARRAY): state.pop(name).numpy().copy()
        for name in sorted(state)
        if name.startswith(ARRAY)
    }
    _fill(network, state, path)
    return Model(facts=facts, network=network, digest=digest, arrays=arrays)


def ready(network: nn.Module) -> nn.Module:
    """Put a network into evaluation mode, the weights of its convolutions channels last."""
    dimensions = max((parameter.ndim for parameter in network.parameters()), default=0)
    network.to(memory_format=memory_format(dimensions))  # type: ignore[call-overload]
    return network.eval()


def _facts_text(facts: ModelFacts) -> str:
    """Return the facts as JSON in one order."""
    try:
        plain = TypeAdapter(ModelFacts).dump_json(facts, fallback=_plain)
    except ValueError as error:
        raise InputError(
            f"The facts of model '{facts.name}' hold something that is no plain data: {error}"
        ) from error
    return json.dumps(json.loads(plain), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not kept in a model file.")


def _facts(text: str, path: Path) -> ModelFacts:
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise OptionError("The facts are no table.")
        facts: ModelFacts = plain_values.read(ModelFacts, values)
    except (ValueError, RecursionError) as error:
        raise FileError(path, f"holds facts that cannot be used: {error}", REMEDY) from error
    return facts


def _network(facts: ModelFacts, path: Path) -> nn.Module:
    """Return the network without memory for its weights, whatever its size."""
    try:
        build = catalogue.load("network", facts.network)
        with torch.device("meta"):
            network: nn.Module = build(**facts.network_settings)
    except (AegleError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise FileError(path, f"names a network that cannot be built: {error}", REMEDY) from error
    return network


def _state(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.state_dict())


def _stored(value: Tensor, *, half: bool) -> Tensor:
    plain = value.detach().cpu().contiguous()
    if half and plain.ndim > 1 and plain.is_floating_point() and _fits_half(plain):
        return plain.half()
    return plain


def _fits_half(value: Tensor) -> bool:
    return bool(value.abs().max() <= LARGEST_HALF) if value.numel() else True


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Give a network its weights; all of them have to fit."""
    wanted = _state(network)
    wrong = sorted(
        name
        for name in wanted.keys() | state.keys()
        if name not in wanted or name not in state or wanted[name].shape != state[name].shape
    )
    if wrong:
        raise FileError(
            path,
            f"holds weights that do not fit its network in {len(wrong)} places, "
            f"first in '{wrong[0]}'.",
            REMEDY,
        )
    weights = {name: value.to(wanted[name].dtype, copy=True) for name, value in state.items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise FileError(path, "holds weights that are infinite or not numbers.", REMEDY)
    network.load_state_dict(weights, assign=True)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
