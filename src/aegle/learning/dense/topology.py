"""Levels of a U-Net: which axes each level halves, and how large its convolutions are."""

from collections.abc import Sequence
from dataclasses import dataclass

from aegle.learning.dense.rules import rules

POOLED = 2


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Of each level from fine to coarse, one number per axis of the network."""

    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def divisors(self) -> tuple[int, ...]:
        """What the sizes of a patch have to be multiples of, per axis."""
        sizes = [1] * len(self.strides[0])
        for stride in self.strides:
            sizes = [size * step for size, step in zip(sizes, stride, strict=True)]
        return tuple(sizes)


def topology(
    patch: Sequence[int], spacing_mm: Sequence[float], *, most_levels: int = 0
) -> Topology:
    """Return the levels that suit a patch.

    Args:
        patch: Voxels per axis of the network, two or three.
        spacing_mm: Their distance.
        most_levels: At most so many; 0: as many as the rule allows.
    """
    rule, axes = rules()["topology"], len(patch)
    least, anisotropy = rule.numbers["least_size"], rule.numbers["anisotropy"]
    sizes, spacings = [float(size) for size in patch], list(spacing_mm)
    strides = [(1,) * axes]
    kernels = [_kernel(spacings, anisotropy, [1] * axes)]
    most_levels = most_levels or rule.number("most_levels", axes)
    while len(strides) < most_levels:
        large = [size >= POOLED * least for size in sizes]
        finest = min(
            (s for s, is_large in zip(spacings, large, strict=True) if is_large), default=0
        )
        stride = tuple(
            POOLED if is_large and spacing < anisotropy * finest else 1
            for is_large, spacing in zip(large, spacings, strict=True)
        )
        if POOLED not in stride:
            break
        spacings = [spacing * step for spacing, step in zip(spacings, stride, strict=True)]
        sizes = [-(-size // step) for size, step in zip(sizes, stride, strict=True)]
        strides.append(stride)
        kernels.append(_kernel(spacings, anisotropy, kernels[-1]))
    return Topology(strides=tuple(strides), kernels=tuple(kernels))


def _kernel(spacings: Sequence[float], anisotropy: float, before: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of a level's convolutions; an axis that had 3 keeps it."""
    return tuple(
        3 if size == 3 or spacing < anisotropy * min(spacings) else 1
        for spacing, size in zip(spacings, before, strict=True)
    )
