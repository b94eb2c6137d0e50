"""Plans that a patient could be given, beside each other."""

from dataclasses import dataclass

from aegle.domain.plan import Plan
from aegle.domain.text import Text


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A probability from a published model for one plan, with the interval of its coefficients."""

    name: Text
    """What may happen, and to which organ."""
    probability: float
    """In [0, 1]."""
    interval: tuple[float, float] | None
    """95 %, from the published errors of the coefficients; none: not published."""
    source: str
    """DOI of the model."""
    is_harm: bool = True
    """Whether less is better."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Alternative:
    """A plan and what it is expected to do for the patient."""

    name: Text
    plan: Plan
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Alternative plans of one patient, the preferred one first."""

    alternatives: tuple[Alternative, ...]
    reasons: tuple[Text, ...]
    """Why the first is preferred, and what differs for this patient."""
