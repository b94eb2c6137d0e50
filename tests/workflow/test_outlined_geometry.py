"""Where outlines of a network lie in the patient, as arrays and as DICOM files."""

from dataclasses import asdict
from datetime import datetime

import numpy as np
import pytest
import torch
from torch import nn

from aegle.dicom import segmentation, structure_set
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.volume import Quantity, Volume
from aegle.learning.annotations import PlacedImage
from aegle.learning.dense.configuration import ChannelScaling, Configuration
from aegle.learning.dense.inference import InferenceOptions, outline
from aegle.learning.model import Model, ModelFacts

NOW = datetime(2024, 3, 1, 8, 30)
PATIENT = Patient(id="A 1", name="Made")
COS, SIN = np.cos(0.5), np.sin(0.5)
CENTRE_MM = np.array([12.0, -30.0, 410.0])
AXIAL = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
GRIDS = {
    "axial": (AXIAL, (23, 24, 26), (2.0, 1.5, 1.5)),
    "left-handed": (((0, 0, -1), (0, 1, 0), (1, 0, 0)), (23, 24, 26), (2.0, 1.5, 1.5)),
    "sagittal": (((-1, 0, 0), (0, 0, -1), (0, 1, 0)), (25, 23, 27), (1.5, 2.0, 1.2)),
    "oblique": (((0, -SIN, COS), (0, COS, SIN), (1, 0, 0)), (26, 28, 21), (2.0, 1.6, 1.8)),
    "anisotropic": (AXIAL, (9, 36, 44), (5.0, 0.9, 0.8)),
}
ARMS_MM = (
    (np.array([-14.0, -9.0, -20.0]), np.array([-4.0, 8.0, 18.0])),
    (np.array([-14.0, -9.0, -20.0]), np.array([17.0, 8.0, -10.0])),
    (np.array([-14.0, 2.0, -20.0]), np.array([-4.0, 19.0, -10.0])),
)
"""Boxes [mm] that form a corner with arms of three lengths: no turn or mirror image is the same."""


def grid_of(name):
    axes, shape, spacing_mm = GRIDS[name]
    around = Grid(shape=shape, spacing_mm=spacing_mm, axes=axes)
    origin_mm = tuple((CENTRE_MM - around.centre_mm).tolist())
    return Grid(shape=shape, spacing_mm=spacing_mm, axes=axes, origin_mm=origin_mm)


def is_inside(positions_mm):
    local = positions_mm - CENTRE_MM
    inside = [np.all((low <= local) & (local < high), axis=-1) for low, high in ARMS_MM]
    return np.any(inside, axis=0)


def shares(grid, reach):
    """Return the share of points around each voxel centre that lie inside, within a reach.

    Args:
        grid: Of the voxels.
        reach: Half the side of the box of points, slice, row, column [voxel].
    """
    steps = np.linspace(-1, 1, 5)
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    indices = np.stack(np.indices(grid.shape), -1).astype(float)
    total = np.zeros(grid.shape, np.float32)
    for offset in offsets * reach:
        total += is_inside(grid.to_patient(indices + offset))
    return total / len(offsets)


def model_of(axes, spacing_mm):
    """A model that says 'inside' from half of the values between outside and inside on."""
    network = (nn.Conv3d if axes == 3 else nn.Conv2d)(1, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([-1.0, 1.0]).view(2, *[1] * (axes + 1)))
        network.bias.zero_()
    scaling = ChannelScaling(scheme="ct", low=-1000, high=1000, mean=0, deviation=100)
    configuration = Configuration(
        axes=axes,
        spacing_mm=spacing_mm,
        scaling=(scaling,),
        patch=(16, 24, 20) if axes == 3 else (1, 24, 20),
        batch=2,
        network="unet",
        settings={},
        steps=1,
        foreground_share=0.5,
        image_order=3,
    )
    extras = {"configuration": asdict(configuration)}
    facts = ModelFacts(name="fake 1", task="segment", network="unet", extras=extras)
    return Model(facts=facts, network=network)


def image_on(grid, values):
    series = SeriesReference(
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.4{i}" for i in range(grid.shape[0])),
        study_date=datetime(2024, 2, 29),
    )
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return Image(name="CT", volume=volume, series=series)


def outlined(grid, axes):
    """Return the image [HU] and what the network finds in it; its voxels have other sides."""
    values = 200 * shares(grid, (0.5, 0.5, 0.5)) - 100
    image = PlacedImage(values=values[None], grid=grid, is_picture=False)
    spacing_mm = (1.4, 1.3, 1.1) if axes == 3 else (grid.spacing_mm[0], 1.3, 1.1)
    options = InferenceOptions(threads=1)
    return values, outline(model_of(axes, spacing_mm), image, options=options) > 0


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", GRIDS)
def test_outlines_lie_within_half_a_voxel_of_the_truth_in_memory_and_in_files(tmp_path, name, axes):
    grid = grid_of(name)
    values, found = outlined(grid, axes)
    spacing_mm = (1.4, 1.3, 1.1) if axes == 3 else (0, 1.3, 1.1)
    # Half of the larger voxel, the network's or the image's own, along every axis.
    reach = 0.5 * np.maximum(1, np.divide(spacing_mm, grid.spacing_mm))
    near = shares(grid, reach)

    assert found[near == 1].all()
    assert not found[near == 0].any()
    certain = np.count_nonzero(near == 1)
    assert certain > 300

    image = image_on(grid, values)
    structures = StructureSet((Structure.of("corner", found, grid),))
    for room in (segmentation, structure_set):
        path = tmp_path / f"{room.__name__}.dcm"
        room.write(structures, image, PATIENT, path, now=NOW)
        back = room.read(path, image)["corner"].mask
        np.testing.assert_array_equal(back, found)
