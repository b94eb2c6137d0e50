"""Images that show the same have alike codes, others have not."""

import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse.csgraph import connected_components

from aegle.learning.near_duplicates import clusters, difference_code


def apart(one, other):
    return int(np.bitwise_count(difference_code(one) ^ difference_code(other)).sum())


def jpeg(image, quality=60):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_bit_says_that_the_right_neighbour_is_brighter():
    rising = np.tile(np.arange(17, dtype=np.uint8) * 10, (16, 1))

    assert np.bitwise_count(difference_code(rising)).sum() == 256
    assert np.bitwise_count(difference_code(rising[:, ::-1])).sum() == 0
    assert np.bitwise_count(difference_code(rising.T[:16].repeat(2, axis=1))).sum() == 0
    halves = np.hstack([rising, rising[:, ::-1]])
    assert np.bitwise_count(difference_code(halves)).sum() == pytest.approx(128, abs=16)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: jpeg(image), id="compressed"),
        pytest.param(lambda image: (image * 0.7 + 20).astype(np.uint8), id="brighter"),
        pytest.param(
            lambda image: np.asarray(Image.fromarray(image).resize((150, 150))), id="scaled"
        ),
        pytest.param(lambda image: np.dstack([image] * 3), id="as colours"),
        pytest.param(lambda image: image.astype(np.uint16) * 200, id="with 16 bits"),
        pytest.param(lambda image: np.stack([image * 0, image, image * 0]), id="middle slice"),
    ],
)
def test_the_same_scene_keeps_its_code(scene, change):
    image = scene(1, size=100)

    assert apart(image, change(image)) <= 16


def test_other_scenes_mirrored_and_turned_ones_do_not(scene):
    image = scene(1)

    assert min(apart(image, scene(number)) for number in range(2, 40)) > 64
    assert apart(image, image[:, ::-1]) > 64
    assert apart(image, np.rot90(image)) > 64


@given(st.integers(0, 10_000), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_clusters_are_those_of_all_pairs(seed, distance):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (40, 256), dtype=np.uint8)
    bits = np.concatenate([bits, bits ^ (rng.random(bits.shape) < rng.random() * 0.1), bits[:7]])
    codes = np.packbits(bits, axis=1).view(np.uint64)

    found = clusters(codes, distance)

    near = (bits[:, None] != bits[None]).sum(axis=2) <= distance
    _, expected = connected_components(near, directed=False)
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)
    _, first = np.unique(found, return_index=True)
    assert (np.diff(first) > 0).all(), "clusters are numbered as they appear"


def test_the_distance_is_inclusive():
    codes = np.zeros((3, 4), np.uint64)
    codes[1, 2] = (1 << 16) - 1
    codes[2, 0] = (1 << 17) - 1

    assert clusters(codes, 16).tolist() == [0, 0, 1]
    assert clusters(codes, 15).tolist() == [0, 1, 2]
    assert clusters(codes, 17).tolist() == [0, 0, 0]


def test_no_images_have_no_clusters():
    assert clusters(np.zeros((0, 4), np.uint64)).tolist() == []


def test_ten_thousand_images_take_a_second():
    codes = np.random.default_rng(0).integers(0, 1 << 63, (10_000, 4)).astype(np.uint64)
    codes[-1] = codes[0]
    start = time.process_time()

    found = clusters(codes)

    assert found.max() == 9998
    # Measured 0.2 s; comparing all pairs bit by bit takes minutes.
    assert time.process_time() - start < 3


def test_given_clusters_of_ultrasound_images_stay_together(shared_data):
    from aegle.learning.reading_samples import DataOptions, read_samples

    options = DataOptions(group="cluster", start="images/")
    samples = read_samples(shared_data("busi_breast_us"), options=options)
    codes = np.array([difference_code(samples.load(s)) for s in samples.samples])
    found = clusters(codes)

    # The given clusters were formed at full size, so a few pairs near the limit differ.
    groups = np.unique([s.group for s in samples.samples], return_inverse=True)[1]
    pairs = np.triu(groups[:, None] == groups, 1)
    mine = np.triu(found[:, None] == found, 1)
    assert (pairs & mine).sum() / mine.sum() > 0.9
    assert (pairs & mine).sum() / pairs.sum() > 0.7
