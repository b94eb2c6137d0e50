"""Sizes from the published tables, functions from closed forms and peers."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from aegle import catalogue
from aegle.domain.errors import OptionError
from aegle.learning.networks.autoencoders import divergence, draw, narrow_autoencoder
from aegle.learning.networks.plain import base_cnn, small_cnn
from aegle.learning.networks.stages import head, stages


def build(name, **settings):
    return catalogue.load("network", name)(**settings)


def on_paper(name, **settings):
    """Return a network that has shapes but no values."""
    with torch.device("meta"):
        return build(name, **settings)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        pytest.param("base-cnn", {}, 44_397_122, id="base CNN, 2 classes"),
        pytest.param("base-cnn", {"pooled": True}, 160_322, id="base CNN, global average"),
        pytest.param("base-autoencoder", {}, 333_955, id="base autoencoder"),
        # Published with torchvision's weights for 1000 classes.
        pytest.param("mobilenet-v2", {"classes": 1000}, 3_504_872, id="MobileNetV2"),
        pytest.param("resnet-18", {"classes": 1000}, 11_689_512, id="ResNet-18"),
        pytest.param("densenet-121", {"classes": 1000}, 7_978_856, id="DenseNet-121"),
    ],
)
def test_has_the_published_number_of_parameters(name, settings, expected):
    assert parameters(on_paper(name, **settings)) == expected


def test_base_cnn_has_the_published_parameters_in_each_layer():
    layers = [m for m in on_paper("base-cnn").modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    assert [parameters(layer) for layer in layers] == [896, 18_496, 73_856, 44_302_848, 1_026]


def test_folded_mobilenet_lacks_two_values_per_normalised_feature():
    # 17,056 features are normalised; folding turns weight and bias into one bias.
    normalised, folded = (on_paper("mobilenet-v2", batch_norm=on) for on in (True, False))
    features = sum(
        module.num_features for module in normalised.modules() if isinstance(module, nn.BatchNorm2d)
    )

    assert features == 17_056
    assert parameters(normalised) - parameters(folded) == features
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_small_cnn_is_small_and_fits_28_pixels():
    network = small_cnn(classes=3)

    # Stem 176, stages 9,344 + 33,088 + 131,712, head 258, by hand.
    assert parameters(small_cnn()) == 174_578
    assert network(pictures(2, 1, 28, 28)).shape == (2, 3)


def test_small_cnn_sees_the_mean_and_the_largest_value_of_each_feature():
    network = small_cnn().eval()
    images = pictures(2, 1, 28, 28)
    seen = []
    head(network).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(images)
    features = network.stage3(network.stage2(network.stage1(network.stem(images)))).flatten(2)

    torch.testing.assert_close(seen[0], torch.cat([features.mean(2), features.max(2).values], 1))


def test_joined_head_sees_seven_depths_the_last_one_as_without():
    # Widths of table 2 of the paper, one per scale and the last three.
    widths = (24, 32, 64, 96, 160, 320, 1280)
    joined, plain = build("mobilenet-v2", joined=True).eval(), build("mobilenet-v2").eval()
    plain.features.load_state_dict(joined.features.state_dict())
    images = pictures(2, 3, 64, 64)
    seen = []
    for network in (joined, plain):
        head(network).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        network(images)

    assert seen[0].shape == (2, sum(widths))
    assert torch.equal(seen[0][:, -1280:], seen[1])
    expected = joined.features[:4](images).mean((2, 3))
    torch.testing.assert_close(seen[0][:, :24], expected)


def test_pooling_before_rectifying_changes_no_bit():
    network = base_cnn(size=46)
    images = pictures(4, 3, 46, 46) - 0.5
    usual = images
    for number in (1, 2, 3):
        convolution = network.get_submodule(f"stage{number}")[0]
        usual = functional.max_pool2d(functional.relu(convolution(usual)), 2)
    usual = network.head(network.dense(usual))

    assert torch.equal(network(images), usual)


def test_convolution_is_the_sum_of_products_without_padding():
    # By hand: the kernel is laid on the image, not mirrored.
    image = torch.arange(16.0).view(1, 1, 4, 4)
    kernel = torch.tensor([[[[1.0, 0, -1], [2, 0, -2], [1, 0, -3]]]])

    # Row 0: (0-2) + 2(4-6) + (8-30) = -28, and so on.
    expected = torch.tensor([[-28.0, -30], [-36, -38]])

    assert torch.equal(functional.conv2d(image, kernel)[0, 0], expected)


def test_pooling_takes_the_largest_or_the_mean_of_each_square_and_drops_the_rest():
    image = torch.tensor([[[[1.0, 2, 9], [4, 3, 9], [9, 9, 9]]]])

    assert functional.max_pool2d(image, 2).tolist() == [[[[4.0]]]]
    assert functional.avg_pool2d(image, 2).tolist() == [[[[2.5]]]]


@pytest.mark.parametrize("size", [22, 30, 47])
def test_base_cnn_fits_other_sizes(size):
    assert base_cnn(size=size, classes=4)(pictures(2, 3, size, size)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "size"), [("base-cnn", 21), ("base-autoencoder", 100), ("narrow-autoencoder", 4)]
)
def test_refuses_images_it_cannot_halve(name, size):
    with pytest.raises(OptionError, match=str(size)):
        build(name, size=size)


@pytest.mark.parametrize("name", catalogue.names("network"))
def test_every_parameter_lies_in_one_stage_from_the_image_to_the_head(name):
    network = on_paper(name)
    staged = [p for _, part in stages(network) for module in part for p in module.parameters()]

    assert len(staged) == len({id(p) for p in staged})
    assert {id(p) for p in staged} == {id(p) for p in network.parameters()}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("base-cnn", 512),
        ("small-cnn", 128),
        ("mobilenet-v2", 1280),
        ("densenet-121", 1024),
        ("resnet-18", 512),
        ("small-resnet-3d", 128),
    ],
)
def test_last_stage_is_the_head(name, features):
    network = on_paper(name, classes=7)
    _, last = stages(network)[-1]

    assert (head(network).in_features, head(network).out_features) == (features, 7)
    assert any(module is head(network) for part in last for module in part.modules())


def test_mobilenet_stages_have_one_scale_each_and_two_at_the_two_last():
    network = build("mobilenet-v2").eval()
    sides = []
    hooks = [
        part[-1].register_forward_hook(lambda _, __, given: sides.append(given.shape[-1]))
        for _, part in stages(network)[:-1]
    ]
    network(pictures(1, 3, 64, 64))

    assert sides == [32, 16, 8, 4, 4, 2, 2]
    assert len(hooks) == 7


def test_residual_network_halves_in_its_first_layer_as_published():
    network = on_paper("resnet-18")

    assert network.conv1.stride == (2, 2)
    assert network.layer2[0].downsample[0].bias is None


def test_volume_network_takes_volumes():
    assert build("small-resnet-3d", classes=3)(pictures(2, 1, 16, 24, 24)).shape == (2, 3)


def test_networks_of_others_count_each_child_with_parameters_as_a_stage():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))

    assert [name for name, _ in stages(network)] == ["0", "3"]
    assert head(network) is network[3]


def test_head_is_the_last_of_several_dense_layers():
    last = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(1))

    assert head(nn.Sequential(nn.Conv2d(1, 2, 3), last)) is last[2]
    with pytest.raises(ValueError, match="linear layer"):
        head(nn.Sequential(nn.Conv2d(1, 2, 3)))


@pytest.mark.parametrize(
    ("name", "channels", "size", "code"),
    [
        ("base-autoencoder", 3, 224, 100_352),
        ("narrow-autoencoder", 1, 64, 64),
        ("variational-autoencoder", 1, 64, 32),
    ],
)
def test_autoencoder_gives_a_code_and_an_image_of_the_same_shape(name, channels, size, code):
    network = build(name).eval()
    images = pictures(2, channels, size, size)
    with torch.inference_mode():
        codes = network.encode(images)
        drawn = network.decode(codes)
        whole = network(images)

    assert codes.shape == (2, code)
    assert drawn.shape == images.shape
    assert torch.equal(drawn, whole)


def test_base_autoencoder_draws_values_between_0_and_1():
    drawn = build("base-autoencoder", size=16)(10 * pictures(2, 3, 16, 16) - 5)

    assert 0 <= drawn.min() < drawn.max() <= 1


def test_narrow_autoencoder_starts_as_principal_component_analysis():
    images = pictures(30, 1, 16, 16).double() ** 2
    flat = images.flatten(1).numpy()
    peer = PCA(5).fit(flat)
    network = narrow_autoencoder(code=5, size=16).eval()
    network.start_from(images)
    with torch.inference_mode():
        codes, drawn = network.encode(images.float()), network(images.float())

    scores = peer.transform(flat)
    np.testing.assert_allclose(np.abs(codes.numpy()), np.abs(scores), atol=1e-4)
    np.testing.assert_allclose(drawn.flatten(1).numpy(), peer.inverse_transform(scores), atol=1e-5)


def test_narrow_autoencoder_with_more_codes_than_images_draws_them_exactly():
    images = pictures(3, 1, 16, 16)
    network = narrow_autoencoder(code=8, size=16).eval()
    network.start_from(images)

    torch.testing.assert_close(network(images), images, atol=1e-5, rtol=0)


def test_narrow_autoencoder_learns_to_draw_better_than_its_principal_components():
    torch.manual_seed(0)
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    places = 3 + 10 * pictures(64, 2)
    images = torch.exp(
        -((row - places[:, :1, None]) ** 2 + (column - places[:, 1:, None]) ** 2) / 8
    ).unsqueeze(1)
    network = narrow_autoencoder(code=4, size=16)
    network.start_from(images)
    components = functional.mse_loss(network(images), images).item()
    optimiser = torch.optim.AdamW(
        [{"params": g["params"], "lr": 3e-3 * g["rate"]} for g in network.groups()]
    )
    for _ in range(60):
        optimiser.zero_grad()
        functional.mse_loss(network(images), images).backward()
        optimiser.step()

    assert functional.mse_loss(network(images), images).item() < 0.7 * components


def test_narrow_autoencoder_trains_each_parameter_in_one_group():
    network = narrow_autoencoder(size=16)
    grouped = [p for group in network.groups() for p in group["params"]]

    assert sorted(map(id, grouped)) == sorted(map(id, network.parameters()))


def test_divergence_is_that_of_normal_distributions():
    mean, log_variance = pictures(5, 3) * 4 - 2, pictures(5, 3, seed=1) * 4 - 2
    given = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(given, Normal(0.0, 1.0)).sum(1)

    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_drawn_codes_have_the_mean_and_spread_they_are_drawn_from():
    torch.manual_seed(0)
    codes = draw(torch.full((100_000,), 3.0), torch.full((100_000,), 4.0).log())

    assert codes.mean().item() == pytest.approx(3, abs=0.03)
    assert codes.std().item() == pytest.approx(2, abs=0.02)


def test_variational_autoencoder_draws_codes_only_while_training():
    network = build("variational-autoencoder", size=16, code=4)
    images = pictures(2, 1, 16, 16)

    assert not torch.equal(network.train()(images), network(images))
    assert torch.equal(network.eval()(images), network(images))
