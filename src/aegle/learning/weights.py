"""Weights learned elsewhere: fetched, read without running anything, and matched by name.

Names and shapes decide. Known differences in naming are translated: the wrapper ``module.`` of
parallel training (also in MedicalNet's 3-D ResNets), torchvision's DenseNet against MONAI's,
and convolutions into which batch normalisation was folded.
"""

import hashlib
import http.client
import pickle
import re
import struct
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from aegle.domain.errors import FileError, InputError, OptionError
from aegle.learning.networks.stages import stages

State = dict[str, Tensor]
Progress = Callable[[int, int], None]
"""Told of the bytes done and the bytes in all; 0 in all where the server does not say."""

CHUNK = 1 << 20
TIMEOUT_S = 30.0
LEAST_MATCH = 0.5
"""Share of the body's weights that must fit, below which the file is for another network."""
WRAPPERS = ("module.", "model.", "network.", "backbone.", "encoder.")
"""Put before every name by whoever wrapped the network."""
NESTED = ("state_dict", "model_state_dict", "model")
"""Under which checkpoints keep the weights beside other things."""
COUNTER = "num_batches_tracked"
"""Steps that batch normalisation has seen; older files lack it, and nothing depends on it."""
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, RuntimeError),
    *(AttributeError, TypeError, AssertionError, struct.error),
)
"""What readers raise over files that are cut off or of another kind."""
DENSE_LAYER = re.compile(r"(.*denselayer\d+)\.(norm|conv)\.?([12]\..+)")


@dataclass(frozen=True, eq=False, kw_only=True)
class Matched:
    """Which weights of a file fit a network; names are the network's, except unexpected ones."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """Of the network, not in the file."""
    unexpected: tuple[str, ...]
    """In the file, not in the network."""
    mismatched: tuple[str, ...]
    """In both, of other shape; a head for other classes is found here."""
    adapted: tuple[str, ...] = ()
    """Among the matched: first convolutions brought to another number of channels."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """The matched weights by the network's names."""

    def __str__(self) -> str:
        """Return the numbers in one sentence."""
        return (
            f"{len(self.matched)} weights match, {len(self.missing)} are missing, "
            f"{len(self.unexpected)} unexpected, {len(self.mismatched)} of other shape."
        )


def fetch(source: str, sha256: str, cache: Path, *, progress: Progress | None = None) -> Path:
    """Return the local file of weights, downloading it once if it is a URL.

    Args:
        source: A path, or a URL that begins with http:// or https://.
        sha256: SHA-256 of the file in hexadecimal digits; required for a URL.
        cache: Folder for downloaded files.
        progress: Told of the bytes done and in all.

    Raises:
        OptionError: A URL without SHA-256, or of another scheme.
        FileError: The file is missing, cannot be downloaded whole, or is another one.
    """
    expected = sha256.strip().lower()
    parts = urlsplit(source)
    if parts.scheme in {"http", "https"}:
        return _downloaded(source, expected, cache, progress)
    if "://" in source:
        raise OptionError(f"Weights cannot be fetched by '{parts.scheme}'; give https or a path.")
    path = Path(source)
    if not path.is_file():
        raise FileError(path, "is no file.", "Give the path or URL of a file with weights.")
    if expected:
        _check(_digest(path), expected, source)
    return path


def read_state(path: Path) -> State:
    """Read weights by name; nothing in the file is executed.

    Takes ``.safetensors``, ``.npz`` (also whole numbers as ``NAME.weight_int8`` with
    ``NAME.scale`` per output channel), and ``.pt``, ``.pth`` or ``.pth.tar``.

    Raises:
        FileError: The file is damaged, of another kind, or holds more than numbers.
    """
    readers: dict[str, Callable[[Path], State]] = {
        ".safetensors": load_file,
        ".npz": _read_npz,
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".pth.tar": _read_torch,
    }
    reader = next((read for end, read in readers.items() if path.name.endswith(end)), None)
    if reader is None:
        raise FileError(path, "is of a kind that is not read.", f"Give {', '.join(readers)}.")
    try:
        state: State = reader(path)
    except pickle.UnpicklingError as error:
        raise FileError(
            path, "holds more than weights, or is damaged.", "Save its state dictionary alone."
        ) from error
    except DAMAGE as error:
        raise FileError(path, f"cannot be read: {error}.", "Fetch the file again.") from error
    except (SafetensorError, zipfile.BadZipFile) as error:
        raise FileError(path, f"is damaged ({error}).", "Fetch the file again.") from error
    if not state:
        raise FileError(path, "holds no weights.", "Give a file with a state dictionary.")
    return state


