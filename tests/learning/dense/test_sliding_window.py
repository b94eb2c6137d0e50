from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from aegle.domain.errors import OptionError
from aegle.learning.dense.engines import TileNeed, tile_need, torch_engine
from aegle.learning.dense.sliding_window import (
    Window3D,
    box_of_interest,
    budget,
    labels_of,
    scores_of,
)
from aegle.learning.dense.tiling import Tiling

CUBES = Window3D(tile=(8, 10, 12), axes=3, step=0.5, memory_mb=500, precision="float32")
NEED = TileNeed(classes=3, values=10_000)


def image_of(shape, channels=1, seed=0):
    values = np.random.default_rng(seed).normal(size=(channels, *shape))
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def seeing():
    """A network that sees its neighbours, and the border of its tile."""
    torch.manual_seed(0)
    layers = nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv3d(6, 3, 5, padding=2)
    return nn.Sequential(*layers).eval()


def engine_of(network):
    return torch_engine(network, precision="float32")


def bell(side):
    offsets = np.arange(side) - (side - 1) / 2
    return np.exp(-0.5 * (offsets / (side / 8)) ** 2)


def blended(network, image, starts, tile):
    """Scores by weighted sums over the whole image, divided by the sums of the weights."""
    a, b, c = (bell(side) for side in tile)
    weight = a[:, None, None] * b[:, None] * c
    total = np.zeros((3, *image.shape[1:]))
    weights = np.zeros(image.shape[1:])
    for start in np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3):
        part = tuple(slice(s, s + side) for s, side in zip(start, tile, strict=True))
        with torch.inference_mode():
            found = network(torch.from_numpy(image[None, :, *part].copy()))[0].numpy()
        total[:, *part] += weight * found
        weights[part] += weight
    return total / weights


STARTS = [(0, 4, 7, 11), (0, 4, 9), (0, 5)]


def test_tiles_are_blended_by_their_gaussian_weights(seeing):
    image = image_of((19, 19, 17))

    found = scores_of(engine_of(seeing), image, need=NEED, window=CUBES)

    expected = blended(seeing, image, STARTS, CUBES.tile)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_result_is_that_of_monai_with_the_same_weights(seeing):
    from monai.inferers import sliding_window_inference

    image = image_of((24, 20, 24))
    window = replace(CUBES, tile=(8, 8, 8))
    found = scores_of(engine_of(seeing), image, need=NEED, window=window)

    one = bell(8)
    weight = torch.from_numpy(one[:, None, None] * one[:, None] * one).float()
    with torch.inference_mode():
        expected = sliding_window_inference(
            torch.from_numpy(image)[None], (8, 8, 8), 3, seeing, 0.5, roi_weight_map=weight
        )
    np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-4)


def test_labels_are_the_largest_of_the_scores(seeing):
    image = image_of((19, 19, 17))

    found = labels_of(engine_of(seeing), image, image.shape[1:], need=NEED, window=CUBES)

    expected = blended(seeing, image, STARTS, CUBES.tile).argmax(0)
    np.testing.assert_array_equal(found, expected)


def test_labels_on_a_finer_grid_are_those_of_interpolated_scores(seeing):
    image = image_of((19, 19, 17))

    found = labels_of(engine_of(seeing), image, (23, 40, 31), need=NEED, window=CUBES)

    scores = torch.from_numpy(blended(seeing, image, STARTS, CUBES.tile))[None].float()
    fine = functional.interpolate(scores, (23, 40, 31), mode="trilinear", align_corners=False)
    assert np.mean(found != fine[0].argmax(0).numpy()) < 1e-4


@pytest.mark.parametrize("shape", [(19, 60, 17), (23, 70, 31)])
def test_a_small_memory_gives_the_same_labels_strip_by_strip(seeing, shape):
    image = image_of((19, 60, 17))
    need = replace(NEED, classes=3, values=1000)
    whole = labels_of(engine_of(seeing), image, shape, need=need, window=CUBES)
    small = replace(CUBES, memory_mb=0.06)
    rows = budget(Tiling.of((19, 60, 17), small.tile, small.step), need, small).rows
    assert 10 <= rows < 60

    found = labels_of(engine_of(seeing), image, shape, need=need, window=small)

    # Strips are held in half precision, which turns ties.
    assert np.mean(found != whole) < 1e-3
    scores = [
        scores_of(engine_of(seeing), image, need=need, window=window) for window in (CUBES, small)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.01)


