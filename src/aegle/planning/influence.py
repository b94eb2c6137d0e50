"""The linear map from what a machine gives to dose, stored as a sparse matrix.

A stored matrix pays where each beamlet reaches few voxels (protons), or where few voxels are
looked at (optimisation). Where beamlets reach many voxels, ``pencil_beam`` works without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

HOST = "cpu"
"""Where scipy multiplies; elsewhere torch does."""


class DoseMap(Protocol):
    """A beam as the optimiser sees it: a linear map from weights to dose."""

    @property
    def points(self) -> Tensor:
        """Which of the medium's voxels the beam reaches, shape (point,)."""
        ...

    @property
    def beamlets(self) -> int:
        """How many weights there are."""
        ...

    def __call__(self, weights: Tensor) -> Tensor:
        """Return the dose at ``points`` [Gy] for weights of shape (beamlet,)."""
        ...

    def at(self, wanted: Tensor) -> Self:
        """Return the map to those of the medium's voxels that are marked, renumbered."""
        ...

    def with_cases(self, others: Sequence[Self], voxels: int) -> Self:
        """Return one map to the voxels of this and other cases of the beam, case after case."""
        ...


@dataclass(frozen=True, eq=False)
class StoredDose:
    """Dose of one beam per unit weight of its beamlets, one row of the matrix per beamlet."""

    points: Tensor
    """Which of the medium's voxels the beam reaches, shape (point,)."""
    values: Tensor
    """Dose per unit weight, beamlet after beamlet, shape (entry,)."""
    columns: Tensor
    """To which of ``points`` each value belongs, shape (entry,), int32."""
    ends: Tensor
    """Where each beamlet's values start, and the end of the last, shape (beamlet + 1,)."""

    @property
    def beamlets(self) -> int:
        """How many weights there are."""
        return len(self.ends) - 1

    @property
    def bytes(self) -> int:
        """Memory of the matrix."""
        return self.values.numel() * (self.values.element_size() + self.columns.element_size())

    def __call__(self, weights: Tensor) -> Tensor:
        """Return the dose at ``points`` [Gy] for weights of shape (beamlet,)."""
        product: Tensor = _Product.apply(weights, self)  # type: ignore[no-untyped-call]
        return product

    def forward(self, weights: Tensor) -> Tensor:
        """Return the dose for weights, outside differentiation."""
        if self.values.device.type == HOST:
            return torch.from_numpy(self._matrix.T @ weights.numpy())
        spread = self.values * weights.repeat_interleave(self.ends.diff())
        dose = weights.new_zeros(len(self.points))
        return dose.index_add_(0, self.columns, spread)

    def adjoint(self, dose: Tensor) -> Tensor:
        """Return, for each beamlet, the sum over voxels of its dose times a number per voxel."""
        if self.values.device.type == HOST:
            return torch.from_numpy(self._matrix @ dose.numpy())
        return torch.segment_reduce(
            self.values * dose[self.columns], "sum", offsets=self.ends, initial=0.0
        )

    def at(self, wanted: Tensor) -> "StoredDose":
        """Return the map to those of the voxels that are marked, renumbered among them.

        Args:
            wanted: True for each voxel of the medium to keep, shape (voxel,).
        """
        kept_points = wanted[self.points]
        number = (wanted.cumsum(0) - 1)[self.points[kept_points]]
        column = (kept_points.cumsum(0) - 1).to(torch.int32)
        kept = kept_points[self.columns]
        before = torch.cat([self.ends.new_zeros(1), kept.cumsum(0)])
        return StoredDose(
            points=number,
            values=self.values[kept],
            columns=column[self.columns[kept]],
            ends=before[self.ends],
        )

    def with_cases(self, others: Sequence["StoredDose"], voxels: int) -> "StoredDose":
        """Return one map to the voxels of this and other cases of the beam, case after case.

        Args:
            others: The same beamlets in other cases.
            voxels: How many voxels each case has.
        """
        cases = (self, *others)
        first = np.cumsum([0, *(len(one.points) for one in cases)]).tolist()
        numbers = torch.arange(self.beamlets, device=self.ends.device)
        owners = torch.cat([numbers.repeat_interleave(one.ends.diff()) for one in cases])
        order = owners.argsort(stable=True)
        columns = [one.columns + start for one, start in zip(cases, first[:-1], strict=True)]
        return StoredDose(
            points=torch.cat([one.points + n * voxels for n, one in enumerate(cases)]),
            values=torch.cat([one.values for one in cases])[order],
            columns=torch.cat(columns)[order],
            ends=torch.stack([one.ends for one in cases]).sum(0),
        )

    @property
    def _matrix(self) -> Any:
        parts = (self.values.numpy(), self.columns.numpy(), self.ends.numpy().astype(np.int32))
        return csr_array(parts, shape=(self.beamlets, len(self.points)))


class _Product(torch.autograd.Function):
    """The product with a matrix that itself is not differentiated."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, stored: StoredDose) -> Tensor:
        ctx.stored = stored
        return stored.forward(weights.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.stored.adjoint(gradients[0].detach()), None


def total(beams: Sequence[DoseMap], weights: Sequence[Tensor], voxels: int) -> Tensor:
    """Return the summed dose of several beams at all voxels of the medium [Gy]."""
    dose = weights[0].new_zeros(voxels)
    for beam, fluence in zip(beams, weights, strict=True):
        dose = dose.index_add(0, beam.points, beam(fluence))
    return dose
