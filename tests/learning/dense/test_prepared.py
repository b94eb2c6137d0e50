"""Images and labels in files of their own."""

import numpy as np
import pytest

from aegle.domain.errors import FileError, InputError
from aegle.domain.grid import Grid
from aegle.learning.annotations import PlacedImage
from aegle.learning.dense import prepared
from aegle.learning.dense.configuration import ChannelScaling
from aegle.learning.dense.prepared import prepare_dense, prepare_image
from aegle.learning.samples import SampleSet


def quiet(done, total):
    pass


@pytest.fixture
def pair():
    """Return two volumes of two channels with labels of their own."""
    draw = np.random.default_rng(3)
    images = {name: draw.standard_normal((2, 6, 7, 8)).astype(np.float32) for name in "ab"}
    labels = {name: draw.integers(-1, 3, (6, 7, 8)) for name in "ab"}
    return images, labels


def test_images_and_labels_come_back_as_they_were(dense, pair):
    images, labels = pair

    found = dense(*pair, (4, 4, 4))

    for number, name in enumerate("ab"):
        np.testing.assert_allclose(found.image(number), images[name], atol=2e-3)
        assert np.array_equal(found.labels(number), labels[name])
        assert found.shape(number) == (6, 7, 8)
        assert not found.image(number).flags.writeable
    assert found.image(0).dtype == np.float16
    assert found.labels(0).dtype == np.int16
    assert found.dimensions == 5


def test_every_place_holds_its_label(dense, pair):
    found = dense(*pair, (4, 4, 4))

    for number in range(2):
        labels, places = found.labels(number), found.places(number)
        assert sorted(places) == [1, 2]
        for label, voxels in places.items():
            assert {tuple(v) for v in voxels} == {tuple(v) for v in np.argwhere(labels == label)}


def test_places_of_a_large_label_are_some_drawn_evenly(dense):
    labels = np.ones((20, 40, 40), int)

    voxels = dense({"a": np.zeros((1, 20, 40, 40), np.float32)}, {"a": labels}, (4, 4, 4)).places(0)

    assert len(np.unique(voxels[1], axis=0)) == len(voxels[1]) == 2000
    # The mean of n even draws from 0..m-1 has the deviation m / sqrt(12 n).
    for axis, size in enumerate(labels.shape):
        middle, deviation = (size - 1) / 2, size / np.sqrt(12 * 2000)
        assert abs(voxels[1][:, axis].mean() - middle) < 4 * deviation


def test_an_image_without_labels_has_no_places(dense):
    found = dense({"a": np.zeros((1, 1, 9, 9), np.float32)}, {"a": np.zeros((1, 9, 9))}, (1, 4, 4))

    assert found.places(0) == {}
    assert found.dimensions == 4


def test_objects_come_with_their_distance(dense):
    labels = np.zeros((1, 9, 12), int)
    labels[0, 2:7, 2:7], labels[0, 2:7, 7:11] = 300, 7

    found = dense(
        {"a": np.zeros((1, 1, 9, 12), np.float32)}, {"a": labels}, (1, 4, 4), objects=True
    )

    assert np.array_equal(found.labels(0), labels)
    np.testing.assert_allclose(found.distance(0)[0, 4, 2:7], [0.2, 0.6, 1, 0.6, 0.2], atol=1e-3)
    assert sorted(found.places(0)) == [7, 300]


def test_objects_of_a_pixel_outlast_another_spacing(dense):
    labels = np.zeros((1, 8, 8), int)
    labels[0, ::2, ::2] = np.arange(1, 17).reshape(4, 4)

    found = dense(
        {"a": np.zeros((1, 1, 8, 8), np.float32)},
        {"a": labels},
        (1, 4, 4),
        objects=True,
        spacing_mm=(1.0, 0.8, 0.8),
    )

    assert found.shape(0) == (1, 10, 10)
    # New middles lie at 0.4, 1.2, ... of the old pixels' width.
    nearest = [0, 1, 2, 2, 3, 4, 5, 6, 6, 7]
    assert np.array_equal(found.labels(0)[0], labels[0][np.ix_(nearest, nearest)])


def test_images_are_read_once(dense, pair, monkeypatch):
    first = dense(*pair, (4, 4, 4))
    monkeypatch.setattr(prepared, "prepare_image", None)

    again = dense(*pair, (2, 2, 2))

    assert again.keys == first.keys
    assert again.digest() != first.digest()


@pytest.mark.parametrize("changed", ["image", "labels", "spacing"])
def test_what_an_image_is_made_from_decides_its_folder(dense, pair, changed):
    first = dense(*pair, (4, 4, 4))
    images, labels = pair
    facts = {"spacing_mm": (1.0, 1.0, 2.0)} if changed == "spacing" else {}
    if changed == "image":
        images["a"][1, 0, 0, 0] += 1
    if changed == "labels":
        labels["a"][0, 0, 0] = 1 - abs(labels["a"][0, 0, 0])

    second = dense(images, labels, (4, 4, 4), **facts)

    assert second.keys[0] != first.keys[0]
    assert (second.keys[1] == first.keys[1]) == (changed != "spacing")


