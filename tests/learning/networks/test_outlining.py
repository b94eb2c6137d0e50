import pytest
import torch
from torch import nn

from aegle import catalogue
from aegle.domain.errors import OptionError
from aegle.learning.networks.mobilenet_v2 import mobilenet_v2
from aegle.learning.networks.outlining import SCALE_ENDS, mobile_unet, residual_unet, unet
from aegle.learning.networks.stages import stages
from aegle.learning.weights import load_into, read_state

FLAT = {
    "widths": (4, 8, 16),
    "strides": ((1, 1), (2, 2), (2, 1)),
    "kernels": ((3, 3), (3, 3), (3, 3)),
}
THICK_SLICES = {
    "widths": (4, 8, 16),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    "kernels": ((3, 3, 3), (3, 3, 3), (3, 3, 3)),
}


def weights(network):
    return sum(parameter.numel() for parameter in network.parameters())


def as_monai(levels, axes, *, residual=False):
    from monai.networks.nets.dynunet import DynUNet

    return DynUNet(
        axes,
        1,
        3,
        kernel_size=levels["kernels"],
        strides=levels["strides"],
        upsample_kernel_size=levels["strides"][1:],
        filters=levels["widths"],
        norm_name=("instance", {"affine": True}),
        res_block=residual,
    )


@pytest.mark.parametrize(
    ("levels", "shape"), [(FLAT, (16, 12)), (THICK_SLICES, (6, 16, 12))], ids=["flat", "thick"]
)
def test_unet_is_the_function_of_monai_dynunet(levels, shape):
    ours, theirs = unet(classes=3, **levels).eval(), as_monai(levels, len(shape)).eval()
    names = {"encoder.0.0": "input_block", "encoder.1.0": "downsamples.0"}
    names |= {"encoder.2.0": "bottleneck", "outputs.0": "output_block"}
    names |= {"decoder.1": "upsamples.0", "decoder.0": "upsamples.1"}
    given = theirs.state_dict()

    ours.load_state_dict(
        {
            name: next(
                given[to + name.removeprefix(of)]
                for of, to in names.items()
                if name.startswith(of + ".")
            )
            for name in ours.state_dict()
        }
    )
    images = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


