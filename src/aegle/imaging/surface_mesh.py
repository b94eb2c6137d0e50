"""The closed triangle mesh around a mask, by marching cubes at one half.

Between the centres of eight neighbouring voxels the surface joins the middles of the edges that
go from inside to outside. Which of them are joined follows from the faces of the cell: round each
face, seen from outside the cell, a line runs from where the inside is left to where it is
entered again, so that diagonal inner voxels of a face stay joined. The lines close to loops, and
loops are cut into triangles so that the most is enclosed, as the
tables of the usual implementations do.

Source: Lorensen WE, Cline HE. Comput Graph 1987;21:163-169, with the faces of Nielson GM,
Hamann B, Proc Visualization 1991:83-91.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

_CORNERS = np.array([(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)])
_EDGES = [
    (a, b) for a in range(8) for b in range(a) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1
]
_MIDDLES = np.array([(_CORNERS[a] + _CORNERS[b]) / 2 for a, b in _EDGES])
_EDGE_OF = {frozenset(edge): number for number, edge in enumerate(_EDGES)}


def surface_mesh(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the triangles of the surface of a mask, shape (triangle, corner, 3) [mm].

    Args:
        mask: True inside; beyond its edges it is outside.
        spacing_mm: Of the voxels.

    Returns:
        Corners in the order of axes of the mask, from the centre of its first voxel; seen from
        outside, all triangles turn the same way.
    """
    padded = np.pad(mask, 1)
    sizes = [n - 1 for n in padded.shape]
    codes = np.zeros(sizes, dtype=np.intp)
    for bit, (z, y, x) in enumerate(_CORNERS):
        part = padded[z : z + sizes[0], y : y + sizes[1], x : x + sizes[2]]
        codes |= part.astype(np.intp) << bit
    triangles = [np.empty((0, 3, 3))]
    for code in np.unique(codes[(codes > 0) & (codes < 255)]):
        cells = np.argwhere(codes == code) - 1
        shapes = _MIDDLES[np.array(_triangles(int(code)))]
        triangles.append((cells[:, None, None, None] + shapes).reshape(-1, 3, 3))
    return np.asarray(np.concatenate(triangles) * spacing_mm)


def volume_and_area(triangles_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Return what a closed mesh encloses [mm3] and its area [mm2]."""
    a, b, c = (triangles_mm[:, k] for k in range(3))
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6
    return float(volume), float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@cache
def _triangles(code: int) -> list[tuple[int, int, int]]:
    """Return the triangles of a cell as numbers of edges."""
    follows: dict[int, int] = {}
    for face in _faces():
        follows.update(_lines(code, face))
    triangles: list[tuple[int, int, int]] = []
    while follows:
        first = min(follows)
        loop, edge = [first], follows.pop(first)
        while edge != first:
            loop.append(edge)
            edge = follows.pop(edge)
        triangles += _cut(tuple(loop))
    return triangles


def _lines(code: int, face: tuple[int, ...]) -> dict[int, int]:
    """Return the lines on one face, from edge to edge."""
    inside = [bool(code >> corner & 1) for corner in face]
    edges = [_EDGE_OF[frozenset((face[k], face[(k + 1) % 4]))] for k in range(4)]
    leaving = [k for k in range(4) if inside[k] and not inside[(k + 1) % 4]]
    entering = [k for k in range(4) if not inside[k] and inside[(k + 1) % 4]]
    return {edges[k]: edges[min(entering, key=lambda other: (other - k) % 4)] for k in leaving}


@cache
def _faces() -> tuple[tuple[int, ...], ...]:
    """Return the corners of each face, in order around it as seen from outside."""
    faces = []
    for axis in range(3):
        for side in (0, 1):
            on = [k for k in range(8) if _CORNERS[k][axis] == side]
            ring = [on[0], on[1], on[3], on[2]]
            across = np.cross(
                _CORNERS[ring[1]] - _CORNERS[ring[0]], _CORNERS[ring[2]] - _CORNERS[ring[1]]
            )
            outward = 2 * side - 1
            faces.append(tuple(ring if across[axis] * outward > 0 else ring[::-1]))
    return tuple(faces)


@cache
def _cut(loop: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return the triangles of least area that fill a loop."""
    if len(loop) < 3:
        return ()
    cuts = []
    for k in range(1, len(loop) - 1):
        # The triangle on the side from the last corner to the first.
        rest = (*_cut(loop[: k + 1]), *_cut(loop[k:]))
        cuts.append(((loop[0], loop[k], loop[-1]), *rest))
    return min(cuts, key=lambda triangles: (round(_behind(triangles, loop[0]), 9), triangles))


def _behind(triangles: tuple[tuple[int, int, int], ...], origin: int) -> float:
    """Return how much lies between triangles and a point, less the more outward they lie."""
    a, b, c = (_MIDDLES[np.array(triangles)][:, k] - _MIDDLES[origin] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())
