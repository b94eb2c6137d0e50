"""Displacement fields on voxel grids: warping, smoothing, folding and inverting.

A displacement has shape (3, slice, row, column) and is measured in voxels of its own grid along
those axes; it says where the content of a voxel of the fixed image lies in the moving image,
relative to that voxel. Values have shape (channel, slice, row, column). Beyond the outer voxels
the nearest one counts. Everything works where its tensors lie, on a processor or a GPU, and adds
in a fixed order.
"""

import torch
from torch import Tensor
from torch.nn import functional

LEAST_DETERMINANT = 0.15
"""Repair aims here, so that interpolation between voxels cannot fold either."""
SETTLED = 1e-3
"""A change [voxels] below which an inverse is not improved further."""
AXES = (1, 2, 3)


def places(displacement: Tensor) -> Tensor:
    """Return the voxel indices that a displacement points at, shape (3, slice, row, column)."""
    _, *shape = displacement.shape
    moved = displacement.clone()
    for axis, count in enumerate(shape):
        steps = torch.arange(count, dtype=moved.dtype, device=moved.device)
        moved[axis] += steps.reshape([-1 if a == axis else 1 for a in range(3)])
    return moved


def sample(values: Tensor, indices: Tensor) -> Tensor:
    """Read values between voxels, linearly.

    Args:
        values: Shape (channel, slice, row, column).
        indices: Voxel indices of the places, shape (3, a, b, c).

    Returns:
        Shape (channel, a, b, c).
    """
    # Slices go as a batch: a batch of one is read by one thread only.
    normed = torch.stack(
        [(2 * indices[axis] + 1) / values.shape[axis + 1] - 1 for axis in (2, 1, 0)], -1
    )
    batch = values[None].expand(normed.shape[0], -1, -1, -1, -1)
    read = functional.grid_sample(
        batch, normed[:, None], padding_mode="border", align_corners=False
    )
    return read[:, :, 0].transpose(0, 1)


def warp(values: Tensor, displacement: Tensor) -> Tensor:
    """Return values fetched from where a displacement points."""
    return sample(values, places(displacement))


def gradient(values: Tensor, axis: int) -> Tensor:
    """Return central differences along an axis, half of them at its ends."""
    count = values.shape[axis]
    if count == 1:
        return torch.zeros_like(values)
    difference = torch.empty_like(values)
    ahead, behind = values.narrow(axis, 1, count - 1), values.narrow(axis, 0, count - 1)
    step = (ahead - behind).mul_(0.5)
    difference.narrow(axis, 0, count - 1).copy_(step)
    difference.narrow(axis, count - 1, 1).zero_()
    difference.narrow(axis, 1, count - 1).add_(step)
    return difference


class Box:
    """Means over 3×3×3 voxels, fewer at the rim.

    ``inside`` splits the space: each part is averaged over its own voxels only, so that what
    slides along a border is not dragged along with what lies beyond.
    """

    def __init__(self, like: Tensor, *, inside: Tensor | None = None) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._room: tuple[Tensor, Tensor] | None = None
        ones = torch.ones_like(like[:1])
        masks = [ones] if inside is None else [inside[None].to(like), 1 - inside[None].to(like)]
        for mask in masks:
            counts = _sums(mask, (torch.empty_like(mask), torch.empty_like(mask)))
            self._parts.append((mask, counts.clamp(min=1).reciprocal_()))
        self._whole = inside is None

    def __call__(self, values: Tensor) -> Tensor:
        """Return the means of values of shape (channel, slice, row, column)."""
        return self.borrowed(values).clone()

    def borrowed(self, values: Tensor) -> Tensor:
        """Return the means in memory that the next call uses again; fresh memory costs most."""
        if self._room is None or self._room[0].shape != values.shape:
            self._room = (torch.empty_like(values), torch.empty_like(values))
        if self._whole:
            return _sums(values, self._room).mul_(self._parts[0][1])
        means = [_sums(values * m, self._room).mul_(share).mul(m) for m, share in self._parts]
        return means[0].add_(means[1])


def _sums(values: Tensor, room: tuple[Tensor, Tensor]) -> Tensor:
    """Return sums over 3×3×3 voxels, in one of two tensors that are overwritten."""
    free, other = room
    for axis in AXES:
        count = values.shape[axis]
        if count == 1:
            continue
        shorter = (axis, 0, count - 1)
        ahead = values.narrow(axis, 1, count - 1)
        torch.add(values.narrow(*shorter), ahead, out=free.narrow(*shorter))
        free.narrow(axis, count - 1, 1).copy_(values.narrow(axis, count - 1, 1))
        free.narrow(axis, 1, count - 1).add_(values.narrow(*shorter))
        values, free, other = free, other, free
    return values if values is room[0] or values is room[1] else free.copy_(values)


def box_mean(values: Tensor) -> Tensor:
    """Return means over 3×3×3 voxels."""
    return Box(values)(values)


def smooth(values: Tensor) -> Tensor:
    """Return values averaged twice over 3×3×3 voxels."""
    box = Box(values)
    return box(box(values))


def resized(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return values read on another number of voxels over the same extent."""
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    return functional.interpolate(values[None], size=shape, mode="trilinear", align_corners=False)[
        0
    ]


def rescaled(displacement: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a displacement on another number of voxels, measured in those."""
    ratio = torch.tensor([n / m for n, m in zip(shape, displacement.shape[1:], strict=True)])
    return resized(displacement, shape) * ratio.to(displacement)[:, None, None, None]


def determinant(displacement: Tensor) -> Tensor:
    """Return the Jacobian determinant of x + u(x) at each voxel, shape (slice, row, column)."""
    (a, b, c), (d, e, f), (g, h, i) = (
        [_slope(displacement[k], axis - 1) + float(k == axis - 1) for axis in AXES]
        for k in range(3)
    )
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _slope(values: Tensor, axis: int) -> Tensor:
    """Return central differences, one-sided at the ends."""
    if values.shape[axis] == 1:
        return torch.zeros_like(values)
    slope: Tensor = torch.gradient(values, dim=axis)[0]
    return slope


def unfolded(displacement: Tensor, *, rounds: int = 60) -> Tensor:
    """Return a displacement smoothed where it folds or nearly does, unchanged elsewhere."""
    box = Box(displacement)
    reach = [5 if n > 1 else 1 for n in displacement.shape[1:]]
    for _ in range(rounds):
        bad = determinant(displacement) < LEAST_DETERMINANT
        if not bool(bad.any()):
            break
        near = functional.max_pool3d(
            bad[None, None].to(displacement), reach, 1, [n // 2 for n in reach]
        )[0]
        share = box(near)
        displacement = displacement + (box(box(displacement)) - displacement) * share
    return displacement


def inverted(displacement: Tensor, *, rounds: int = 20) -> Tensor:
    """Return v with v(x) = -u(x + v(x)), by fixed-point steps, halved where they do not settle.

    Source: Chen M et al. Med Phys 2008;35:81 (doi:10.1118/1.2816107).
    """
    inverse, share, longest = -displacement, 1.0, float("inf")
    for _ in range(rounds):
        step = warp(displacement, inverse).add_(inverse).neg_()
        length = float(step.abs().max())
        if length >= longest:
            share = 0.5
        longest = length
        inverse = inverse.add_(step, alpha=share)
        if length < SETTLED:
            break
    return inverse
