"""Volumes with the part of border voxels inside, and their intervals."""

from math import pi

import numpy as np
import pytest

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.imaging.volumetry import VolumetryOptions, volume

NO_READER = VolumetryOptions(border_mm=0.0)


def ball_share(radius, centre, size=24, fine=5):
    """Return the share of each voxel inside a ball."""
    along = (np.arange(size * fine) + 0.5) / fine - 0.5
    squares = [(along - c) ** 2 for c in centre]
    inside = squares[0][:, None, None] + squares[1][:, None] + squares[2] <= radius**2
    return inside.reshape(size, fine, size, fine, size, fine).mean((1, 3, 5))


def structure_of(mask, spacing_mm=(1.0, 1.0, 1.0)):
    return Structure.of("lesion", mask, Grid(shape=mask.shape, spacing_mm=spacing_mm))


def test_partial_volumes_give_the_volume_of_a_ball_to_a_hundredth():
    random = np.random.default_rng(5)
    errors = []
    for _ in range(12):
        radius = random.uniform(2.5, 8)
        share = ball_share(radius, 11.5 + random.uniform(-0.5, 0.5, 3))
        found = volume(structure_of(share >= 0.5), share, options=NO_READER)
        errors.append(found.volume_ml / (4 / 3 * pi * radius**3 / 1000) - 1)

    assert np.abs(errors).max() < 0.01
    assert np.abs(np.mean(errors)) < 0.003


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(6)
    covered = []
    for _ in range(60):
        radius = random.uniform(3, 7)
        border_mm, noise = 0.1, 0.1
        share = ball_share(
            radius + random.normal(0, border_mm), 11.5 + random.uniform(-0.5, 0.5, 3)
        )
        noisy = share + random.normal(0, noise, share.shape)
        found = volume(structure_of(share >= 0.5), noisy, noise=noise, options=VolumetryOptions())
        truth_ml = 4 / 3 * pi * radius**3 / 1000
        covered.append(found.low_ml <= truth_ml <= found.high_ml)

    # 95 % of 60, less three standard deviations.
    assert np.mean(covered) >= 0.86


def test_a_bare_mask_counts_voxels_and_is_less_sure():
    share = ball_share(5, (11.5, 11.5, 11.5))
    structure = structure_of(share >= 0.5)

    bare, seen = (volume(structure, f, options=NO_READER) for f in (None, share))

    assert bare.volume_ml == bare.voxels_ml == pytest.approx(structure.volume_ml)
    assert bare.deviation_ml > seen.deviation_ml == 0


def test_the_error_of_a_nodule_of_98_mm3_is_that_of_the_italian_trial():
    # 27 % covers 95 % of differences of two measurements (Marchianò 2009).
    radius = (98 * 3 / (4 * pi)) ** (1 / 3)
    share = ball_share(radius, (11.5, 11.5, 11.5))

    found = volume(structure_of(share >= 0.5), share, options=VolumetryOptions())

    assert 1.96 * 2**0.5 * found.deviation_ml / found.volume_ml == pytest.approx(0.27, abs=0.05)


def test_voxel_size_scales_volume_and_surface():
    share = ball_share(5, (11.5, 11.5, 11.5))

    small, large = (
        volume(structure_of(share >= 0.5, (step,) * 3), share, options=VolumetryOptions())
        for step in (1.0, 2.0)
    )

    assert large.volume_ml == pytest.approx(8 * small.volume_ml)
    assert large.deviation_ml == pytest.approx(4 * small.deviation_ml)


def test_refuses_what_has_no_volume():
    with pytest.raises(InputError, match="empty"):
        volume(structure_of(np.zeros((2, 2, 2), bool)), options=NO_READER)
    with pytest.raises(GeometryError, match="shape"):
        volume(structure_of(np.ones((2, 2, 2), bool)), np.ones((1, 2, 2)), options=NO_READER)
