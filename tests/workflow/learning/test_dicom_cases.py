"""DICOM images are learned from as their segmentations and structure sets say."""

import zipfile
from dataclasses import asdict
from datetime import datetime

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from aegle.dicom import image_series, segmentation, structure_set
from aegle.domain.errors import FileError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.learning.dense.configuration import ChannelScaling, Configuration
from aegle.learning.model import Model, ModelFacts
from aegle.learning.reading_samples import DataOptions
from aegle.workflow.learning import outline_predicting
from aegle.workflow.learning.dicom_cases import samples_at

NOW = datetime(2024, 3, 1, 8, 30)
SHAPE = (6, 12, 16)
SAGITTAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))


def box_mask(start, size):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
    return mask


LIVER, TUMOUR = box_mask((1, 2, 3), (4, 7, 9)), box_mask((2, 3, 4), (2, 3, 5))


@pytest.fixture
def write_case():
    """Return a function that writes a CT of a patient with structures, as SEG or RTSTRUCT."""

    def write(folder, who, masks, *, kind="SEG"):
        patient = Patient(id=who, name="Made")
        grid = Grid(
            shape=SHAPE, spacing_mm=(3.0, 1.5, 0.75), origin_mm=(5.0, -9.0, 40.0), axes=SAGITTAL
        )
        values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) - 500 + len(who)
        volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
        series = image_series.reference(volume, who, modality="CT", study="1", time=NOW)
        image = Image(name="CT", volume=volume, series=series)
        image_series.write(image, patient, folder / who, now=NOW)
        structures = StructureSet(
            tuple(Structure.of(name, mask, grid) for name, mask in masks.items())
        )
        writer = segmentation if kind == "SEG" else structure_set
        writer.write(structures, image, patient, folder / f"{who}-{kind}.dcm", now=NOW)
        return grid, values

    return write


def read(path, **options):
    return samples_at(path, options=DataOptions(**options))


def labels(samples, index=0):
    return samples.annotate(samples.samples[index]).labels


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_structures_are_labels_on_the_grid_of_their_image(tmp_path, write_case, kind):
    grid, values = write_case(tmp_path, "P1", {"tumour": TUMOUR, "liver": LIVER}, kind=kind)

    samples = read(tmp_path, classes=("liver", "tumour"))

    (sample,) = samples.samples
    assert samples.classes == ("liver", "tumour")
    assert sample.group == "P1"
    assert sample.columns["modality"] == "CT"
    image = samples.place(sample)
    assert image.grid.is_same_as(grid)
    assert not image.is_picture
    np.testing.assert_allclose(image.values[0], values, atol=0.01)
    np.testing.assert_array_equal(labels(samples), LIVER * 1 + TUMOUR * 1)


def test_patients_of_a_zip_keep_their_own_structures(tmp_path, write_case):
    write_case(tmp_path / "set", "P1", {"liver": LIVER})
    write_case(tmp_path / "set", "Patient2", {"Tumour": TUMOUR, "liver": LIVER})
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.dcm")):
            archive.write(path, path.relative_to(tmp_path))

    samples = read(tmp_path / "set.zip", merge={"Tumour": "tumour"})
    chosen = read(tmp_path / "set.zip", where={"patient": ("P1",)})
    only = read(tmp_path / "set.zip", classes=("liver",))

    assert samples.classes == ("liver", "tumour")
    assert [sample.group for sample in samples.samples] == ["P1", "Patient2"]
    assert [labels(samples, i).max() for i in (0, 1)] == [1, 2]
    assert samples.content(samples.samples[0]) != samples.content(samples.samples[1])
    assert chosen.classes == ("liver",)
    assert len(chosen.samples) == 1
    np.testing.assert_array_equal(labels(only, 1), LIVER)


def test_what_is_missing_is_named(tmp_path, write_case):
    write_case(tmp_path / "a", "P1", {"liver": LIVER})
    write_case(tmp_path / "b", "P1", {"liver": LIVER})
    for path in (tmp_path / "a" / "P1").rglob("*.dcm"):
        path.unlink()
    (tmp_path / "b" / "P1-SEG.dcm").unlink()

    with pytest.raises(InputError, match=r"1 object\(s\) were drawn on images that are not there"):
        read(tmp_path / "a")
    with pytest.raises(InputError, match="no segmentation or structure set belongs to its 1 image"):
        read(tmp_path / "b")
    with pytest.raises(FileError, match="does not exist"):
        read(tmp_path / "c")


def test_a_class_that_nobody_drew_is_named(tmp_path, write_case):
    write_case(tmp_path, "P1", {"liver": LIVER})

    with pytest.raises(InputError, match="no structure is called 'spleen'; there: liver"):
        read(tmp_path, classes=("liver", "spleen"))


def test_the_tumour_of_the_ibsi_phantom_has_the_voxels_of_the_consensus(shared_data):
    samples = read(shared_data("dicom_series", "ibsi1_ct_with_rtstruct.zip"))

    assert samples.classes == ("GTV-1",)
    # IBSI 1, chest, configuration B to E: 125 256 voxels in the initial region.
    assert (labels(samples) > 0).sum() == 125_256


@pytest.fixture
def bright():
    """Return a model that outlines what is brighter than -200 HU."""
    network = nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1))
        network.bias.zero_()
    configuration = Configuration(
        axes=3,
        spacing_mm=(3.0, 1.5, 0.75),
        scaling=(ChannelScaling(scheme="ct", low=-1000, high=1000, mean=-200, deviation=100),),
        patch=(8, 8, 8),
        batch=2,
        network="unet",
        settings={},
        steps=1,
        foreground_share=0.5,
        image_order=1,
    )
    extras = {"configuration": asdict(configuration)}
    facts = ModelFacts(
        name="bright 1", task="segment", network="unet", classes=("bright",), extras=extras
    )
    return Model(facts=facts, network=network)


def test_patients_in_one_folder_are_outlined_apart(tmp_path, write_case, bright):
    for who in ("P1.5", "P2"):
        write_case(tmp_path / "given", who, {"liver": LIVER})

    done = outline_predicting.run(
        bright, tmp_path / "given", tmp_path / "said", now=NOW, announce=silent_steps
    )

    # Values rise by 1 HU per voxel from -500 HU and one for each letter of the name on.
    count = np.prod(SHAPE)
    for row, who in zip(done.rows, ("P1.5", "P2"), strict=True):
        written = sitk.GetArrayFromImage(sitk.ReadImage(str(done.folder / row["labels"])))
        assert row["name"] == f"{who} CT"
        assert written.sum() == pytest.approx(count - 300 + len(who), abs=2)
        segments = pydicom.dcmread(done.folder / "dicom" / f"{who} CT" / "seg.dcm")
        assert segments.PatientID == who
    assert done.notices == ()


def silent_steps(step, reused):
    del step, reused
    return lambda done, total: None
