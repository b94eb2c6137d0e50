"""Made phantoms whose dose can be worked out by hand."""

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.plan import Beam
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume

AIR_HU = -1000.0


@pytest.fixture(scope="session")
def grid_of():
    """Return a function that gives a grid of some shape centred on the origin."""

    def grid(shape, spacing_mm):
        middle = [-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing_mm[::-1], strict=True)]
        return Grid(shape=tuple(shape), spacing_mm=tuple(spacing_mm), origin_mm=tuple(middle))

    return grid


@pytest.fixture(scope="session")
def positions_of():
    """Return a function that gives the LPS position of every voxel, shape (3, *grid.shape)."""

    def positions(grid):
        indices = np.stack(np.indices(grid.shape), axis=-1)
        return np.moveaxis(grid.to_patient(indices), -1, 0)

    return positions


@pytest.fixture(scope="session")
def patient_of():
    """Return a function that gives CT and outline for a mask and HU inside it."""

    def patient(grid, mask, hu=0.0):
        values = np.where(mask, hu, AIR_HU).astype(np.float32)
        ct = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
        return ct, Structure.of("body", mask, grid, type=StructureType.EXTERNAL)

    return patient


@pytest.fixture(scope="session")
def open_field():
    """Return a function that gives an open rectangular field of unit weights."""

    def field(width_mm, isocentre_mm, *, length_mm=None, beamlet_mm=5.0, gantry=0.0, couch=0.0):
        sides = [
            (np.arange(round(side / beamlet_mm)) + 0.5) * beamlet_mm - side / 2
            for side in (width_mm, length_mm or width_mm)
        ]
        positions = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
        return Beam(
            gantry_deg=gantry,
            couch_deg=couch,
            isocentre_mm=tuple(isocentre_mm),
            beamlet_mm=beamlet_mm,
            positions_mm=positions,
            weights=np.ones(len(positions)),
        )

    return field
