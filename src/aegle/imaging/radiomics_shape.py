"""Shape of a delineation as IBSI defines it (section 3.1), lengths in millimetres.

The surface is the marching-cubes mesh of the mask at one half.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.special import eval_legendre

from aegle.imaging.surface_mesh import surface_mesh, volume_and_area

Array = NDArray[np.float64]
Spacing = tuple[float, float, float]
MOST_PAIRED = 4000
"""Voxels up to which Moran's I and Geary's C are calculated; both compare all pairs."""


def shape(
    values: Array, inside: NDArray[np.bool_], valued: NDArray[np.bool_], spacing_mm: Spacing
) -> dict[str, float]:
    """Return features of shape, and of how values spread over it.

    Args:
        values: The image in a box around the delineation.
        inside: The delineation, same shape.
        valued: The part of it whose values count.
        spacing_mm: Of the voxels.
    """
    points_mm = np.argwhere(inside) * np.asarray(spacing_mm)
    valued_mm = np.argwhere(valued) * np.asarray(spacing_mm)
    found = values[valued]
    triangles_mm = surface_mesh(inside, spacing_mm)
    volume, area = volume_and_area(triangles_mm)
    corners = np.unique(triangles_mm.reshape(-1, 3), axis=0)
    return {
        **_compactness(volume, area),
        "morph_vol_approx": float(len(points_mm) * np.prod(spacing_mm)),
        "morph_com": _shift(points_mm.mean(axis=0), valued_mm, found),
        **_densities(corners, points_mm, volume, area),
        "morph_integ_int": float(volume * found.mean()),
        **_autocorrelation(valued_mm, found),
    }


def _compactness(volume: float, area: float) -> dict[str, float]:
    ball = 36 * np.pi * volume**2
    return {
        "morph_volume": volume,
        "morph_area_mesh": area,
        "morph_av": area / volume,
        "morph_comp_1": volume / (np.sqrt(np.pi) * area**1.5),
        "morph_comp_2": ball / area**3,
        "morph_sph_dispr": area / ball ** (1 / 3),
        "morph_sphericity": ball ** (1 / 3) / area,
        "morph_asphericity": (area**3 / ball) ** (1 / 3) - 1,
    }


def _shift(centre_mm: Array, points_mm: Array, found: Array) -> float:
    """Return how far the centre of values lies from that of voxels [mm]."""
    if found.sum() == 0:
        return float("nan")
    weighted = np.average(points_mm, axis=0, weights=found)
    return float(np.linalg.norm(centre_mm - weighted))


def _densities(corners: Array, points_mm: Array, volume: float, area: float) -> dict[str, float]:
    """Return lengths of the axes, and shares of simple bodies that the mesh fills."""
    variances = np.linalg.eigvalsh(np.cov(points_mm.T))[::-1]
    # Tiny negative values of flat shapes are rounding.
    major, minor, least = 4 * np.sqrt(np.maximum(variances, 0.0))
    sides = np.ptp(corners, axis=0)
    hull = ConvexHull(corners)
    vertices = corners[hull.vertices]
    apart = max(np.linalg.norm(vertices - vertex, axis=1).max() for vertex in vertices)
    half = (major / 2, minor / 2, least / 2)
    return {
        "morph_diam": float(apart),
        "morph_pca_maj_axis": float(major),
        "morph_pca_min_axis": float(minor),
        "morph_pca_least_axis": float(least),
        "morph_pca_elongation": float(minor / major),
        "morph_pca_flatness": float(least / major),
        "morph_vol_dens_aabb": float(volume / sides.prod()),
        "morph_area_dens_aabb": float(
            area / (2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[0] * sides[2]))
        ),
        "morph_vol_dens_aee": float(volume / (4 / 3 * np.pi * np.prod(half))),
        "morph_area_dens_aee": float(area / _ellipsoid_area(*half)),
        "morph_vol_dens_conv_hull": float(volume / hull.volume),
        "morph_area_dens_conv_hull": float(area / hull.area),
    }


def _ellipsoid_area(a: float, b: float, c: float) -> float:
    """Return the area by the series of Legendre polynomials that IBSI prescribes (20 terms)."""
    alpha, beta = np.sqrt(1 - (b / a) ** 2), np.sqrt(1 - (c / a) ** 2)
    if alpha * beta == 0:
        # The series has its limit where two axes are alike; a hair's breadth from it is close.
        alpha, beta = max(alpha, 1e-6), max(beta, 1e-6)
    argument = (alpha**2 + beta**2) / (2 * alpha * beta)
    terms = [(alpha * beta) ** n / (1 - 4 * n**2) * eval_legendre(n, argument) for n in range(21)]
    return float(4 * np.pi * a * b * np.sum(terms))


def _autocorrelation(points_mm: Array, found: Array) -> dict[str, float]:
    """Return Moran's I and Geary's C with weights of inverse distance."""
    count = len(found)
    if count > MOST_PAIRED or found.std() == 0:
        return {"morph_moran_i": float("nan"), "morph_geary_c": float("nan")}
    offset = found - found.mean()
    weights = products = squares = 0.0
    for k in range(count - 1):
        inverse = 1 / np.linalg.norm(points_mm[k + 1 :] - points_mm[k], axis=1)
        weights += inverse.sum()
        products += (inverse * offset[k] * offset[k + 1 :]).sum()
        squares += (inverse * (found[k + 1 :] - found[k]) ** 2).sum()
    spread = np.square(offset).sum()
    return {
        "morph_moran_i": float(count / weights * products / spread),
        "morph_geary_c": float((count - 1) / (2 * weights) * squares / spread),
    }
