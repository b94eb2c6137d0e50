"""Cases of nnU-Net and of the Medical Segmentation Decathlon are read as their layouts say."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from aegle.domain.errors import FileError, InputError
from aegle.learning.reading_samples import DataOptions, read_samples


def fill_all(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def nifti(folder, array, origin=(0.0, 0.0, 0.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 1.0, 2.0))
    image.SetOrigin(origin)
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(folder / "made.nii.gz"))
    content = (folder / "made.nii.gz").read_bytes()
    (folder / "made.nii.gz").unlink()
    return content


def read(path, **options):
    return read_samples(path, options=DataOptions(**options))


def drawn(samples, index=0):
    return samples.annotate(samples.samples[index])


def names(samples):
    return [sample.name for sample in samples.samples]


def dataset(**changes):
    stated = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "front": 1, "back": 2},
        "file_ending": ".nii.gz",
        "numTraining": 2,
    }
    return json.dumps(stated | changes)


@pytest.fixture
def raw(tmp_path):
    """Return a function that writes an nnU-Net data set of two cases with two channels."""
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    drawn_on = (values % 3).astype(np.uint8)

    def write(**changes):
        files = {"dataset.json": dataset(**changes)}
        for case in ("a", "b"):
            files[f"labelsTr/{case}.nii.gz"] = nifti(tmp_path, drawn_on)
            for channel in range(2):
                name = f"imagesTr/{case}_{channel:04d}.nii.gz"
                files[name] = nifti(tmp_path, values + 100 * channel)
        return fill_all(tmp_path / "Dataset001_Made", files)

    return write


def test_nnunet_gives_channels_names_and_geometry(raw):
    samples = read(raw())

    assert names(samples) == ["imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz"]
    assert samples.classes == ("front", "back")
    image = samples.place(samples.samples[0])
    assert image.values.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(image.values[1] - image.values[0], 100)
    assert image.grid.spacing_mm == (2.0, 1.0, 0.5)
    np.testing.assert_array_equal(drawn(samples).labels.ravel(), np.arange(24) % 3)
    assert samples.load(samples.samples[0]).dtype == np.int16


def test_voxels_to_ignore_are_marked(raw):
    samples = read(raw(labels={"background": 0, "front": 1, "ignore": 2}))

    assert samples.classes == ("front",)
    np.testing.assert_array_equal(
        drawn(samples).labels.ravel(), np.array([0, 1, -1])[np.arange(24) % 3]
    )


def test_names_may_be_chosen_in_another_order(raw):
    samples = read(raw(), classes=("back", "front"))

    assert samples.classes == ("back", "front")
    np.testing.assert_array_equal(
        drawn(samples).labels.ravel(), np.array([0, 2, 1])[np.arange(24) % 3]
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("{", "it is no JSON", id="cut off"),
        pytest.param(dataset(labels=[1, 2]), "labels are no table", id="labels are a list"),
        pytest.param(
            dataset(labels={"background": 0, "whole": [1, 2], "core": 2}), "region", id="regions"
        ),
        pytest.param(dataset(labels={"background": 0, "a": "x"}), "the label 'x'", id="no number"),
    ],
)
def test_a_dataset_json_that_cannot_be_used_is_named(raw, content, words):
    root = raw()
    (root / "dataset.json").write_text(content)

    with pytest.raises(FileError, match=words):
        read(root)


def test_a_missing_channel_is_named(raw):
    root = raw()
    (root / "imagesTr/b_0001.nii.gz").unlink()

    with pytest.raises(InputError, match=r"'imagesTr/b_0001\.nii\.gz'"):
        read(root)


def test_the_decathlon_lists_pairs_with_channels_along_a_fourth_axis(tmp_path):
    values = np.arange(48, dtype=np.int16).reshape(2, 2, 3, 4)
    image = sitk.GetImageFromArray(values, isVector=False)
    sitk.WriteImage(image, str(tmp_path / "made.nii.gz"))
    stated = {
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "background", "1": "Anterior"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
        "test": ["./imagesTs/b.nii.gz"],
    }
    mask = sitk.GetImageFromArray((values[0] > 20).astype(np.uint8))
    sitk.WriteImage(mask, str(tmp_path / "mask.nii.gz"))
    files = {
        "dataset.json": json.dumps(stated),
        "imagesTr/a.nii.gz": (tmp_path / "made.nii.gz").read_bytes(),
        "labelsTr/a.nii.gz": (tmp_path / "mask.nii.gz").read_bytes(),
    }
    samples = read(fill_all(tmp_path / "Task99", files))

    assert samples.classes == ("Anterior",)
    np.testing.assert_array_equal(samples.place(samples.samples[0]).values, values)
    assert samples.load(samples.samples[0]).shape == (2, 3, 4)
    assert drawn(samples).labels.sum() == 3


def test_a_fourth_axis_that_nobody_declares_is_refused(raw, tmp_path):
    root = raw()
    values = np.zeros((2, 2, 3, 4), np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=False), str(tmp_path / "m.nii.gz"))
    (root / "labelsTr/b.nii.gz").write_bytes((tmp_path / "m.nii.gz").read_bytes())
    samples = read(root)

    with pytest.raises(FileError, match="one scalar volume"):
        drawn(samples, 1)