def test_a_preparation_that_broke_off_goes_on(
    outlined_set, configured, pair, tmp_path, monkeypatch
):
    samples, configuration = outlined_set(*pair), configured(3, (4, 4, 4), channels=2)
    made = []

    def counted(image, settings):
        made.append(image)
        if len(made) == 2:
            raise KeyboardInterrupt
        return image.values

    monkeypatch.setattr(prepared, "prepare_image", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare_dense(samples, tmp_path, configuration=configuration, progress=quiet)
    found = prepare_dense(samples, tmp_path, configuration=configuration, progress=quiet)

    assert len(made) == 3
    assert found.image(1).shape == (2, 6, 7, 8)


def test_a_file_that_was_left_half_is_made_again(dense, pair, tmp_path):
    keys = dense(*pair, (4, 4, 4)).keys
    whole = tmp_path / keys[0]
    whole.rename(tmp_path / f"{keys[0]}.part")
    (tmp_path / f"{keys[0]}.part" / "image.npy").write_bytes(b"half")

    assert dense(*pair, (4, 4, 4)).image(0).shape == (2, 6, 7, 8)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("time", range(5))
def test_the_same_image_in_several_threads_is_one_folder(dense, tmp_path, time):
    values = np.random.default_rng(0).standard_normal((1, 1, 8, 8)).astype(np.float32)
    names = [f"copy {number}" for number in range(9)]

    found = dense(
        dict.fromkeys(names, values), dict.fromkeys(names, np.ones((1, 8, 8), int)), (1, 4, 4)
    )

    assert len(set(found.keys)) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [found.keys[0]]


def test_all_unusable_images_are_counted_and_five_are_named(outlined_set, configured, tmp_path):
    names = [f"image {number}" for number in range(8)]
    images = {name: np.full((1, 4, 4, 4), i, np.float32) for i, name in enumerate(names)}
    labels = {name: np.full((4, 4, 4), 7) for name in names}
    labels["image 0"] = np.zeros((4, 4, 4))
    labels["image 1"] = np.zeros((3, 4, 4))
    images["image 2"][0, 0, 0, 0] = np.nan
    labels["image 2"] = np.zeros((4, 4, 4))
    labels["image 3"] = np.full((4, 4, 4), -2)

    with pytest.raises(InputError) as caught:
        prepare_dense(
            outlined_set(images, labels),
            tmp_path,
            configuration=configured(3, (4, 4, 4)),
            progress=quiet,
        )

    said = str(caught.value)
    assert "7 of 8 images cannot be used" in said
    assert "image 1: its mask has shape (3, 4, 4), the image (4, 4, 4)" in said
    assert "image 2: The image holds values that are no finite numbers" in said
    assert "image 3: its mask holds -2; labels go from 0 to 2" in said
    assert "image 4: its mask holds 7; labels go from 0 to 2" in said
    assert "image 6" not in said
    assert "and 2 more" in said


def test_a_damaged_image_is_counted_and_not_taken_for_a_full_disk(
    outlined_set, configured, pair, tmp_path
):
    samples = outlined_set(*pair)

    def broken(sample):
        raise FileError(sample.name, "it is cut off.", "Fetch it again.") from OSError("short")

    with pytest.raises(InputError, match=r"2 of 2 images cannot be used\. a: it is cut off"):
        prepare_dense(
            SampleSet(**(vars(samples) | {"place": broken})),
            tmp_path,
            configuration=configured(3, (4, 4, 4), channels=2),
            progress=quiet,
        )


def test_images_without_outlines_are_refused(made_set, configured, tmp_path):
    samples = made_set({"a": np.zeros((4, 4), np.uint8)})

    with pytest.raises(InputError, match="without outlines"):
        prepare_dense(samples, tmp_path, configuration=configured(2, (1, 4, 4)), progress=quiet)


def test_a_place_that_cannot_be_written_to_is_named(outlined_set, configured, pair, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(FileError, match="cannot be written there"):
        prepare_dense(
            outlined_set(*pair),
            blocked / "below",
            configuration=configured(3, (4, 4, 4), channels=2),
            progress=quiet,
        )


def test_an_image_is_scaled_and_brought_to_the_spacing(configured):
    rows = np.linspace(-2, 2, 40, dtype=np.float32)[:, None]
    values = np.broadcast_to(rows, (1, 6, 40, 30)).copy()
    grid = Grid(shape=(6, 40, 30), spacing_mm=(2.0, 0.5, 1.0))
    scaling = (ChannelScaling(scheme="ct", low=-1, high=1, mean=1, deviation=0.5),)

    result = prepare_image(
        PlacedImage(values=values, grid=grid, is_picture=False),
        configured(3, (4, 4, 4), scaling=scaling),
    )

    assert result.shape == (1, 12, 20, 30)
    assert result[0, 5, 0, 5] == pytest.approx(-4, abs=1e-3)
    assert result[0, 5, -1, 5] == pytest.approx(0, abs=1e-3)
    # Between the limits, halfway between old rows 19 and 20.
    assert result[0, 5, 9:11, 5].mean() == pytest.approx(-2, abs=1e-3)


def test_progress_ends_with_all_images(outlined_set, configured, pair, tmp_path):
    told = []

    prepare_dense(
        outlined_set(*pair),
        tmp_path,
        configuration=configured(3, (4, 4, 4), channels=2),
        progress=lambda done, total: told.append((done, total)),
    )

    assert told == [(1, 2), (2, 2)]
