"""Images are prepared once; what lies on disk is whole, or is not there."""

import errno
import json

import numpy as np
import pytest

from aegle.domain.errors import FileError, InputError
from aegle.learning import prepared
from aegle.learning.preparation import PreparationOptions, prepare
from aegle.learning.prepared import prepare_all

OPTIONS = PreparationOptions(size=8)


def silent(done, total):
    pass


@pytest.fixture
def samples(made_set, scene):
    images = {f"{i}.png": scene(i, size=20) for i in range(5)}
    return made_set(images, classes=("a", "b"), label=[0, 1, 0, 1, 0], group=["g", "", "g", "", ""])


def run(samples, folder, options=OPTIONS, progress=silent):
    return prepare_all(samples, folder, options=options, progress=progress)


def test_images_lie_in_the_order_of_their_samples(samples, tmp_path):
    result = run(samples, tmp_path)

    assert result.values.shape == (5, 1, 8, 8)
    assert result.labels.tolist() == [0, 1, 0, 1, 0]
    assert result.groups == ("g", "1.png", "g", "3.png", "4.png")
    for sample, values in zip(samples.samples, result.values, strict=True):
        np.testing.assert_array_equal(values, prepare(samples.load(sample), options=OPTIONS))


def test_a_second_call_prepares_nothing(samples, tmp_path, monkeypatch):
    first = run(samples, tmp_path)
    monkeypatch.setattr(prepared, "prepare", lambda *_, **__: pytest.fail("prepared again"))

    np.testing.assert_array_equal(run(samples, tmp_path).values, first.values)


def test_more_than_a_block_is_written_in_order(made_set, tmp_path):
    images = {f"{i}": np.arange(64).reshape(8, 8) + i * np.eye(8) for i in range(600)}
    samples = made_set(images)
    told = []

    result = run(samples, tmp_path, progress=lambda done, total: told.append((done, total)))

    assert told[-1] == (600, 600)
    np.testing.assert_array_equal(result.values[599], prepare(images["599"], options=OPTIONS))
    np.testing.assert_array_equal(result.values[300], prepare(images["300"], options=OPTIONS))


def folders(path):
    return sorted(p.name for p in path.iterdir() if p.is_dir())


def test_other_pixels_names_order_or_options_are_another_set(samples, made_set, scene, tmp_path):
    images = {s.name: samples.load(s) for s in samples.samples}
    run(samples, tmp_path)
    run(made_set(images | {"0.png": scene(9, size=20)}), tmp_path)
    run(made_set({f"x{name}": image for name, image in images.items()}), tmp_path)
    run(samples.subset(samples.samples[::-1]), tmp_path)
    run(samples, tmp_path, PreparationOptions(size=9))

    assert len(folders(tmp_path)) == 5


def test_other_labels_share_the_images(samples, made_set, tmp_path):
    images = {s.name: samples.load(s) for s in samples.samples}
    run(samples, tmp_path)
    run(made_set(images, classes=("z",), label=[0] * 5), tmp_path)

    assert len(folders(tmp_path)) == 1


def test_images_that_cannot_be_used_are_all_named_and_nothing_is_left(made_set, scene, tmp_path):
    images = {f"{i}.png": scene(i) for i in range(300)}
    images |= {"cut.png": None, "flat.png": np.zeros((9, 9)), "nan.png": np.full((9, 9), np.nan)}

    with pytest.raises(InputError, match=r"3 of 303 .*cut.png.*flat.png: All.*nan.png: 81"):
        run(made_set(images), tmp_path)

    assert folders(tmp_path) == []


def test_pictures_among_volumes_are_an_error(made_set, scene, tmp_path):
    samples = made_set({"a": scene(1), "b": np.random.default_rng(0).random((9, 9, 9))})

    with pytest.raises(InputError, match=r"'b' becomes an image of shape \(1, 8, 8, 8\)"):
        run(samples, tmp_path)
    assert folders(tmp_path) == []


def test_an_empty_set_is_an_error(made_set, tmp_path):
    with pytest.raises(InputError, match="no images"):
        run(made_set({}), tmp_path)


def test_a_damaged_set_is_made_anew(samples, tmp_path):
    first = run(samples, tmp_path).values.copy()
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    content = (place / "values.npy").read_bytes()
    (place / "values.npy").write_bytes(content[:-7])

    np.testing.assert_array_equal(run(samples, tmp_path).values, first)


def test_a_half_written_set_of_a_killed_process_is_cleared_away(samples, tmp_path):
    run(samples, tmp_path)
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    place.rename(tmp_path / f"{place.name}.part")

    run(samples, tmp_path)

    assert folders(tmp_path) == [place.name]


def test_a_full_disk_is_an_error_and_leaves_nothing(samples, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepared, "_write_header", full)

    with pytest.raises(FileError, match="No space left on device"):
        run(samples, tmp_path)
    assert folders(tmp_path) == []


def test_the_index_says_what_was_done(samples, tmp_path):
    run(samples, tmp_path)
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())

    index = json.loads((place / "index.json").read_text())

    assert index["preparation"]["size"] == 8
    assert index["names"] == [s.name for s in samples.samples]


def test_prepared_images_cannot_be_changed(samples, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        run(samples, tmp_path).values[0] = 0
