"""What an optimiser makes small when it plans by effect instead of dose.

Like the penalties of :mod:`aegle.planning.objectives`, these take doses relative to the prescribed
dose and are differentiable.
"""

from dataclasses import dataclass

from torch import Tensor

from aegle.planning.complication import ComplicationModel
from aegle.planning.equivalent_dose import generalised_eud
from aegle.planning.tumour_control import Tumour, log_survivors


@dataclass(frozen=True, kw_only=True)
class Complication:
    """Probability of a complication of the organ whose voxels are given."""

    model: ComplicationModel
    prescribed_gy: float
    fractions: int
    factors: tuple[str, ...] = ()

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        return self.model.probability(
            doses * self.prescribed_gy, fractions=self.fractions, factors=self.factors
        )


@dataclass(frozen=True, kw_only=True)
class TumourSurvival:
    """Logarithm of the clonogens expected to survive; -ln TCP is its exponential."""

    tumour: Tumour
    prescribed_gy: float
    fractions: int
    days: float | None = None

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty, which falls below 0 once less than one cell is expected."""
        return log_survivors(
            doses * self.prescribed_gy, self.tumour, fractions=self.fractions, days=self.days
        )


@dataclass(frozen=True)
class UniformOverdose:
    """Square of the excess of the generalised equivalent uniform dose over a level."""

    level: float
    exponent: float

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        return (generalised_eud(doses, self.exponent) - self.level).relu().square()


@dataclass(frozen=True)
class UniformUnderdose:
    """Square of what the generalised equivalent uniform dose lacks to a level."""

    level: float
    exponent: float
    """Negative, so that cold voxels count most."""

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        return (self.level - generalised_eud(doses, self.exponent)).relu().square()
