import sys

import pytest
import torch
from torch import nn

from aegle.domain.errors import InputError, OptionError
from aegle.learning.dense.engines import (
    mirrored,
    openvino_engine,
    tile_need,
    torch_engine,
    usable_precision,
)

CPU = torch.device("cpu")


def test_the_need_of_a_tile_is_what_its_layers_hold_together():
    network = nn.Sequential(nn.Conv3d(2, 8, 3, padding=1), nn.Conv3d(8, 3, 1)).eval()

    need = tile_need(network, (2, 4, 5, 6))

    # 2 channels go in and 8 come out while the tile is still held; then 8 and 3. Two copies of
    # the largest layer are added.
    voxels = 4 * 5 * 6
    assert need.classes == 3
    assert need.values == pytest.approx((2 + 8 + 3 + 2 * 8) * voxels, rel=0.2)


def test_the_need_does_not_grow_with_layers_that_follow_each_other():
    layers = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(12)]

    short, long = (tile_need(nn.Sequential(*layers[:n]).eval(), (4, 8, 8)) for n in (3, 12))

    assert long.values == short.values


def test_a_tile_that_the_network_does_not_take_is_refused():
    network = nn.Conv3d(2, 3, 1)

    with pytest.raises(InputError, match=r"tiles of shape \(1, 4, 4, 4\)"):
        tile_need(network, (1, 4, 4, 4))


def test_mirror_images_are_turned_back_before_the_mean_is_taken():
    ramp = torch.arange(24.0).view(1, 1, 2, 3, 4)

    still = mirrored(lambda tiles: tiles, 3)(ramp)
    fixed = mirrored(lambda tiles: torch.zeros_like(tiles) + ramp, 3)(ramp)

    torch.testing.assert_close(still, ramp)
    torch.testing.assert_close(fixed, torch.full_like(ramp, 11.5))


def test_pictures_have_four_mirror_images():
    seen = []
    mirrored(lambda tiles: seen.append(tiles) or tiles, 2)(torch.rand(1, 1, 3, 4))

    assert len(seen) == 4


def test_bfloat16_is_close_to_float32():
    torch.manual_seed(0)
    network = nn.Conv3d(1, 4, 3, padding=1).eval()
    tiles = torch.randn(2, 1, 8, 8, 8)

    exact, close = (torch_engine(network, precision=p)(tiles) for p in ("float32", "bfloat16"))

    assert exact.dtype == torch.float32
    torch.testing.assert_close(close.float(), exact, atol=0.03, rtol=0.03)


def test_processors_without_bfloat16_use_float32(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)

    assert usable_precision("bfloat16", CPU) == "float32"
    assert usable_precision("bfloat16", torch.device("cuda")) == "bfloat16"


def test_openvino_gives_what_pytorch_gives():
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    layers = nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 1)
    network = nn.Sequential(*layers).eval()
    engine = openvino_engine(network, (2, 6, 7, 8), precision="float32", threads=1)

    for count in (1, 3):
        tiles = torch.randn(count, 2, 6, 7, 8)
        expected = torch_engine(network, precision="float32")(tiles)
        torch.testing.assert_close(engine(tiles), expected, atol=1e-4, rtol=1e-4)


def test_a_missing_openvino_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(OptionError, match=r"aegle\[openvino\]"):
        openvino_engine(nn.Conv3d(1, 1, 1), (1, 4, 4, 4), precision="float32", threads=1)
