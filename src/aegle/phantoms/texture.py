"""Grain of tissue, blur of the scanner and noise of the detector."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.phantoms.shapes import Field

_TILE = 128


@lru_cache(maxsize=4)
def _tile(seed: int, grain_mm: float) -> NDArray[np.float32]:
    """Return smooth noise of unit variance that repeats every 128 mm."""
    noise = np.random.default_rng([seed, 7]).standard_normal((_TILE,) * 3, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, grain_mm, mode="wrap")
    smooth -= smooth.mean()
    return np.asarray((smooth / smooth.std()).ravel(), dtype=np.float32)


def grain(
    x: NDArray[Any], y: NDArray[Any], z: NDArray[Any], *, seed: int, grain_mm: float = 3.0
) -> Field:
    """Return smooth noise of unit variance that is fixed to the tissue at (x, y, z) [mm]."""
    mask = np.int32(_TILE - 1)
    i, j, k = (np.rint(axis + np.float32(1024)).astype(np.int32) & mask for axis in (z, y, x))
    return np.asarray(_tile(seed, grain_mm)[(i * np.int32(_TILE) + j) * np.int32(_TILE) + k])


def scanned(
    hu: Field, *, spacing_mm: tuple[float, float, float], noise_hu: float, seed: tuple[int, ...]
) -> Field:
    """Return what a scanner shows of ``hu``: blurred, with correlated noise, whole numbers.

    Args:
        hu: True radiodensity [HU], shape (slice, row, column).
        spacing_mm: Distance of voxel centres [mm].
        noise_hu: Standard deviation of the noise in soft tissue [HU]; air shows half of it.
        seed: Seeds of the noise.
    """
    blur = [0.0, *(0.55 / step for step in spacing_mm[1:])]
    shown = ndimage.gaussian_filter(hu, blur, mode="nearest", truncate=3)
    noise = np.random.default_rng(seed).standard_normal(hu.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, (0.35, 0.65, 0.65), mode="wrap", truncate=3)
    noise -= 0.7 * ndimage.uniform_filter(noise, (1, 9, 9), mode="wrap")
    noise *= np.float32(noise_hu) / noise.std()
    noise *= np.clip(1 + shown / 2000, 0.5, 1.2)
    shown += noise
    return np.asarray(np.clip(np.rint(shown), -1024, 3071), dtype=np.float32)
