"""A fusion model in one safetensors file: weights and arrays, and the facts as JSON beside them.

The facts name every feature with its unit, its categories and its possible range, so that a table
in other units is refused, not misread. Nothing in the file is executed when it is read.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from aegle.domain.errors import FileError, InputError
from aegle.learning.fusion.blend import Baselines, Blend
from aegle.learning.fusion.boosting import LateFusion
from aegle.learning.fusion.encoding import Encoder
from aegle.learning.fusion.fitting import Fusion
from aegle.learning.fusion.network import MaskedFusion
from aegle.learning.fusion.subsets import Pattern, SubsetModels
from aegle.learning.fusion.table import Feature, Table, Values
from aegle.learning.fusion.trees import trees_of

KEY = "aegle-fusion"
REMEDY = "Take a fusion model that this version wrote, whole."
ENCODER = ("shift", "mean", "deviation", "flagged")


@dataclass(frozen=True, eq=False, kw_only=True)
class FusionModel:
    """A network and, for classes, boosted trees, with what is known of them."""

    name: str
    blend: Blend
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Plain data: classes, data sets, licence, what was measured."""
    digest: str = ""
    """SHA-256 of the file it came from."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """What it takes, with units, categories and possible ranges."""
        return self.blend.fusion.encoder.features

    def risk(self, table: Table) -> Values:
        """Return one number per row, larger where the event is likelier or earlier.

        Raises:
            InputError: The table has other features, or a value outside its possible range.
        """
        require_possible(table)
        return self.blend.risk(table)

    def probabilities(self, table: Table) -> Values:
        """Return the probability of the positive class, shape (row,).

        Raises:
            InputError: The model foretells times; or as for ``risk``.
        """
        if self.blend.fusion.head != "classify":
            raise InputError("A survival model gives risks, not class probabilities; ask for them.")
        found: Values = 1 / (1 + np.exp(-self.risk(table)))
        return found


def require_possible(table: Table) -> None:
    """Raise InputError where a value lies outside the possible range of its feature."""
    for feature, values in zip(table.features, table.values.T, strict=True):
        wrong = values[(values < feature.low) | (values > feature.high)]
        if wrong.size:
            raise InputError(
                f"'{feature.name}' is {wrong[0]:g} {feature.unit}, possible are {feature.low:g} to "
                f"{feature.high:g}. Check the unit, or leave the value out."
            )


def save(model: FusionModel, path: Path) -> Path:
    """Write a model whole or not at all.

    Raises:
        FileError: The file cannot be written.
    """
    fusion = model.blend.fusion
    encoder, network = fusion.encoder, fusion.network
    arrays: dict[str, Any] = {f"encoder.{name}": getattr(encoder, name) for name in ENCODER}
    arrays |= {f"axes.{name}": axes for name, axes in encoder.turned.items()}
    if fusion.ends is not None:
        arrays["ends"] = fusion.ends
    arrays |= _arrays(model.blend)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    state |= {name: torch.from_numpy(np.array(value, order="C")) for name, value in arrays.items()}
    content = to_bytes(
        {name: value.detach().contiguous() for name, value in state.items()},
        metadata={KEY: _facts_text(model)},
    )
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


def is_fusion(path: Path) -> bool:
    """Return whether a file is a fusion model; a file that cannot be read is none."""
    try:
        with safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def load(path: Path) -> FusionModel:
    """Read a model.

    Raises:
        FileError: The file is damaged or no fusion model.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise FileError(path, f"cannot be read as a model ({error}).", REMEDY) from error
    if KEY not in metadata:
        raise FileError(path, "is no fusion model of Aegle.", REMEDY)
    try:
        return replace(_built(json.loads(metadata[KEY]), state), digest=digest)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FileError(
            path, f"holds facts that do not fit its weights: {error}", REMEDY
        ) from error


