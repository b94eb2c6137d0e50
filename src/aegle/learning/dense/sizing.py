"""How large a network, its patches and its batches may be within a memory and a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from aegle.domain.errors import InputError
from aegle.learning.dense.memory_need import Need, need
from aegle.learning.dense.rules import rules
from aegle.learning.dense.topology import Topology, topology

Three = tuple[int, int, int]

MOBILE = "mobile-unet"
_MB = 1e6
_LEAST = (1, 8, 8)
"""Voxels of a patch along slice, row and column: a network halves at least one axis."""
_SMALL = 2
"""Voxels along each axis on the coarsest level of the patch that is counted."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be trained, and what it may take."""

    axes: int
    network: str
    channels: int
    outputs: int
    """Values of the network for every voxel."""
    spacing_mm: tuple[float, float, float]
    shape: Three
    """Of the median image at that spacing."""
    voxels: float
    """Of all images at that spacing."""
    memory_mb: float
    minutes: float
    filters: int = 0
    """Of the first level; 0: what fits."""
    levels: int = 0
    """At most; 0: by the rules."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What fits, and what it needs."""

    patch: Three
    settings: Mapping[str, Any]
    width: int
    """Filters of the first level."""
    levels: int
    batch: int
    patches: float
    """That can be learned from in the time."""
    memory_mb: float
    """With that batch."""
    largest_patch: Three
    """That the images ask for."""
    widest: int
    """Filters that the rules begin with."""
    limits: tuple[str, ...]
    """What made it smaller: ``memory``, ``time``, both or none."""


def sized(wanted: Wanted) -> Size:
    """Return the largest patch, network and batch that fit memory and time.

    Raises:
        InputError: Not even the smallest fits the memory; the message says how much it needs.
    """
    limits: set[str] = set()
    patches = list(_patches(wanted))
    *wider, narrowest = _widths(wanted)
    for patch in patches:
        lacking = _lacking(wanted, patch, narrowest)
        is_bearable = lacking == {"time"} and _may_not_shrink(patch, wanted)
        limits |= lacking
        if lacking and not is_bearable:
            continue
        # What the narrowest lacks, wider ones lack too.
        for width in wider if not lacking else []:
            too_much = _lacking(wanted, patch, width)
            if not too_much:
                return _with_batch(wanted, patch, width, patches[0], tuple(sorted(limits)))
            limits |= too_much
        return _with_batch(wanted, patch, narrowest, patches[0], tuple(sorted(limits)))
    smallest_mb = min(_least_mb(wanted, patch, narrowest) for patch in patches)
    raise InputError(
        f"The smallest network for these images needs {ceil(smallest_mb)} MB of memory to be "
        f"trained, {wanted.memory_mb:g} MB are given. Set outline.memory_mb to at least "
        f"{ceil(smallest_mb)}, or leave out channels or classes."
    )


def _lacking(wanted: Wanted, patch: Three, width: int) -> set[str]:
    """Return what is too little for a patch and a width: ``memory``, ``time``, both or none."""
    patches = _patches_in_time(_need(wanted, patch, width), patch, wanted)
    fits = _least_mb(wanted, patch, width) <= wanted.memory_mb
    is_fast = patches >= _steps("least_patches")
    return (set() if fits else {"memory"}) | (set() if is_fast else {"time"})


def _least_mb(wanted: Wanted, patch: Three, width: int) -> float:
    """Return what training with the smallest batch needs [MB]."""
    least = _least_batch(wanted)
    return memory_mb(_need(wanted, patch, width), patch, wanted.channels, least)


def _least_batch(wanted: Wanted) -> int:
    """Return the smallest batch: a network that normalises over it needs more."""
    rule, network = rules()["batch"].numbers, rules()["network"].numbers
    normalises = wanted.network == MOBILE and network["mobile_batch_norm"]
    return int(rule["least_with_batch_norm"] if normalises else rule["least"])


def memory_mb(found: Need, patch: Three, channels: int, batch: int) -> float:
    """Return what training a batch of patches is expected to need, process included [MB]."""
    number = rules()["memory"].numbers
    each = (
        number["bytes_per_kept"] * found.kept
        + number["bytes_per_largest"] * found.largest
        + number["bytes_per_logit"] * found.logits
        + number["bytes_per_cut"] * _cut(patch, channels)
    )
    total = number["bytes_per_weight"] * found.weights + each * batch
    return float(number["process_mb"] + number["safety"] * total / _MB)


def seconds(found: Need, patch: Three, channels: int) -> float:
    """Return the processor time that one patch of a training is expected to take [s]."""
    return float(
        _steps("seconds_per_gflop") * found.operations / 1e9
        + _steps("seconds_per_million_kept") * found.kept / 1e6
        + _steps("seconds_per_million_cut") * _cut(patch, channels) / 1e6
    )


def _with_batch(
    wanted: Wanted, patch: Three, width: int, largest: Three, limits: tuple[str, ...]
) -> Size:
    rule = rules()["batch"].numbers
    found = _need(wanted, patch, width)
    patches = _patches_in_time(found, patch, wanted)
    most_voxels = rule["most_share"] * wanted.voxels

    def suits(batch: int) -> bool:
        return (
            memory_mb(found, patch, wanted.channels, batch) <= wanted.memory_mb
            and patches / batch >= _steps("least_steps")
            and batch * _product(patch) <= most_voxels
        )

    least = _least_batch(wanted)
    batch = max((n for n in range(least + 1, rule["most"] + 1) if suits(n)), default=least)
    settings = _settings(wanted, patch, width)
    return Size(
        patch=patch,
        settings=settings,
        width=width,
        levels=len(settings["widths"]),
        batch=batch,
        patches=patches,
        memory_mb=memory_mb(found, patch, wanted.channels, batch),
        largest_patch=largest,
        widest=_widths(wanted)[0],
        limits=limits,
    )


