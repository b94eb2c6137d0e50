"""The state of a training on disk: one safetensors file, whole or not there.

The tensors are the file's content; the facts (epochs done, options, what it belongs to) are
JSON in its metadata under the key ``aegle``, so that both are replaced in one moment.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aegle.domain.errors import FileError

KEY = "aegle"


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """Tensors by name with what is known about them."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below a prefix, by the rest of their names."""
        start = f"{prefix}/"
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with a prefix before their names."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; until it is whole the one before stays.

    Raises:
        FileError: It cannot be written, for instance because the disk is full.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    metadata = {KEY: json.dumps(checkpoint.facts, sort_keys=True)}
    write_whole(path, lambda part: save_file(tensors, part, metadata=metadata))


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FileError: The file is damaged or no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileError(
            path,
            f"is no whole checkpoint ({error}).",
            "Remove it to begin the training anew.",
        ) from error
    return Checkpoint(tensors=tensors, facts=facts)


def write_whole(path: Path, write_to: Callable[[Path], object]) -> None:
    """Let a file be written under another name, then give it its own.

    Args:
        path: The file.
        write_to: Writes it to the path that it is given.

    Raises:
        FileError: It cannot be written; what stood there before stands there still.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to(part)
        _settle(part)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise FileError(
            path,
            f"cannot be written ({error}); what was saved before is kept.",
            "Make room or choose another folder, then start the training again to go on.",
        ) from error


def _settle(path: Path) -> None:
    """Wait until a file lies on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