def map_keys(state: Mapping[str, Tensor], network: nn.Module) -> Matched:
    """Return which weights of a file fit a network, translated to the network's names."""
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith(COUNTER)}
    given = _translated(state, network, set(wanted))
    fitting, adapted = {}, []
    first = _first_convolution(network)
    for name in sorted(given.keys() & wanted.keys()):
        value, shape = given[name], wanted[name].shape
        if value.shape != shape and name == first:
            value = _with_channels(value, shape)
            adapted += [name] if value.shape == shape else []
        if value.shape == shape:
            fitting[name] = value
    return Matched(
        matched=tuple(fitting),
        missing=tuple(sorted(wanted.keys() - given.keys())),
        unexpected=tuple(sorted(given.keys() - wanted.keys())),
        mismatched=tuple(sorted((given.keys() & wanted.keys()) - fitting.keys())),
        adapted=tuple(adapted),
        tensors=fitting,
    )


def load_into(network: nn.Module, state: Mapping[str, Tensor]) -> Matched:
    """Put weights into a network and return what fitted; a head of other size stays as it is.

    Raises:
        InputError: Less than half of the weights of the body fit.
    """
    matched = map_keys(state, network)
    body = _body_names(network)
    fitting = len(body & set(matched.matched))
    if fitting < LEAST_MATCH * len(body):
        raise InputError(
            f"Only {fitting} of {len(body)} weights before the head of "
            f"{type(network).__name__} are in the file; it is for another network. "
            f"First of the file: {', '.join(list(state)[:3])}."
        )
    own = network.state_dict()
    with torch.no_grad():
        for name, value in matched.tensors.items():
            own[name].copy_(value)
    return matched


def _downloaded(url: str, expected: str, cache: Path, progress: Progress | None) -> Path:
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise OptionError(f"{url} needs its SHA-256 (64 hexadecimal digits), to know the file.")
    name = Path(urlsplit(url).path).name or "weights"
    path = cache / f"{expected[:16]}-{name}"
    if path.is_file() and _digest(path) == expected:
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.NamedTemporaryFile(dir=cache, suffix=".part", delete=False).name)  # noqa: SIM115
    except OSError as error:
        raise FileError(cache, f"cannot be written ({error.strerror}).", "Free it.") from error
    try:
        _check(_download(url, part, progress), expected, url)
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        remedy = "Check the address and the connection, or give a local file."
        raise FileError(url, f"cannot be downloaded: {error}.", remedy) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _download(url: str, part: Path, progress: Progress | None) -> str:
    """Write what a URL gives and return its SHA-256."""
    total, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, part.open("wb") as file:
        announced = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(CHUNK):
            file.write(block)
            total.update(block)
            done += len(block)
            if progress:
                progress(done, announced)
    if done < announced:
        raise http.client.HTTPException(f"{done} of {announced} bytes came")
    return total.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(found: str, expected: str, source: str) -> None:
    if found != expected:
        raise FileError(
            source,
            f"has SHA-256 {found}, expected {expected}.",
            "It is another or a changed file; check the address and the digits.",
        )


def _read_npz(path: Path) -> State:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {
        name: value
        for key, array in arrays.items()
        if not key.endswith(".scale")
        for name, value in [_from_array(key, array, arrays)]
    }


def _from_array(
    key: str, array: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> tuple[str, Tensor]:
    """Return name and value of one entry; whole numbers get back their scale per output."""
    if not key.endswith(".weight_int8"):
        return key, torch.from_numpy(np.array(array))
    layer = key.removesuffix(".weight_int8")
    scale = arrays[f"{layer}.scale"].astype(np.float32).reshape(-1, *(1,) * (array.ndim - 1))
    return f"{layer}.weight", torch.from_numpy(array.astype(np.float32) * scale)


def _read_torch(path: Path) -> State:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for name in NESTED:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict):
        raise ValueError("it holds no state dictionary")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _translated(state: Mapping[str, Tensor], network: nn.Module, wanted: set[str]) -> State:
    """Return weights under the names that the network uses."""
    plain = {_renamed(k, wanted): v for k, v in _unwrapped(state, wanted).items()}
    plain = {k: v for k, v in plain.items() if not k.endswith(COUNTER)}
    return _folding(plain, network)


