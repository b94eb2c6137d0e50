"""What is decided from pictures and their boxes before a detector is trained; plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class BoxConfiguration:
    """Every decision that the pictures, the memory and the time make."""

    size: int
    """Rows and columns that the network sees; pictures are scaled and padded to it [pixel]."""
    mean: tuple[float, ...]
    """Subtracted from values in [0, 1], per channel."""
    deviation: tuple[float, ...]
    stride: int
    """Distance of the places at which objects are looked for [pixel]."""
    batch: int
    network: str
    """Name in the catalogue, kind network."""
    settings: Mapping[str, Any]
    steps: int
    """Updates of a whole training."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Options of training (``TrainingOptions``) that the rules set."""
    transfer: Mapping[str, Any] = field(default_factory=dict)
    """Options of transfer (``TransferOptions``) that the rules set where weights are given."""
    memory_mb: float = 0.0
    """What training is expected to need."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By decision: why, with its numbers."""