@pytest.mark.parametrize("lack", [(3, 0, 0), (0, 4, 5), (7, 9, 11)])
def test_an_image_smaller_than_the_tile_is_padded_by_zeros_and_cut_again(seeing, lack):
    image = image_of(tuple(np.subtract(CUBES.tile, lack)))

    found = scores_of(engine_of(seeing), image, need=NEED, window=CUBES)
    labels = labels_of(engine_of(seeing), image, image.shape[1:], need=NEED, window=CUBES)

    margins = [(0, 0)] + [(n // 2, n - n // 2) for n in lack]
    padded = np.pad(image, margins)
    with torch.inference_mode():
        expected = seeing(torch.from_numpy(padded)[None])[0].numpy()
    inside = tuple(slice(a, a + n) for (a, _), n in zip(margins[1:], image.shape[1:], strict=True))
    np.testing.assert_allclose(found, expected[:, *inside], atol=1e-5)
    np.testing.assert_array_equal(labels, expected[:, *inside].argmax(0))


@pytest.mark.parametrize("shape", [(1, 30, 41), (5, 12, 9)])
def test_a_network_for_pictures_sees_slice_by_slice(shape):
    torch.manual_seed(0)
    network = nn.Conv2d(2, 3, 1).eval()
    image = image_of(shape, channels=2)
    window = Window3D(tile=(1, 16, 16), axes=2, step=0.5, memory_mb=500, precision="float32")
    need = tile_need(network, (2, 16, 16))

    scores = scores_of(engine_of(network), image, need=need, window=window)
    labels = labels_of(engine_of(network), image, shape, need=need, window=window)

    with torch.inference_mode():
        expected = network(torch.from_numpy(image).movedim(1, 0)).movedim(0, 1).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_array_equal(labels, expected.argmax(0))


def test_slices_of_pictures_share_a_batch():
    counts = []

    def engine(tiles):
        counts.append(len(tiles))
        return torch.zeros(len(tiles), 2, *tiles.shape[2:])

    window = Window3D(tile=(1, 16, 16), axes=2, step=0.5, memory_mb=500, precision="float32")
    need = TileNeed(classes=2, values=1000)
    labels_of(engine, image_of((40, 16, 16)), (40, 16, 16), need=need, window=window)

    assert counts == [40]


def test_a_box_alone_is_looked_at_and_the_rest_is_background():
    seen = []

    def engine(tiles):
        seen.append(tiles.shape)
        return torch.cat([0 * tiles, 0 * tiles + 1], dim=1)

    image = image_of((20, 30, 40))
    need = TileNeed(classes=2, values=1000)
    box = (slice(4, 14), slice(10, 20), slice(0, 12))
    found = labels_of(engine, image, (20, 60, 40), need=need, window=CUBES, box=box)

    expected = np.zeros((20, 60, 40), bool)
    # Labels lie between the centres of the voxels that are looked at.
    expected[4:13, 21:39, 0:11] = True
    np.testing.assert_array_equal(found > 0, expected)
    assert sum(shape[0] for shape in seen) == 2


def test_the_batch_falls_before_the_memory_is_exceeded():
    tiling = Tiling.of((64, 64, 64), (16, 16, 16), 0.5)
    need = TileNeed(classes=4, values=2_000_000)

    plenty, little = (
        budget(tiling, need, replace(CUBES, tile=(16, 16, 16), memory_mb=mb)) for mb in (5000, 100)
    )

    assert plenty.batch == 64
    assert 1 <= little.batch <= 9
    assert little.batch * need.megabytes("float32") < 80


def test_scores_are_held_in_half_precision_before_rows_are_parted():
    tiling = Tiling.of((64, 64, 64), (16, 16, 16), 0.5)
    window = replace(CUBES, tile=(16, 16, 16))
    need = TileNeed(classes=100, values=1000)
    scores_mb = 100 * 16 * 64 * 64 * 4 / 1e6

    kinds = [
        budget(tiling, need, replace(window, memory_mb=share * scores_mb / 0.8))
        for share in (1.2, 0.6, 0.3)
    ]

    assert [kind.kind for kind in kinds] == [torch.float32, torch.float16, torch.float16]
    assert [kind.rows for kind in kinds] == [64, 64, pytest.approx(38, abs=1)]


def test_too_little_memory_says_how_much_is_needed():
    tiling = Tiling.of((64, 64, 64), (16, 16, 16), 0.5)
    need = TileNeed(classes=100, values=50_000_000)
    window = replace(CUBES, tile=(16, 16, 16), memory_mb=100)

    with pytest.raises(OptionError, match=r"100 MB are too little .* at least (\d+) MB") as error:
        budget(tiling, need, window)

    wanted = float(str(error.value).split("at least ")[1].split(" MB")[0])
    assert budget(tiling, need, replace(window, memory_mb=wanted)).batch == 1


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        pytest.param((0, 0, 0), ((4, 8), (9, 18), (20, 30)), id="outer faces agree"),
        pytest.param((1, 2, 50), ((3, 9), (7, 20), (0, 40)), id="the margin ends at the image"),
    ],
)
def test_the_box_of_a_coarse_mask_on_a_fine_grid(margin, expected):
    mask = np.zeros((5, 10, 4), bool)
    mask[2:4, 3:6, 2] = True

    box = box_of_interest(mask, (10, 30, 40), margin=margin)

    assert tuple((part.start, part.stop) for part in box) == expected


def test_an_empty_mask_leaves_the_whole_image():
    box = box_of_interest(np.zeros((5, 5, 5), bool), (10, 20, 30))

    assert [(part.start, part.stop) for part in box] == [(0, 10), (0, 20), (0, 30)]
