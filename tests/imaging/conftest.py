"""Phantoms of magnetic resonance with known field, noise and edges."""

from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume


def signal(values, spacing_mm=(3.0, 1.0, 1.0)):
    values = np.asarray(values, dtype=np.float32)
    return Volume(
        values=values,
        grid=Grid(shape=values.shape, spacing_mm=spacing_mm),
        quantity=Quantity.SIGNAL,
    )


@dataclass(frozen=True, eq=False)
class Head:
    """White and grey tissue of 200 and 120 in a dark surrounding, with its true field."""

    clean: np.ndarray
    white: np.ndarray
    grey: np.ndarray
    field: np.ndarray


def made_head(shape=(16, 64, 64), strength=0.35):
    z, y, x = (
        np.linspace(-1, 1, size)[index]
        for size, index in zip(shape, np.ogrid[tuple(slice(0, n) for n in shape)], strict=True)
    )
    folds = 0.06 * np.sin(9 * np.arctan2(y, x)) * np.ones_like(z)
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 1.3) ** 2)
    head, white = radius < 1, radius + folds < 0.7
    clean = np.where(white, 200.0, np.where(head, 120.0, 5.0))
    field = np.exp(strength * (0.9 * x - 0.6 * y**2 + 0.5 * z * x))
    return Head(
        clean=ndimage.gaussian_filter(clean, (0, 0.5, 0.5)).astype(np.float32),
        white=ndimage.binary_erosion(white, iterations=2),
        grey=ndimage.binary_erosion(head & ~white, iterations=1),
        field=(field / field[head].mean()).astype(np.float32),
    )


@pytest.fixture(scope="package")
def head():
    return made_head()


@pytest.fixture(scope="session")
def read_signal():
    """Return a function that reads a NIfTI file as a signal."""

    def read(path):
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
        return signal(sitk.GetArrayFromImage(image), image.GetSpacing()[::-1])

    return read
