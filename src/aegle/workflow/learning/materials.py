"""What the trainings of a run share, and what one of them gives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aegle.learning.assignment import LearningData
from aegle.learning.model import Model
from aegle.learning.prepared import PreparedSet
from aegle.learning.samples import SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.plan import Plan
from aegle.workflow.learning.run_folder import Announce


@dataclass(frozen=True, eq=False, kw_only=True)
class Materials:
    """What every training of a run shares."""

    plan: Plan
    samples: SampleSet
    data: LearningData
    """The images as the task's network takes them."""
    folder: CaseFolder
    cache: Path
    announce: Announce

    @property
    def prepared(self) -> PreparedSet:
        """The data of tasks that see each image whole."""
        assert isinstance(self.data, PreparedSet)
        return self.data

    def where(self, names: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the indices of images by name."""
        places = {sample.name: place for place, sample in enumerate(self.data.samples)}
        return np.array([places[name] for name in names], np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A trained model and where it lies."""

    model: Model
    folder: Path
    best: int
    """Epoch whose weights were kept."""