def _arrays(blend: Blend) -> dict[str, Any]:
    """Return what is kept of the baselines; nothing if there are none."""
    if blend.baselines is None:
        return {}
    late, subsets = blend.baselines.late, blend.baselines.subsets
    arrays: dict[str, Any] = {"late.weights": np.stack(list(late.weights.values()))}
    arrays |= {f"plain.axes.{name}": axes for name, axes in subsets.encoder.turned.items()}
    for name, trees in late.trees.items():
        arrays |= {f"trees.{name}.{part}": value for part, value in trees.arrays().items()}
    for pattern, mix in (blend.mixes or {}).items():
        arrays[f"mix.{_bits(pattern)}"] = mix
    for pattern, weights in subsets.weights.items():
        bits = _bits(pattern)
        arrays[f"plain.weights.{bits}"] = weights
        parts = subsets.trees[pattern].arrays()
        arrays |= {f"plain.trees.{bits}.{part}": value for part, value in parts.items()}
    return arrays


def _bits(pattern: Pattern) -> str:
    return "".join("1" if there else "0" for there in pattern)


def _pattern(bits: str) -> Pattern:
    return tuple(bit == "1" for bit in bits)


def _facts_text(model: FusionModel) -> str:
    fusion, baselines = model.blend.fusion, model.blend.baselines
    network = fusion.network
    facts = {
        "name": model.name,
        "head": fusion.head,
        "features": [_plain(feature) for feature in model.features],
        "inputs": {
            name: int(network.linear[key].shape[1])
            for name, key in zip(network.order, network.linear, strict=True)
        },
        "network": {
            "outputs": network.outputs,
            "width": network.width,
            "members": network.members,
        },
        "trees": None if baselines is None else list(baselines.late.trees),
        "facts": dict(model.facts),
    }
    return json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _plain(feature: Feature) -> dict[str, Any]:
    limits = {name: getattr(feature, name) for name in ("low", "high")}
    finite = {name: value if np.isfinite(value) else None for name, value in limits.items()}
    return {**asdict(feature), **finite}


def _feature(facts: Mapping[str, Any]) -> Feature:
    low = -np.inf if facts["low"] is None else facts["low"]
    high = np.inf if facts["high"] is None else facts["high"]
    made = {**facts, "low": low, "high": high, "categories": tuple(facts["categories"])}
    return Feature(**made)


def _built(facts: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> FusionModel:
    arrays = {n: v.numpy().copy() for n, v in state.items() if not n.startswith("network.")}
    encoder = Encoder(
        features=tuple(_feature(one) for one in facts["features"]),
        **{name: arrays[f"encoder.{name}"] for name in ENCODER},
        turned=_under(arrays, "axes."),
    )
    order = {
        m: int(facts["inputs"][m]) for m in dict.fromkeys(f.modality for f in encoder.features)
    }
    network = MaskedFusion(order, **facts["network"])
    weights = {n.removeprefix("network."): v for n, v in state.items() if n.startswith("network.")}
    network.load_state_dict(weights)
    fusion = Fusion(head=facts["head"], encoder=encoder, network=network, ends=arrays.get("ends"))
    network.eval()
    blend = Blend(fusion=fusion)
    if facts["trees"] is not None:
        mixes = {_pattern(bits): mix for bits, mix in _under(arrays, "mix.").items()}
        baselines = _baselines(encoder, facts["trees"], arrays)
        blend = Blend(fusion=fusion, baselines=baselines, mixes=mixes)
    return FusionModel(name=facts["name"], blend=blend, facts=facts["facts"])


def _baselines(encoder: Encoder, trees: Sequence[str], arrays: Mapping[str, Any]) -> Baselines:
    count = len({feature.modality for feature in encoder.features})
    patterns = list(product((False, True), repeat=count))
    weights = {_pattern(b): w for b, w in _under(arrays, "plain.weights.").items()}
    return Baselines(
        late=LateFusion(
            trees={name: trees_of(_under(arrays, f"trees.{name}.")) for name in trees},
            weights=dict(zip(patterns, arrays["late.weights"], strict=True)),
        ),
        subsets=SubsetModels(
            encoder=replace(encoder, turned=_under(arrays, "plain.axes.")),
            weights=weights,
            trees={p: trees_of(_under(arrays, f"plain.trees.{_bits(p)}.")) for p in weights},
        ),
        held={},
    )


def _under(arrays: Mapping[str, Any], start: str) -> dict[str, Any]:
    return {n.removeprefix(start): v for n, v in arrays.items() if n.startswith(start)}
