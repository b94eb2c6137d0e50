"""Keep any result of the domain in a folder, and get the same result back.

A result is written as ``result.json`` and one ``.npy`` file per array. How it is read back is
taken from the type annotations of the domain's dataclasses; nothing else describes the format.
The same result always gives the same bytes.
"""

import dataclasses
import hashlib
import json
import types
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError

RESULT = "result.json"
Result = TypeVar("Result")
Array = NDArray[Any]


def write(result: Any, folder: Path) -> str:
    """Write a result into an existing, empty folder.

    Args:
        result: A dataclass whose fields are dataclasses, tuples, mappings, enums, arrays,
            dates, text, numbers or None.
        folder: Where to write.

    Returns:
        SHA-256 over everything written.
    """
    arrays: dict[str, Array] = {}
    tree = _plain(result, arrays)
    text = json.dumps(tree, ensure_ascii=False, indent=1, sort_keys=True)
    total = hashlib.sha256(text.encode())
    for name, array in arrays.items():
        np.save(folder / name, array, allow_pickle=False)
        total.update(np.ascontiguousarray(array).data)
    (folder / RESULT).write_text(text, encoding="utf-8")
    return total.hexdigest()


def read(kind: type[Result], folder: Path) -> Result:
    """Read back what :func:`write` wrote; large arrays stay on disk until they are used.

    Raises:
        FileError: The folder does not hold a result of that kind.
    """
    try:
        tree = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return _rebuilt(tree, kind, folder)  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            folder,
            f"is not a stored {kind.__name__} ({error}).",
            "Delete the folder and run again.",
        ) from error


def _plain(value: Any, arrays: dict[str, Array]) -> Any:
    """Return ``value`` as JSON data; arrays are set aside under a file name."""
    if isinstance(value, np.ndarray):
        return _set_aside(value, arrays)
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name), arrays)
            for field in dataclasses.fields(value)
            if field.init
        }
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, arrays) for item in value]
    return value


def _set_aside(array: Array, arrays: dict[str, Array]) -> dict[str, Any]:
    name = f"{len(arrays):04d}.npy"
    if array.dtype == np.bool_:
        arrays[name] = np.packbits(array)
        return {"bits": name, "shape": list(array.shape)}
    arrays[name] = np.asarray(array)
    return {"array": name}


def _rebuilt(tree: Any, kind: Any, folder: Path) -> Any:
    """Return the value that ``tree`` stands for, given its annotated type."""
    origin = get_origin(kind)
    if origin in _GENERIC:
        return _GENERIC[origin](tree, get_args(kind), folder)
    if not isinstance(kind, type):
        return tree
    if dataclasses.is_dataclass(kind):
        kind = _fitting(kind, tree)
        hints = get_type_hints(kind)
        return kind(**{k: _rebuilt(v, hints[k], folder) for k, v in tree.items()})
    if issubclass(kind, Enum):
        return kind[tree]
    if issubclass(kind, date):
        return kind.fromisoformat(tree)
    return tree


def _fitting(kind: Any, tree: Mapping[str, Any]) -> Any:
    """Return the class that was kept: the annotated one, or that of its kinds with these fields."""
    for one in (kind, *kind.__subclasses__()):
        if {field.name for field in dataclasses.fields(one) if field.init} == set(tree):
            return one
    return kind


def _rebuilt_choice(tree: Any, kinds: tuple[Any, ...], folder: Path) -> Any:
    """Return a value of one of several types: a dataclass if it was kept as one."""
    choices = [kind for kind in kinds if kind is not types.NoneType]
    if isinstance(tree, dict):
        choices = [choice for choice in choices if dataclasses.is_dataclass(choice)] or choices
    if tree is None or len(choices) != 1:
        return tree
    return _rebuilt(tree, choices[0], folder)


def _rebuilt_tuple(tree: Any, kinds: tuple[Any, ...], folder: Path) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_rebuilt(item, kinds[0], folder) for item in tree)
    return tuple(_rebuilt(item, one, folder) for item, one in zip(tree, kinds, strict=True))


def _rebuilt_mapping(tree: Any, kinds: tuple[Any, ...], folder: Path) -> dict[str, Any]:
    return {key: _rebuilt(value, kinds[1], folder) for key, value in tree.items()}


def _loaded(tree: Mapping[str, Any], _: tuple[Any, ...], folder: Path) -> Array:
    if "bits" in tree:
        bits = np.load(folder / tree["bits"], allow_pickle=False)
        size = int(np.prod(tree["shape"]))
        return np.unpackbits(bits, count=size).astype(np.bool_).reshape(tree["shape"])
    path = folder / tree["array"]
    large = path.stat().st_size > 1 << 20
    return np.load(path, mmap_mode="r" if large else None, allow_pickle=False)  # type: ignore[no-any-return]


_GENERIC: dict[Any, Callable[[Any, tuple[Any, ...], Path], Any]] = {
    Union: _rebuilt_choice,
    types.UnionType: _rebuilt_choice,
    tuple: _rebuilt_tuple,
    Mapping: _rebuilt_mapping,
    np.ndarray: _loaded,
}
"""How a value of a generic type is rebuilt, given the types it is made of."""
