"""Images are found where they lie, with what is known about them."""

import io
import multiprocessing
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from aegle.domain.errors import FileError, InputError
from aegle.learning.reading_samples import DataOptions, read_samples


def png(value, mode="L"):
    file = io.BytesIO()
    pixels = np.full((4, 6), value, np.uint16 if mode == "I;16" else np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def fill(folder, names):
    for value, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))


def pack(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for value, name in enumerate(names):
            archive.writestr(name, png(value))


def labels(samples):
    return {s.name: samples.classes[s.label] for s in samples.samples}


def read(path, **options):
    return read_samples(path, options=DataOptions(**options))


def test_sub_folders_are_classes(tmp_path):
    fill(tmp_path, ["ill/b.png", "well/deep/c.png", "ill/a.png"])
    (tmp_path / "ill" / "notes.txt").write_text("not an image")
    (tmp_path / "ill" / ".hidden.png").write_bytes(b"")

    samples = read(tmp_path)

    assert samples.classes == ("ill", "well")
    assert labels(samples) == {"ill/a.png": "ill", "ill/b.png": "ill", "well/deep/c.png": "well"}
    assert samples.load(samples.samples[1])[0, 0] == 0, "b.png was written with zeros"


def test_folders_of_splits_may_hold_the_folders_of_classes(tmp_path):
    fill(tmp_path, ["Training/ill/a.png", "Testing/ill/a.png", "Testing/well/b.png"])

    samples = read(tmp_path)

    assert {s.name: s.split for s in samples.samples} == {
        "Training/ill/a.png": "train",
        "Testing/ill/a.png": "test",
        "Testing/well/b.png": "test",
    }
    assert samples.classes == ("ill", "well")


def test_a_zip_reads_as_the_folder_that_it_packs(tmp_path):
    names = ["ill/a.png", "well/b.png"]
    fill(tmp_path / "folder", names)
    pack(tmp_path / "packed.zip", [*(f"set/{name}" for name in names), "__MACOSX/set/ill/._a.png"])

    folder, packed = read(tmp_path / "folder"), read(tmp_path / "packed.zip")

    assert [s.label for s in packed.samples] == [s.label for s in folder.samples] == [0, 1]
    for one, other in zip(folder.samples, packed.samples, strict=True):
        np.testing.assert_array_equal(folder.load(one), packed.load(other))


@pytest.fixture
def listed(tmp_path):
    """A manifest with its zip beside it."""
    pack(tmp_path / "images.zip", ["x/1.png", "x/2.png", "x/3.png", "y/4.png"])
    (tmp_path / "manifest.csv").write_text(
        "\ufefffile,label,split,patient,view\n"
        "x/1.png,benign,train,p1,PA\n"
        "x/2.png,malignant,validation,p2,AP\n"
        "x/3.png,normal,train,p1,PA\n"
        "y/4.png,benign,,p3,PA\n",
        "utf-8",
    )
    return tmp_path


def test_a_manifest_gives_label_group_split_and_all_columns(listed):
    samples = read(listed, group="patient")

    assert samples.classes == ("benign", "malignant", "normal")
    assert [s.split for s in samples.samples] == ["train", "val", "train", ""]
    assert [s.group for s in samples.samples] == ["p1", "p2", "p1", "p3"]
    assert samples.samples[1].columns["view"] == "AP"
    assert [int(samples.load(s)[0, 0]) for s in samples.samples] == [0, 1, 2, 3]


def test_classes_keep_the_order_given(listed):
    samples = read(listed, classes=("normal", "malignant", "benign"))

    assert [s.label for s in samples.samples] == [2, 1, 0, 2]


def test_where_and_start_choose_and_merge_renames(listed):
    assert len(read(listed, where={"label": ("benign", "malignant"), "view": ("PA",)}).samples) == 2
    assert len(read(listed, start="x/").samples) == 3
    merged = read(listed, merge={"benign": "lesion", "malignant": "lesion"})
    assert merged.classes == ("lesion", "normal")
    assert [s.label for s in merged.samples] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"label": "diagnosis"}, "'diagnosis' for the label", id="no label column"),
        pytest.param({"group": "case"}, "'case' for the group", id="no group column"),
        pytest.param({"file": "path"}, "'path' for the file", id="no file column"),
        pytest.param({"split": "fold"}, "'fold' for the split", id="no split column"),
        pytest.param({"where": {"age": ("3",)}}, "no column 'age'", id="no column to choose by"),
        pytest.param({"classes": ("benign",)}, "'malignant' of 'x/2.png'", id="label not in list"),
        pytest.param({"start": "z/"}, "none of 4 images", id="nothing left"),
        pytest.param({"split": "view"}, "in the split 'PA'", id="unknown split"),
    ],
)
def test_what_cannot_be_read_is_named(listed, options, words):
    with pytest.raises(InputError, match=words):
        read(listed, **options)