def test_convolutions_of_a_level_are_alike_in_encoder_and_decoder():
    flat_first = THICK_SLICES | {"kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3))}
    state = unet(**flat_first).state_dict()

    for part, sizes in (
        ("encoder.0.0", (1, 3, 3)),
        ("decoder.0.conv_block", (1, 3, 3)),
        ("encoder.1.0", (3, 3, 3)),
        ("decoder.1.conv_block", (3, 3, 3)),
    ):
        assert state[f"{part}.conv2.conv.weight"].shape[2:] == sizes


def test_default_unet_has_the_weights_of_monai_dynunet():
    from monai.networks.nets.dynunet import DynUNet

    norm = ("instance", {"affine": True})
    peer = DynUNet(
        2, 1, 2, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[32, 64, 128, 256], norm_name=norm
    )

    assert weights(unet()) == weights(peer) == 1_926_242


def test_residual_unet_adds_blocks_to_each_level_but_the_first():
    from monai.networks.blocks.dynunet_block import UnetResBlock

    network = residual_unet(classes=3, **FLAT)

    blocks = [module for module in network.modules() if isinstance(module, UnetResBlock)]
    assert len(blocks) == 1 + 2 + 2


@pytest.mark.parametrize("name", ["unet", "residual-unet", "mobile-unet"])
def test_coarser_outputs_come_in_training_only(name):
    settings = (
        {}
        if name == "mobile-unet"
        else {
            "widths": (4, 8, 8, 8),
            "strides": ((1, 1), (2, 2), (2, 2), (2, 2)),
            "kernels": ((3, 3),) * 4,
        }
    )
    network = catalogue.load("network", name)(channels=3, classes=5, deep_supervision=2, **settings)
    images = torch.randn(2, 3, 64, 32)

    several = network.train()(images)
    with torch.inference_mode():
        one = network.eval()(images)

    assert [tuple(output.shape) for output in several] == [
        (2, 5, 64, 32),
        (2, 5, 32, 16),
        (2, 5, 16, 8),
    ]
    assert tuple(one.shape) == (2, 5, 64, 32)


@pytest.mark.parametrize("name", ["unet", "residual-unet", "mobile-unet"])
def test_every_weight_has_a_gradient(name):
    network = catalogue.load("network", name)(channels=1, deep_supervision=1).train()

    outputs = network(torch.randn(2, 1, 64, 64))
    sum(output.square().mean() for output in outputs).backward()

    silent = [n for n, p in network.named_parameters() if p.grad is None]
    assert silent == []


def test_mobile_unet_sees_what_mobilenet_sees():
    network, body = mobile_unet(), mobilenet_v2(batch_norm=False)
    body.features.load_state_dict(network.features.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 96)
    seen = []
    hook = network.features[SCALE_ENDS[-1]].register_forward_hook(
        lambda *given: seen.append(given[2])
    )

    with torch.inference_mode():
        network.eval()(images)
        wanted = body.eval().features[: SCALE_ENDS[-1] + 1](images)
    hook.remove()

    torch.testing.assert_close(seen[0], wanted)
    assert tuple(wanted.shape) == (1, 320, 2, 3)


def test_scales_of_mobile_unet_halve_five_times():
    network = mobile_unet().eval()
    sizes = []
    features = torch.zeros(1, 3, 64, 64)
    for number, part in enumerate(network.features):
        features = part(features)
        sizes += [tuple(features.shape[1:3])] if number in SCALE_ENDS else []

    assert sizes == [(16, 32), (24, 16), (32, 8), (96, 4), (320, 2)]


def test_pictures_of_odd_size_keep_it():
    with torch.inference_mode():
        assert tuple(mobile_unet().eval()(torch.zeros(1, 3, 67, 53)).shape) == (1, 2, 67, 53)


@pytest.mark.parametrize(("channels", "batch_norm"), [(3, False), (1, False), (3, True)])
def test_imagenet_weights_fit_the_encoder(shared_data, channels, batch_norm):
    file = shared_data(
        "weights", "mobilenet_v2_imagenet", "mobilenet_v2_torchvision_int8_bnfolded.npz"
    )
    network = mobile_unet(channels=channels, batch_norm=batch_norm)

    matched = load_into(network, read_state(file))

    missing = [name for name in matched.missing if name.startswith("features.")]
    # 51 convolutions before the last 1 x 1, with a bias each, or the five numbers of batch norm.
    assert len(matched.matched) == 51 * (5 if batch_norm else 2)
    assert missing == []
    assert bool(matched.adapted) == (channels == 1)


def test_decoder_of_mobile_unet_is_the_head_that_learns_at_the_full_rate():
    *body, (name, head) = stages(mobile_unet())

    assert name == "decoder"
    assert body[0][0] == "features.0-1"
    in_stages = sum(weights(part) for _, parts in [*body, (name, head)] for part in parts)
    assert in_stages == weights(mobile_unet())


def test_networks_are_built_without_memory():
    for name in ("unet", "residual-unet", "mobile-unet"):
        with torch.device("meta"):
            network: nn.Module = catalogue.load("network", name)()
        assert all(value.is_meta for value in network.state_dict().values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"strides": ((1, 1), (2, 2))},
        {"kernels": ((3, 3, 3),) * 3},
        {"deep_supervision": 2},
        {"deep_supervision": -1},
    ],
)
def test_levels_that_do_not_agree_are_refused(wrong):
    with pytest.raises(OptionError):
        unet(**(FLAT | wrong))


def test_mobile_unet_of_other_depth_is_refused():
    with pytest.raises(OptionError, match="5 scales"):
        mobile_unet(widths=(16, 16))
