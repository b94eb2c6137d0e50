"""Tissue that changed between two images, where no lesions are delineated."""

from dataclasses import dataclass

from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.volume import Volume


@dataclass(frozen=True, eq=False, kw_only=True)
class Changed:
    """Tissue that changed one way."""

    structure: Structure
    count: int
    """Separate regions."""
    volume_ml: float
    interval_ml: tuple[float, float]
    """From where regions reach half their height, to where they end one deviation lower, with
    regions that start two deviations lower: what noise could have hidden [mL]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TissueChange:
    """What grew and what shrank between two images."""

    difference: Volume
    """Later less earlier, in standard deviations without change, on the earlier grid."""
    compared: Structure
    """Tissue that both images show."""
    grown: Changed
    shrunk: Changed
    notices: tuple[Text, ...] = ()

    @property
    def net_ml(self) -> float:
        """Volume that grew less volume that shrank [mL]."""
        return self.grown.volume_ml - self.shrunk.volume_ml

    @property
    def net_interval_ml(self) -> tuple[float, float]:
        """The least and the most that ``net_ml`` can be within both intervals [mL]."""
        grown, shrunk = self.grown.interval_ml, self.shrunk.interval_ml
        return grown[0] - shrunk[1], grown[1] - shrunk[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class VisitChange:
    """What changed from the first visit of a follow-up to a later one."""

    visit: int
    """Number of the later visit in the timeline."""
    change: TissueChange
