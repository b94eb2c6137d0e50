"""Intensities brought to a common scale.

MR signal has no unit: the same tissue is bright on one image and dark on the next. What lies
above Otsu's threshold (the foreground) sets the scale; the background goes along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass as record
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.errors import InputError
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.bias_field import foreground
from aegle.options import option

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PercentileOptions:
    """Between which percentiles of the foreground values are spread, and whether cut off."""

    lower: Annotated[float, option("Percentile that becomes 0", unit="%", ge=0, lt=100)] = 1.0
    upper: Annotated[float, option("Percentile that becomes 1", unit="%", gt=0, le=100)] = 99.0
    is_clipped: Annotated[bool, option("Whether values beyond 0 and 1 are cut off")] = True


@dataclass(frozen=True, kw_only=True)
class LandmarkOptions:
    """Which percentiles of the foreground are landmarks."""

    percentiles: Annotated[
        tuple[float, ...],
        option(
            "Percentiles of the foreground, rising",
            unit="%",
            source="Nyul LG et al. IEEE Trans Med Imaging 2000;19:143-150 (deciles, L4)",
            min_length=2,
        ),
    ] = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
    lowest: Annotated[float, option("First landmark on the common scale")] = 0.0
    highest: Annotated[float, option("Last landmark on the common scale")] = 100.0


@record(frozen=True, kw_only=True)
class IntensityScale:
    """A common scale, learned from images: where each percentile of the foreground lies."""

    percentiles: tuple[float, ...]
    landmarks: tuple[float, ...]
    images: int
    """From how many images it was learned."""

    def __post_init__(self) -> None:
        for name, values in (("percentiles", self.percentiles), ("landmarks", self.landmarks)):
            if len(values) < 2 or np.any(np.diff(values) <= 0):
                raise InputError(f"The {name} of an intensity scale must rise, got {values}.")
        if len(self.percentiles) != len(self.landmarks):
            raise InputError(
                f"An intensity scale has {len(self.percentiles)} percentiles but "
                f"{len(self.landmarks)} landmarks."
            )

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "percentiles": list(self.percentiles),
            "landmarks": list(self.landmarks),
            "images": self.images,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "IntensityScale":
        """Read what :meth:`as_json` gave.

        Raises:
            InputError: A value is missing or not a number, or landmarks do not rise.
        """
        try:
            return cls(
                percentiles=tuple(float(p) for p in values["percentiles"]),
                landmarks=tuple(float(v) for v in values["landmarks"]),
                images=int(values["images"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"An intensity scale needs percentiles, landmarks and images as numbers: {error}."
            ) from error


def z_scored(volume: Volume, *, inside: Mask | None = None) -> Volume:
    """Shift and scale values so that the foreground has mean 0 and deviation 1.

    Args:
        volume: Any quantity.
        inside: Voxels that set the scale; the foreground by default.

    Raises:
        InputError: These voxels are none or all the same.
    """
    chosen = _chosen(volume, inside)
    mean, deviation = chosen.mean(dtype=np.float64), chosen.std(dtype=np.float64)
    if deviation <= 0:
        raise InputError("All voxels inside have the same value; they set no scale.")
    return _signal(volume, (volume.values - mean) / deviation)


def percentile_scaled(
    volume: Volume, *, options: PercentileOptions, inside: Mask | None = None
) -> Volume:
    """Spread values so that two percentiles of the foreground become 0 and 1.

    Raises:
        InputError: The percentiles are equal or in the wrong order.
    """
    chosen = _chosen(volume, inside)
    low, high = np.percentile(chosen, (options.lower, options.upper))
    if high <= low:
        raise InputError(
            f"Percentiles {options.lower:g} and {options.upper:g} of the foreground are "
            f"{low:g} and {high:g}; the second must be larger."
        )
    scaled = (volume.values - low) / (high - low)
    return _signal(volume, np.clip(scaled, 0, 1) if options.is_clipped else scaled)


def learn_scale(volumes: Sequence[Volume], *, options: LandmarkOptions) -> IntensityScale:
    """Learn where the landmarks of images lie on a common scale.

    The first and the last landmark of each image are mapped to the ends of the scale; the others
    lie where they do on average.

    Args:
        volumes: At least one image of one kind (sequence, body part).
        options: The percentiles and the ends of the scale.

    Raises:
        InputError: There is no image, or one has too few different values.
    """
    if not volumes:
        raise InputError("An intensity scale is learned from images; none was given.")
    span = options.highest - options.lowest
    learned = [_shares(_landmarks(volume, options.percentiles)) for volume in volumes]
    mean = options.lowest + span * np.mean(learned, axis=0)
    return IntensityScale(
        percentiles=options.percentiles, landmarks=tuple(mean.tolist()), images=len(volumes)
    )


def standardised(volume: Volume, scale: IntensityScale) -> Volume:
    """Bring an image to a common scale: straight between its landmarks, and on beyond them.

    Raises:
        InputError: The image has too few different values.
    """
    own = _landmarks(volume, scale.percentiles)
    common = np.asarray(scale.landmarks)
    values = np.interp(volume.values, own, common)
    slopes = np.diff(common) / np.diff(own)
    values += np.minimum(volume.values - own[0], 0) * slopes[0]
    values += np.maximum(volume.values - own[-1], 0) * slopes[-1]
    return _signal(volume, values)


def landmark_spread(volumes: Sequence[Volume], *, options: LandmarkOptions) -> float:
    """Return how far the landmarks of images lie apart, the measure of a common scale.

    The standard deviation of each landmark over the images, averaged over the landmarks, as a
    share of the mean distance from the first to the last: 0 if all images have one scale.

    Raises:
        InputError: There are fewer than two images.
    """
    if len(volumes) < 2:
        raise InputError(f"A spread needs at least two images, got {len(volumes)}.")
    found = np.asarray([_landmarks(volume, options.percentiles) for volume in volumes])
    return float(found.std(axis=0).mean() / np.ptp(found, axis=1).mean())


def _landmarks(volume: Volume, percentiles: Sequence[float]) -> NDArray[np.float64]:
    chosen = _chosen(volume, None).astype(np.float64)
    found = np.asarray(np.percentile(chosen, percentiles), dtype=np.float64)
    if np.any(np.diff(found) <= 0):
        # Many voxels of one value, as in images of few shades, hold several percentiles.
        least = 1e-6 * max(float(np.ptp(found)), 1e-12)
        if np.ptp(found) <= 0:
            raise InputError("The foreground has a single value; it has no landmarks.")
        found = np.asarray(np.maximum.accumulate(found) + least * np.arange(len(found)))
    return found


def _shares(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((landmarks - landmarks[0]) / (landmarks[-1] - landmarks[0]))


def _chosen(volume: Volume, inside: Mask | None) -> Values:
    chosen = volume.values[foreground(volume.values) if inside is None else inside]
    if not chosen.size:
        raise InputError("The image has no foreground to set a scale.")
    return chosen


def _signal(volume: Volume, values: NDArray[np.floating]) -> Volume:
    return Volume(
        values=np.asarray(values, dtype=np.float32), grid=volume.grid, quantity=Quantity.SIGNAL
    )
