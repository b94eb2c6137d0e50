"""Tissue painted onto a voxel grid with soft, partial-volume edges."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.grid import Grid
from aegle.phantoms.shapes import Axes, Field, Segment, coverage

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Tissue:
    """What a tissue looks like: radiodensity [HU] and tracer uptake [SUV, g/mL]."""

    hu: Any
    suv: Any = 0.0


@dataclass(frozen=True, eq=False)
class Canvas:
    """Radiodensity and uptake under construction; the only thing here that is changed in place."""

    grid: Grid
    hu: Field
    suv: Field | None
    axes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    """Coordinates x, y, z of columns, rows and slices [mm]."""

    @classmethod
    def blank(cls, grid: Grid, *, with_uptake: bool) -> "Canvas":
        """Return a canvas filled with air."""
        z0, y0, x0 = grid.origin_mm[::-1]
        dz, dy, dx = grid.spacing_mm
        slices, rows, columns = grid.shape
        return cls(
            grid,
            np.full(grid.shape, -1000, dtype=np.float32),
            np.zeros(grid.shape, dtype=np.float32) if with_uptake else None,
            (
                (x0 + dx * np.arange(columns)).astype(np.float32),
                (y0 + dy * np.arange(rows)).astype(np.float32),
                (z0 + dz * np.arange(slices)).astype(np.float32),
            ),
        )

    @property
    def width_mm(self) -> float:
        """Width over which an edge is soft [mm]: the mean of the voxel's sides."""
        return float(np.prod(self.grid.spacing_mm) ** (1 / 3))

    def slab(self, start: int, stop: int) -> "Canvas":
        """Return the slices from ``start`` to before ``stop``; painting there paints here."""
        x, y, z = self.axes
        x0, y0, z0 = self.grid.origin_mm
        grid = Grid(
            shape=(stop - start, *self.grid.shape[1:]),
            spacing_mm=self.grid.spacing_mm,
            origin_mm=(x0, y0, z0 + start * self.grid.spacing_mm[0]),
        )
        suv = None if self.suv is None else self.suv[start:stop]
        return Canvas(grid, self.hu[start:stop], suv, (x, y, z[start:stop]))

    def window(self, lowest: NDArray[Any], highest: NDArray[Any]) -> Window:
        """Return the voxels whose centres lie between two corners (x, y, z) [mm]."""
        spans = [
            slice(int(np.searchsorted(a, lo)), int(np.searchsorted(a, hi, side="right")))
            for a, lo, hi in zip(self.axes, lowest, highest, strict=True)
        ]
        return spans[2], spans[1], spans[0]

    def axes_of(self, window: Window) -> Axes:
        """Return the coordinates of a window, ready to broadcast."""
        x, y, z = self.axes
        return Axes(x[None, None, window[2]], y[None, window[1], None], z[window[0], None, None])

    def paint(self, window: Window, covered: Field, tissue: Tissue) -> None:
        """Lay a tissue over the part of each voxel that it covers."""
        _blend(self.hu[window], covered, tissue.hu)
        if self.suv is not None:
            _blend(self.suv[window], covered, tissue.suv)

    def paint_segment(self, segment: Segment, tissue: Tissue, inside: Any = None) -> None:
        """Lay a piece of a tube; ``inside`` (a mask of the grid's shape) takes up its voxels."""
        width = self.width_mm
        window = self.window(*segment.bounds(width))
        if any(s.start >= s.stop for s in window):
            return
        distance = segment.distance(self.axes_of(window))
        thin = min(1.0, 2 * segment.radius / width)
        self.paint(window, coverage(distance, width) * np.float32(thin), tissue)
        if inside is not None:
            inside[window] |= distance < 0


ALL: Window = (slice(None), slice(None), slice(None))
"""The window of a whole canvas."""


def _blend(values: Field, covered: Field, colour: Any) -> None:
    values += covered * (colour - values)
