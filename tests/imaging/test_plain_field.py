"""A smooth field stands where it explains the images as well, and only there."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from aegle.imaging.displacement import determinant, warp
from aegle.imaging.mind import mind_ssc
from aegle.imaging.plain_field import plainest

SHAPE = (32, 40, 40)
VOXEL_MM = 3.0


def tissue(seed=0):
    """Return an image of random tissue, smooth over about two voxels, within [0, 1]."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 2.0)
    return torch.from_numpy(((values - values.min()) / np.ptp(values)).astype(np.float32))


def wave():
    """Return a smooth displacement in closed form, up to 2 voxels."""
    z, y, x = np.indices(SHAPE, dtype=np.float32)
    field = [2 * np.sin(y / 9), 1.5 * np.cos(x / 10), 2 * np.cos(z / 11)]
    return torch.from_numpy(np.stack(field).astype(np.float32))


def shear():
    """Return two halves that slide along each other by 4 voxels."""
    field = np.zeros((3, *SHAPE), np.float32)
    field[0, :, 20:] = 2.0
    field[0, :, :20] = -2.0
    return torch.from_numpy(field)


def chosen(truth, found):
    """Return what is chosen where the fixed image is the moving one through ``truth``."""
    moving = tissue()
    noise = torch.from_numpy(np.random.default_rng(1).normal(0, 0.01, SHAPE).astype(np.float32))
    fixed = warp(moving[None], truth)[0] + noise
    return plainest(
        moving,
        mind_ssc(fixed),
        (fixed[None], moving[None]),
        found,
        seen=torch.ones(SHAPE),
        voxel_mm=VOXEL_MM,
    )


def miss(found, truth):
    return float((found - truth)[:, 4:-4, 4:-4, 4:-4].square().sum(0).sqrt().mean())


@pytest.mark.parametrize("seed", [2, 3])
def test_a_rough_estimate_of_a_smooth_field_gives_way_to_a_smooth_one(seed):
    rough = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(size=(3, *SHAPE)), (0, 1.5, 1.5, 1.5)
    )
    found = wave() + torch.from_numpy((0.35 * rough / rough.std()).astype(np.float32))
    plain = chosen(wave(), found)
    assert miss(found, wave()) > 0.45
    assert miss(plain, wave()) < 0.5 * miss(found, wave())
    assert float(determinant(plain).min()) > 0


def test_what_slides_is_left_as_it_was_found():
    """The smooth field cannot follow a step of 4 voxels, so the very same tensor comes back."""
    found = shear()
    assert chosen(shear(), found) is found
