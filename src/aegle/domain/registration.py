"""Where each point of one image lies in another, and whether that can be relied on."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from aegle.domain.grid import Points
from aegle.domain.text import Text


class Verdict(Enum):
    """Whether an alignment can be relied on."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A rigid alignment of a later (moving) to an earlier (fixed) image."""

    matrix: tuple[tuple[float, float, float, float], ...]
    """4×4, maps LPS positions of the fixed image to the moving image [mm]."""
    correlation_before: float
    correlation_after: float
    verdict: Verdict
    reason: Text

    def to_moving(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions of the fixed image to the moving image [mm]."""
        matrix = np.asarray(self.matrix)
        return np.asarray(points_mm @ matrix[:3, :3].T + matrix[:3, 3])

    def to_fixed(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions of the moving image to the fixed image [mm]."""
        matrix = np.asarray(self.matrix)
        return np.asarray((points_mm - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T)