def test_labels_outside_the_list_may_stay_for_the_gate(listed):
    options = DataOptions(classes=("benign", "malignant"))

    samples = read_samples(listed, options=options, strict=False)

    assert [s.label for s in samples.samples] == [0, 1, -1, 0]


def test_a_file_that_is_named_but_absent_is_an_error(listed):
    with (listed / "manifest.csv").open("a") as manifest:
        manifest.write("x/9.png,benign,train,p9,PA\n")

    with pytest.raises(InputError, match=r"1 of 5 images.*'x/9.png'"):
        read(listed)


def test_a_manifest_may_lie_beside_loose_files(tmp_path):
    fill(tmp_path, ["pictures/a.png"])
    (tmp_path / "list.csv").write_text("file;label\npictures/a.png;ill\n")

    samples = read(tmp_path / "list.csv")

    assert samples.samples[0].split == ""
    assert samples.load(samples.samples[0]).shape == (4, 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"file,label\n", "names no images", id="header only"),
        pytest.param(b"file,label\n\xff\xfe,a\n", "no table", id="not UTF-8"),
        pytest.param(b"file,label\na.png\n", "row 2 has 1 fields", id="short row"),
    ],
)
def test_a_damaged_manifest_is_an_error(tmp_path, text, words):
    (tmp_path / "manifest.csv").write_bytes(text)

    with pytest.raises(FileError, match=words):
        read(tmp_path)


def test_empty_folders_loose_pictures_and_unknown_files_are_errors(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        read(tmp_path)
    fill(tmp_path, ["a.png"])
    with pytest.raises(InputError, match=r"'a.png' lies in no folder"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileError, match="no data set"):
        read(tmp_path / "a.txt")
    with pytest.raises(FileError, match="does not exist"):
        read(tmp_path / "b")


def test_images_without_labels_may_lie_anywhere(tmp_path):
    fill(tmp_path, ["a.png", "deep/b.png"])

    assert [s.label for s in read(tmp_path, label="").samples] == [-1, -1]
    assert [s.name for s in read(tmp_path / "a.png", label="").samples] == ["a.png"]


def test_a_damaged_zip_is_an_error(tmp_path):
    pack(tmp_path / "whole.zip", ["ill/a.png", "well/b.png"])
    content = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[:-30])
    with pytest.raises(FileError, match="not a whole zip"):
        read(tmp_path / "cut.zip")

    place = content.index(b"IDAT") + 8
    (tmp_path / "bad.zip").write_bytes(content[:place] + b"\0\0" + content[place + 2 :])
    samples = read(tmp_path / "bad.zip")
    with pytest.raises(FileError, match=r"bad.zip/ill/a.png: it is damaged"):
        samples.load(samples.samples[0])


def test_a_zip_is_read_by_threads_and_sent_to_processes(tmp_path):
    pack(tmp_path / "many.zip", [f"c/{i:03d}.png" for i in range(200)])
    samples = pickle.loads(pickle.dumps(read(tmp_path / "many.zip")))

    with ThreadPoolExecutor(8) as threads:
        values = [int(image[0, 0]) for image in threads.map(samples.load, samples.samples)]

    assert values == list(range(200))


