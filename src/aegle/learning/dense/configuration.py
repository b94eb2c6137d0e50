"""What is decided from the images and the memory before a network is trained to outline.

Plain data: it lies as JSON in the plan and in the model file, and is all that is needed to
prepare an image as training did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Scheme = Literal["ct", "z-score", "z-score-inside", "range"]
"""How values of a channel are scaled.

    ct              clipped to the foreground's 0.5 and 99.5 percentiles, then by its mean and
                    deviation
    z-score         by each image's own mean and deviation
    z-score-inside  the same over the part that is not zero; the rest becomes 0
    range           pictures: 0 to 255 (or the type's range) becomes 0 to 1, less mean over
                    deviation
"""


@dataclass(frozen=True, kw_only=True)
class ChannelScaling:
    """How the values of one channel are scaled."""

    scheme: Scheme
    low: float = 0.0
    high: float = 0.0
    """Clipped to, where the scheme says so [unit of the image]."""
    mean: float = 0.0
    deviation: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Every decision that the images and the memory make."""

    axes: Literal[2, 3]
    """Pictures (slices one by one), or volumes."""
    spacing_mm: tuple[float, float, float]
    """Of the voxels that the network sees, slice, row, column; of pictures without size in
    pixels of the original."""
    scaling: tuple[ChannelScaling, ...]
    """One per channel of the images."""
    patch: tuple[int, int, int]
    """Voxels that the network sees at once, slice, row, column; one slice for pictures."""
    batch: int
    network: str
    """Name in the catalogue, kind network."""
    settings: Mapping[str, Any]
    """What the network is built with."""
    steps: int
    """Updates of a whole training."""
    foreground_share: float
    """Share of the patches that are placed on a labelled voxel, of the classes in turn."""
    image_order: int
    """Spline order by which images are resampled: 3, or 1 between thick slices."""
    deep_supervision: int = 0
    """Coarser outputs of the network that are trained too."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Options of training (``TrainingOptions``) that the rules set, such as rate and optimiser."""
    transfer: Mapping[str, Any] = field(default_factory=dict)
    """Options of transfer (``TransferOptions``) that the rules set where weights are given."""
    mirrors: bool = False
    """Whether the mean over mirror images is taken when the network is used."""
    memory_mb: float = 0.0
    """What training is expected to need."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By decision: the rule that made it and the numbers that it saw."""
