"""Annotated images are found in every form in which people keep them."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from aegle.domain.errors import GeometryError, InputError
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.samples import UNLABELLED

IMAGE = np.arange(30, dtype=np.uint8).reshape(5, 6)
MASK = np.zeros((5, 6), np.uint8)
MASK[1:3, 2:5] = 1
OTHER = np.zeros((5, 6), np.uint8)
OTHER[4, 0] = 1


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def fill_all(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            content = png(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(path, *, strict=True, annotated=None, **options):
    return read_samples(path, options=DataOptions(**options), strict=strict, annotated=annotated)


def drawn(samples, index=0):
    return samples.annotate(samples.samples[index])


def names(samples):
    return [sample.name for sample in samples.samples]


# Folders


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.png", "masks/a.png"),
        ("images/a.png", "labels/a.bmp"),
        ("set/images/a.png", "set/mask/a_mask.png"),
        ("Images/a.png", "Masks/a-seg.png"),
        ("train/images/a.png", "train/masks/a.png"),
        ("images/train/a.png", "masks/train/a.png"),
        ("a/images/x.png", "a/masks/73be.png"),
        ("benign/images/a (1).png", "benign/mask/a (1)_mask.png"),
        ("imagesTr/a_0000.png", "labelsTr/a.png"),
        ("a.png", "a_mask.png"),
        ("ill/a (1).png", "ill/a (1)_mask_1.png"),
    ],
)
def test_a_mask_is_known_by_its_name(tmp_path, image, mask):
    fill_all(tmp_path, {image: IMAGE, mask: MASK * 255})

    samples = read(tmp_path)

    assert names(samples) == [image]
    assert samples.samples[0].label == UNLABELLED
    assert samples.classes == ("label 1",)
    np.testing.assert_array_equal(drawn(samples).labels, MASK[None])
    np.testing.assert_array_equal(samples.load(samples.samples[0]), IMAGE)
    np.testing.assert_array_equal(samples.place(samples.samples[0]).values, IMAGE[None, None])


def test_several_masks_of_an_image_are_laid_over_each_other(tmp_path):
    files = {"images/a.png": IMAGE, "masks/a_1.png": MASK, "masks/a_2.png": OTHER}
    fill_all(tmp_path, files)

    assert drawn(read(tmp_path)).labels.sum() == MASK.sum() + OTHER.sum()
    objects = drawn(read(tmp_path, objects=True))
    assert objects.is_objects
    assert objects.labels.max() == 2
    assert (objects.labels == 2).sum() == 1


def test_a_number_at_the_end_may_belong_to_the_image(tmp_path):
    files = {f"images/a_{i}.png": IMAGE for i in (1, 11)} | {"images/a.png": IMAGE}
    files |= {"masks/a_1_mask.png": MASK, "masks/a_11_mask.png": OTHER}
    files |= {"masks/a_mask.png": MASK | OTHER}
    fill_all(tmp_path, files)

    samples = read(tmp_path)

    sums = {name: drawn(samples, i).labels.sum() for i, name in enumerate(names(samples))}
    assert sums == {"images/a.png": 7, "images/a_1.png": 6, "images/a_11.png": 1}


def test_a_zip_reads_as_the_folder_that_it_packs_in_another_process_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("images/a.png", png(IMAGE))
        archive.writestr("masks/a.png", png(MASK))
        archive.writestr("__MACOSX/masks/._a.png", b"")

    samples = read(tmp_path / "set.zip")

    np.testing.assert_array_equal(drawn(samples).labels, MASK[None])
    again = pickle.loads(pickle.dumps((samples.annotate, samples.place, samples.load)))
    np.testing.assert_array_equal(again[0](samples.samples[0]).labels, MASK[None])


def test_an_image_without_mask_is_refused_or_left_to_the_gate(tmp_path):
    files = {f"images/{i}.png": IMAGE for i in range(8)} | {"masks/0.png": MASK}
    fill_all(tmp_path, files)

    with pytest.raises(InputError, match=r"7 of 8 images have no annotation.*'images/5\.png'"):
        read(tmp_path)
    samples = read(tmp_path, strict=False)
    with pytest.raises(InputError, match="no mask is called as"):
        drawn(samples, 3)


def test_splits_and_folders_of_classes_are_kept(tmp_path):
    fill_all(tmp_path, {"val/ill/images/a.png": IMAGE, "val/ill/masks/a.png": MASK})

    sample = read(tmp_path).samples[0]

    assert sample.split == "val"
    assert sample.columns["folder"] == "ill"


def test_folders_of_classes_stay_what_they_are(tmp_path):
    fill_all(tmp_path, {"ill/a.png": IMAGE, "well/b.png": IMAGE})

    samples = read(tmp_path)

    assert samples.classes == ("ill", "well")
    assert samples.annotate is None
    assert samples.place(samples.samples[0]).is_picture
    with pytest.raises(InputError, match="nothing was found there that is drawn"):
        read(tmp_path, annotated=True)


def test_a_folder_of_masks_may_be_read_as_plain_images(tmp_path):
    fill_all(tmp_path, {"images/a.png": IMAGE, "masks/a.png": MASK})

    assert len(read(tmp_path, annotated=False, label="").samples) == 2


# Manifests

LISTED = {
    "x/1.png": IMAGE,
    "x/2.png": IMAGE,
    "m/1.png": MASK,
    "m/2.png": OTHER,
    "n/1.png": OTHER,
    "fov/1.png": (IMAGE > 5).astype(np.uint8),
    "manifest.csv": "file,mask,second,fov,patient,split\n"
    "x/1.png,m/1.png,n/1.png,fov/1.png,p1,train\n"
    "x/2.png,m/2.png,,,p2,val\n",
}


def test_a_manifest_gives_mask_second_observer_and_region(tmp_path):
    fill_all(tmp_path, LISTED)

    samples = read(tmp_path, observer="second", group="patient", classes=("vessel",))

    assert samples.classes == ("vessel",)
    assert [s.group for s in samples.samples] == ["p1", "p2"]
    first, second = drawn(samples, 0), drawn(samples, 1)
    np.testing.assert_array_equal(first.labels, MASK[None])
    np.testing.assert_array_equal(first.observer, OTHER[None])
    np.testing.assert_array_equal(first.region, IMAGE[None] > 5)
    assert second.region is None
    assert second.observer is None


def test_rows_that_are_masks_of_others_are_no_images(tmp_path):
    table = "file,label,mask\nm/1.png,ill,\nx/1.png,ill,m/1.png\n"
    fill_all(tmp_path, {"x/1.png": IMAGE, "m/1.png": MASK, "manifest.csv": table})

    assert names(read(tmp_path, mask="mask")) == ["x/1.png"]
    by_class = read(tmp_path, start="x/")
    assert by_class.classes == ("ill",), "a column of class names is not left for masks unasked"
    assert by_class.annotate is None
    assert read(tmp_path, annotated=True).samples[0].label == UNLABELLED


def test_a_column_called_label_may_hold_masks(tmp_path):
    table = "image,label\nx/1.png,m/1.png\n"
    fill_all(tmp_path, {"x/1.png": IMAGE, "m/1.png": MASK, "manifest.csv": table})

    np.testing.assert_array_equal(drawn(read(tmp_path)).labels, MASK[None])


def test_masks_that_are_not_there_are_named(tmp_path):
    rows = "".join(f"x/1.png,gone/{i}.png\n" for i in range(7)).splitlines()
    rows = [row.replace("x/1", f"x/{i}") for i, row in enumerate(rows)]
    table = "file,mask\n" + "\n".join([*rows, "x/7.png,m/7.png"])
    files = {f"x/{i}.png": IMAGE for i in range(8)} | {"m/7.png": MASK, "manifest.csv": table}
    fill_all(tmp_path, files)

    with pytest.raises(InputError) as caught:
        read(tmp_path)

    assert "7 of 8 images" in str(caught.value)
    assert "'gone/4.png'" in str(caught.value)
    assert "gone/5" not in str(caught.value)


@pytest.mark.parametrize("option", ["mask", "observer", "region", "boxes"])
def test_a_column_that_is_not_there_is_named(tmp_path, option):
    fill_all(tmp_path, LISTED)

    with pytest.raises(InputError, match=f"no column 'absent' for the {option}"):
        read(tmp_path, **{"mask": "mask", option: "absent"})


# Numbers


def numbered(folder, *masks):
    files = {f"images/{i}.png": IMAGE for i in range(len(masks))}
    files |= {f"masks/{i}.png": mask for i, mask in enumerate(masks)}
    return fill_all(folder, files)


def test_labels_that_occur_are_classes_in_order(tmp_path):
    numbered(tmp_path, MASK * 5, OTHER * 2)

    samples = read(tmp_path)

    assert samples.classes == ("label 2", "label 5")
    assert drawn(samples, 0).labels.max() == 2
    assert drawn(samples, 1).labels.max() == 1


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    numbered(tmp_path, MASK * 3, MASK * 7)
    samples = read(tmp_path, classes=("a", "b", "c"))

    assert drawn(samples, 0).labels.max() == 3
    with pytest.raises(
        InputError, match=r"'masks/1\.png' holds the label 7 in 6 voxel\(s\); known are 0, 1, 2, 3"
    ):
        drawn(samples, 1)


def test_labels_may_be_merged_into_a_class_or_the_background(tmp_path):
    numbered(tmp_path, MASK * 1 + OTHER * 2, MASK * 3)

    samples = read(tmp_path, merge={"label 2": "label 1", "label 3": "background"})

    assert samples.classes == ("label 1",)
    assert drawn(samples, 0).labels.sum() == 7
    assert drawn(samples, 1).labels.sum() == 0


def test_one_mask_may_be_empty_but_not_all(tmp_path):
    numbered(tmp_path / "one", MASK, MASK * 0)
    numbered(tmp_path / "all", MASK * 0, MASK * 0)

    assert drawn(read(tmp_path / "one"), 1).labels.max() == 0
    with pytest.raises(InputError, match="all 2 masks are empty"):
        read(tmp_path / "all")


def test_masks_that_count_through_to_ends_of_their_own_number_objects(tmp_path):
    numbered(tmp_path, IMAGE, IMAGE % 22)

    samples = read(tmp_path)

    assert samples.classes == ("object",)
    assert drawn(samples).is_objects
    assert drawn(samples).labels.max() == 29


def test_many_classes_that_every_mask_shows_are_no_objects(tmp_path):
    numbered(tmp_path, IMAGE, IMAGE)

    samples = read(tmp_path)

    assert len(samples.classes) == 29
    assert not drawn(samples).is_objects


def test_parts_of_a_mask_of_one_value_are_objects_each(tmp_path):
    numbered(tmp_path, MASK | OTHER)

    found = drawn(read(tmp_path, objects=True, classes=("cell",)))

    assert sorted(np.bincount(found.labels.ravel())[1:].tolist()) == [1, 6]


def test_a_mask_of_another_size_is_refused(tmp_path):
    numbered(tmp_path, MASK, MASK[:, :-1])

    samples = read(tmp_path)

    with pytest.raises(GeometryError, match=r"'masks/1\.png' lies on another grid \(shape"):
        drawn(samples, 1)


# Real data


def test_hippocampus_is_read_with_its_two_parts(shared_data):
    path = shared_data("msd_hippocampus")
    samples = read(path, label="", mask="label", classes=("anterior", "posterior"))

    assert len(samples.samples) == 168
    assert samples.classes == ("anterior", "posterior")
    for index in (0, 80, 167):
        sample = samples.samples[index]
        counts = np.bincount(drawn(samples, index).labels.ravel(), minlength=3)
        assert counts[1] == int(sample.columns["vox_anterior"])
        assert counts[2] == int(sample.columns["vox_posterior"])
        assert drawn(samples, index).labels.shape == samples.place(sample).grid.shape


def test_breast_lesions_are_as_large_as_told(shared_data):
    path = shared_data("busi_breast_us")
    samples = read(path, label="", mask="mask", group="cluster", classes=("lesion",))

    assert len(samples.samples) == 600, "rows of masks are no images"
    for index in range(0, 600, 60):
        share = (drawn(samples, index).labels > 0).mean()
        told = float(samples.samples[index].columns["lesion_px_fraction"])
        assert share == pytest.approx(told, abs=0.002)


def test_retina_vessels_have_a_region_or_a_second_observer(shared_data):
    path = shared_data("retina_vessels_drive_chase")
    drive = read(path, label="", where={"dataset": ("DRIVE",)}, mask="mask", classes=("vessel",))
    chase = read(path, where={"dataset": ("CHASE_DB1",)})

    assert (len(drive.samples), len(chase.samples)) == (20, 20)
    assert drawn(drive).region is not None
    assert drawn(drive).observer is None
    assert drawn(chase).region is None
    first, second = drawn(chase).labels, drawn(chase).observer
    assert 2 * (first & second).sum() / (first.sum() + second.sum()) > 0.7
    assert 0.05 < drawn(drive).labels.mean() < 0.15


def test_nuclei_are_told_as_objects(shared_data):
    samples = read(shared_data("dsb2018_nuclei"))

    assert len(samples.samples) == 102
    for index in range(0, 102, 17):
        annotation = drawn(samples, index)
        assert annotation.is_objects
        told = int(samples.samples[index].columns["n_instances"])
        assert len(np.unique(annotation.labels)) - 1 == told


def test_instruments_have_boxes_of_18_kinds(shared_data):
    samples = read(shared_data("surgical_tools"))

    assert len(samples.samples) == 870
    assert len(samples.classes) == 18
    first = drawn(samples)
    assert samples.classes[first.box_classes[0]] == "6 Babcock Tissue Forceps"
    np.testing.assert_allclose(first.boxes, [[1.7, 91.7, 118.2, 414.2]], atol=1e-4)
