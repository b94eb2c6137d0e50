"""What a made examination consists of: images and the truth behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from aegle.domain.structure import StructureSet
from aegle.domain.study import Patient
from aegle.domain.volume import PlanarImage, Volume
from aegle.phantoms.breathing import Motion
from aegle.phantoms.lesions import MadeLesion


@dataclass(frozen=True, eq=False, kw_only=True)
class MadeVisit:
    """One examination of a made patient and everything that is true about it."""

    patient: Patient
    description: str
    """Study description."""
    acquired: datetime
    ct: Volume
    """[HU], whole numbers."""
    pet: Volume | None = None
    """Standardised uptake by body weight [g/mL]."""
    structures: StructureSet
    """True masks by voxel centre on the CT grid, organs and lesions."""
    lesions: tuple[MadeLesion, ...]
    motion: Motion
    """Maps positions at visit 0 to this visit and back."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MadeRadiograph:
    """A made radiograph and the outlines that are true on it."""

    patient: Patient
    description: str
    acquired: datetime
    image: PlanarImage
    outlines: Mapping[str, NDArray[np.bool_]]
    """Shadows of organs and nodule, shape (row, column): pixels whose ray meets them."""