def _unwrapped(state: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """Return weights without what a wrapper put before each name."""
    names = dict(state)
    for wrapper in WRAPPERS:
        ours = any(name.startswith(wrapper) for name in wanted)
        if not ours and all(name.startswith(wrapper) for name in names):
            names = {name.removeprefix(wrapper): value for name, value in names.items()}
    return names


def _renamed(name: str, wanted: set[str]) -> str:
    """Return a name of torchvision's DenseNet as MONAI has it; others as they are."""
    layer = DENSE_LAYER.fullmatch(name)
    if layer and f"{layer[1]}.layers.{layer[2]}{layer[3]}" in wanted:
        return f"{layer[1]}.layers.{layer[2]}{layer[3]}"
    last = name.replace("classifier.", "class_layers.out.", 1)
    return last if last in wanted else name


def _folding(state: State, network: nn.Module) -> State:
    """Return weights with batch normalisation folded or not, as the network has it."""
    changed = dict(state)
    for convolution, name, norm in _convolutions(network):
        bias, scale = f"{convolution}.bias", f"{name}.weight"
        if norm is not None and bias in changed and scale not in changed:
            _unfold(changed, bias, name, norm.eps)
        elif norm is None and scale in changed and bias not in changed:
            _fold(changed, convolution, name)
    return changed


def _unfold(state: State, bias: str, name: str, eps: float) -> None:
    """Move the bias of a convolution into a normalisation that changes nothing else."""
    value = state.pop(bias)
    state[f"{name}.bias"] = value
    state[f"{name}.weight"] = torch.full_like(value, (1 + eps) ** 0.5)
    state[f"{name}.running_mean"] = torch.zeros_like(value)
    state[f"{name}.running_var"] = torch.ones_like(value)


def _fold(state: State, convolution: str, name: str) -> None:
    """Move a normalisation into the convolution before it."""
    parts = ("weight", "bias", "running_mean", "running_var")
    weight, bias, mean, variance = (state.pop(f"{name}.{part}") for part in parts)
    scale = weight / (variance + nn.BatchNorm2d(1).eps).sqrt()
    kernel = state[f"{convolution}.weight"]
    state[f"{convolution}.weight"] = kernel * scale.view(-1, *(1,) * (kernel.ndim - 1))
    state[f"{convolution}.bias"] = bias - mean * scale


def _convolutions(network: nn.Module) -> list[tuple[str, str, nn.BatchNorm2d | None]]:
    """Return the names of convolutions and of what follows: a normalisation, or its place."""
    found: list[tuple[str, str, nn.BatchNorm2d | None]] = []
    for path, parent in network.named_modules():
        before = f"{path}." if path else ""
        children = parent.named_children() if isinstance(parent, nn.Sequential) else []
        for (name, layer), (next_name, follower) in pairwise(children):
            normalised = isinstance(follower, nn.BatchNorm2d | nn.Identity)
            if isinstance(layer, nn.Conv2d) and normalised:
                norm = follower if isinstance(follower, nn.BatchNorm2d) else None
                found.append((before + name, before + next_name, norm))
    return found


def _first_convolution(network: nn.Module) -> str:
    """Return the name of the weights of the convolution that meets the image."""
    kinds = (nn.Conv2d, nn.Conv3d)
    layers = (name for name, module in network.named_modules() if isinstance(module, kinds))
    return f"{next(layers, '')}.weight"


def _with_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    """Return weights of a first convolution for another number of channels.

    One channel in place of several takes their sum: the answer to a grey picture stays.
    Otherwise each channel takes the mean, scaled so that the answer to equal channels stays.
    """
    if weight.ndim != len(shape) or weight.shape[:1] + weight.shape[2:] != shape[:1] + shape[2:]:
        return weight
    total = weight.sum(1, keepdim=True)
    return (total / shape[1]).expand(shape)


def _body_names(network: nn.Module) -> set[str]:
    """Return the names of all parameters before the head."""
    _, last = stages(network)[-1]
    head = {id(parameter) for module in last for parameter in module.parameters()}
    return {name for name, value in network.named_parameters() if id(value) not in head}