def read_all(samples, wrong):
    for _ in range(6):
        values = [int(samples.load(sample)[0, 0]) for sample in samples.samples]
        wrong.value += values != list(range(200))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_processes_do_not_share_the_place_in_a_zip(tmp_path):
    pack(tmp_path / "many.zip", [f"c/{i:03d}.png" for i in range(200)])
    samples = read(tmp_path / "many.zip")
    context = multiprocessing.get_context("fork")
    wrong = context.Value("i", 0)
    processes = [context.Process(target=read_all, args=(samples, wrong)) for _ in range(2)]

    for process in processes:
        process.start()
    read_all(samples, wrong)
    for process in processes:
        process.join(60)

    assert wrong.value == 0
    assert [process.exitcode for process in processes] == [0, 0]


def test_an_archive_counts_its_classes_from_0(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        train_images=np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4),
        train_labels=[[1], [0], [1]],
        train_flag=[True, False, False],
        test_images=np.zeros((1, 4, 4), np.uint8),
        test_labels=[[0]],
    )

    samples = read(tmp_path / "a.npz", classes=("normal", "ill"))

    assert labels(samples) == {
        "train/00000": "ill",
        "train/00001": "normal",
        "train/00002": "ill",
        "test/00000": "normal",
    }
    assert samples.samples[0].columns["train_flag"] == "True"
    assert samples.load(samples.samples[2])[0, 0] == 32
    assert samples.content(samples.samples[1]) == bytes(range(16, 32))
    assert read(tmp_path / "a.npz").classes == ("0", "1")
    with pytest.raises(InputError, match="'1' of 'train/00000'"):
        read(tmp_path / "a.npz", classes=("normal",))


def test_other_archives_are_errors(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros(3))
    with pytest.raises(FileError, match="no train_images"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", train_images=np.zeros((2, 4, 4)), train_labels=np.zeros((2, 14)))
    with pytest.raises(FileError, match=r"shape \(2, 14\) for 2 images"):
        read(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(b"PK\3\4 cut")
    with pytest.raises(FileError, match="cannot be read"):
        read(tmp_path / "c.npz")


def test_volumes_of_an_archive_stay_volumes(tmp_path):
    np.savez(
        tmp_path / "a.npz", train_images=np.zeros((2, 28, 28, 28)), train_labels=np.zeros((2, 1))
    )

    samples = read(tmp_path / "a.npz")

    assert samples.load(samples.samples[0]).shape == (28, 28, 28)


def test_a_given_decoder_reads_its_kind_of_file(tmp_path):
    fill(tmp_path, ["ill/a.png"])
    (tmp_path / "ill" / "b.dcm").write_bytes(b"\7")

    samples = read_samples(
        tmp_path,
        options=DataOptions(),
        decoders={".dcm": lambda content: np.full((2, 2), content[0])},
    )

    assert samples.load(samples.samples[1]).tolist() == [[7, 7], [7, 7]]


def test_the_given_radiographs_flag_10_duplicates(shared_data):
    path = shared_data("pneumoniamnist_28", "pneumoniamnist_trainval.npz")

    samples = read(path, classes=("normal", "pneumonia"))

    splits = [s.split for s in samples.samples]
    assert (splits.count("train"), splits.count("val")) == (4708, 524)
    assert sum(s.label for s in samples.samples if s.split == "train") == 3494
    flags = [s.columns.get("train_in_val_duplicate") for s in samples.samples]
    assert flags.count("True") == 10


@pytest.mark.parametrize(
    ("folder", "options", "count", "classes", "groups"),
    [
        ("brain_mri_4class", {"group": "cluster"}, 1613, 4, 1492),
        ("busi_breast_us", {"group": "cluster", "start": "images/"}, 600, 3, 520),
        ("cxr_nih_pneumonia", {"group": "patient_id"}, 748, 2, None),
    ],
)
def test_given_sets_are_read_from_their_zip(shared_data, folder, options, count, classes, groups):
    samples = read(shared_data(folder), **options)

    assert len(samples.samples) == count
    assert len(samples.classes) == classes
    if groups:
        assert len({s.group for s in samples.samples}) == groups
    assert samples.load(samples.samples[-1]).dtype == np.uint8
