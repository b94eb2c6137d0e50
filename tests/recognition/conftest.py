"""A chest of cylinders and ellipsoids in patient space, imaged on any grid."""

from dataclasses import dataclass

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume

AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
EXTENT_MM = {0: (-165, 165), 1: (-112, 131), 2: (-120, 120)}


def grid_along(axes, spacing_mm=(3.0, 3.0, 3.0)):
    """Return a grid around the chest whose indices run along the given LPS directions."""
    axes = np.asarray(axes, float)
    corners = np.stack(np.meshgrid(*[EXTENT_MM[k] for k in range(3)]), -1).reshape(-1, 3)
    along = corners @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    shape = np.ceil((high - low) / spacing_mm).astype(int) + 1
    return Grid(
        shape=tuple(int(n) for n in shape),
        spacing_mm=spacing_mm,
        origin_mm=tuple((low @ axes).tolist()),
        axes=tuple(tuple(axis) for axis in axes.tolist()),
    )


@dataclass
class Chest:
    """Paints solids given in patient space [mm] and remembers where they are."""

    grid: Grid

    def __post_init__(self):
        indices = np.stack(np.indices(self.grid.shape), -1).astype(float)
        self.x, self.y, self.z = np.moveaxis(self.grid.to_patient(indices), -1, 0)
        self.hu = np.full(self.grid.shape, -1000.0, np.float32)

    def ellipsoid(self, centre, half):
        return (
            ((self.x - centre[0]) / half[0]) ** 2
            + ((self.y - centre[1]) / half[1]) ** 2
            + ((self.z - centre[2]) / half[2]) ** 2
        ) <= 1

    def ball(self, centre, radius):
        return self.ellipsoid(centre, (radius, radius, radius))

    def rod(self, start, end, radius):
        start, way = np.asarray(start, float), np.subtract(end, start).astype(float)
        offset = np.stack([self.x - start[0], self.y - start[1], self.z - start[2]], -1)
        share = np.clip(offset @ way / (way @ way), 0, 1)
        return np.linalg.norm(offset - share[..., None] * way, axis=-1) <= radius

    def paint(self, where, hu):
        self.hu[where] = hu
        return where

    def volume(self, noise_hu=8.0):
        noise = np.random.default_rng(7).normal(0, noise_hu, self.grid.shape)
        return Volume(
            values=(self.hu + noise).astype(np.float32),
            grid=self.grid,
            quantity=Quantity.RADIODENSITY,
        )


def made_chest(grid, *, touching=False, lungs=("lung_right", "lung_left")):
    """Return a CT and the true masks; ``touching`` joins the lungs by a thin bridge."""
    chest = Chest(grid)
    chest.paint((chest.y > 110) & (chest.y < 116) & (np.abs(chest.x) < 150), 0)
    body = (chest.x / 150) ** 2 + (chest.y / 98) ** 2 <= 1
    chest.paint(body, 40)
    truth = {"body": body}
    for name, centre, half in (
        ("lung_right", (-68, 0, 0), (50, 70, 100)),
        ("lung_left", (72, 5, 10), (45, 65, 85)),
    ):
        if name in lungs:
            truth[name] = chest.paint(chest.ellipsoid(centre, half), -850)
    if touching:
        chest.paint(
            (np.abs(chest.x) < 40) & (np.abs(chest.y + 20) < 5) & (np.abs(chest.z) < 8), -850
        )
    if lungs:
        wall = chest.rod((0, 25, 35), (0, 25, 300), 12)
        lumen = chest.rod((0, 25, 35), (0, 25, 300), 9)
        for x in (-40, 40):
            wall |= chest.rod((0, 25, 35), (x, 20, 10), 9)
            lumen |= chest.rod((0, 25, 35), (x, 20, 10), 6)
        chest.paint(wall, 40)
        truth["airways"] = chest.paint(lumen, -1000)
        for name in lungs:
            truth[name] = truth[name] & ~wall
    column = (chest.x**2 + (chest.y - 60) ** 2 <= 18**2) | (
        chest.x**2 + (chest.y - 80) ** 2 <= 15**2
    )
    chest.paint(column, 450)
    truth["spinal_cord"] = chest.paint(chest.x**2 + (chest.y - 80) ** 2 <= 9**2, 35)
    truth["bone"] = column & ~truth["spinal_cord"]
    return chest, truth


@pytest.fixture(scope="session")
def axial_chest():
    chest, truth = made_chest(grid_along(AXIAL))
    return chest.volume(), truth