def _patches_in_time(found: Need, patch: Three, wanted: Wanted) -> float:
    allowed_s = 60 * wanted.minutes * _steps("time_share")
    share = _steps("volume_share") if wanted.axes == 3 else 1.0
    share = _steps("mobile_share") if wanted.network == MOBILE else share
    return float(allowed_s / (share * seconds(found, patch, wanted.channels)))


def _patches(wanted: Wanted) -> Iterator[Three]:
    """Yield patches from the one that the images ask for to the smallest."""
    patch = _rounded(_first(wanted), wanted)
    yield patch
    while True:
        smaller = _shrunk(patch, wanted)
        if _product(smaller) >= _product(patch):
            return
        patch = smaller
        yield patch


def _first(wanted: Wanted) -> Three:
    """Return a patch with the aspect of the voxels, clipped to the median image."""
    axes = wanted.axes
    spacing_mm, shape = wanted.spacing_mm[-axes:], wanted.shape[-axes:]
    side = rules()["patch"].number("most_side", axes)
    mean_mm = _product(spacing_mm) ** (1 / axes)
    sizes = [
        max(least, min(size, round(side * mean_mm / apart)))
        for size, apart, least in zip(shape, spacing_mm, _LEAST[-axes:], strict=True)
    ]
    return _three(sizes)


def _shrunk(patch: Three, wanted: Wanted) -> Three:
    """Return the next smaller patch: the axis that takes most of the image gives way."""
    divisors = _three(_divisors(patch, wanted))
    floors = [max(pair) for pair in zip(divisors, _LEAST, strict=True)]
    shares = [
        size / whole if size > floor else 0.0
        for size, whole, floor in zip(patch, wanted.shape, floors, strict=True)
    ]
    axis = shares.index(max(shares))
    sizes = list(patch)
    sizes[axis] = min(sizes[axis], max(floors[axis], sizes[axis] - divisors[axis]))
    return _rounded((sizes[0], sizes[1], sizes[2]), wanted)


def _may_not_shrink(patch: Three, wanted: Wanted) -> bool:
    """Return whether the next smaller patch would be too small to be worth the time."""
    least = rules()["patch"].number("least_side", wanted.axes)
    smaller = _shrunk(patch, wanted)
    return smaller == patch or _product(smaller) < least**wanted.axes


def _rounded(patch: Three, wanted: Wanted) -> Three:
    """Return a patch whose sizes the strides divide; not smaller."""
    divisors = _divisors(patch, wanted)
    sizes = [
        ceil(size / divisor) * divisor
        for size, divisor in zip(patch[-wanted.axes :], divisors, strict=True)
    ]
    return _three(sizes)


def _divisors(patch: Three, wanted: Wanted) -> tuple[int, ...]:
    if wanted.network == MOBILE:
        return tuple(rules()["network"].numbers["mobile_strides"])
    return _topology(patch, wanted).divisors


def _topology(patch: Three, wanted: Wanted) -> Topology:
    axes = wanted.axes
    return topology(patch[-axes:], wanted.spacing_mm[-axes:], most_levels=wanted.levels)


def _settings(wanted: Wanted, patch: Three, width: int) -> dict[str, Any]:
    """Return what the network is built with."""
    common = {"channels": wanted.channels, "classes": wanted.outputs}
    rule = rules()["network"].numbers
    if wanted.network == MOBILE:
        widths = list(rule["mobile_widths"])
        deep = {"deep_supervision": _coarser(len(widths))}
        return common | deep | {"widths": widths, "batch_norm": rule["mobile_batch_norm"]}
    levels = _topology(patch, wanted)
    count = len(levels.strides)
    most = rules()["widths"].number("most", wanted.axes)
    plan = {
        "widths": [min(most, width * 2**level) for level in range(count)],
        "strides": [list(stride) for stride in levels.strides],
        "kernels": [list(kernel) for kernel in levels.kernels],
        "deep_supervision": _coarser(count - 1),
    }
    return common | plan


def _coarser(outputs: int) -> int:
    """Return how many coarser outputs of a decoder are trained too."""
    most: int = rules()["deep_supervision"].numbers["most"]
    return min(most, max(0, outputs - 2))


def _need(wanted: Wanted, patch: Three, width: int) -> Need:
    """Return what a patch needs: that of a small one, in proportion to the voxels."""
    settings = _settings(wanted, patch, width)
    small = tuple(_SMALL * divisor for divisor in _divisors(patch, wanted))
    found = _counted(wanted.network, _Frozen(settings), (wanted.channels, *small))
    return found.times(_product(patch) / _product(small))


class _Frozen(dict[str, Any]):
    """Settings that results are remembered by."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(sorted(self.items())))


@cache
def _counted(network: str, settings: _Frozen, shape: tuple[int, ...]) -> Need:
    return need(network, settings, shape)


def _widths(wanted: Wanted) -> list[int]:
    """Return the filters of the first level that are tried in turn."""
    if wanted.network == MOBILE:
        return [rules()["network"].numbers["mobile_widths"][0]]
    if wanted.filters:
        return [wanted.filters]
    return list(rules()["widths"].numbers["first_level"])


def _steps(name: str) -> float:
    return float(rules()["steps"].numbers[name])


def _cut(patch: Three, channels: int) -> int:
    """Return the values of a patch and its labels."""
    return (channels + 1) * int(_product(patch))


def _product(values: Sequence[float]) -> float:
    result = 1.0
    for value in values:
        result *= value
    return result


def _three(sizes: Sequence[int]) -> Three:
    """Return sizes of two or three axes as slice, row, column."""
    padded = (1,) * (3 - len(sizes)) + tuple(sizes)
    return padded[0], padded[1], padded[2]
