"""A detector on MobileNetV2 says where objects are, and which class a box holds."""

import pytest
import torch

from aegle import catalogue
from aegle.domain.errors import OptionError
from aegle.learning.batches import layout_of
from aegle.learning.networks.detector import mobile_detector
from aegle.learning.networks.mobilenet_v2 import mobilenet_v2
from aegle.learning.networks.stages import stages
from aegle.learning.weights import load_into


@pytest.mark.parametrize("stride", [8, 16])
def test_every_place_says_a_middle_and_four_edges(stride):
    network = catalogue.load("network", "mobile-detector")(classes=3, stride=stride).eval()

    with torch.inference_mode():
        looked = network(torch.zeros(2, 3, 64, 96))

    assert looked.places.shape == (2, 5, 64 // stride, 96 // stride)
    # The filters of MobileNetV2 at 1/16 and 1/32: Sandler 2018, table 2.
    assert [tuple(part.shape) for part in looked.features] == [(2, 96, 4, 6), (2, 320, 2, 3)]


def test_an_untrained_network_expects_objects_to_be_rare():
    torch.manual_seed(0)
    network = mobile_detector(classes=5).eval()

    with torch.inference_mode():
        likely = torch.sigmoid(network(torch.randn(1, 3, 64, 64)).places[:, 0])

    assert float(likely.mean()) == pytest.approx(0.01, rel=0.3)


def test_weights_of_mobilenet_fit_by_name_and_give_its_features():
    torch.manual_seed(0)
    whole = mobilenet_v2(classes=1000, batch_norm=False).eval()
    network = mobile_detector(classes=2, batch_norm=False).eval()

    matched = load_into(network, whole.state_dict())

    body = [name for name in network.state_dict() if name.startswith("features.")]
    assert sorted(matched.matched) == sorted(body)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(images).features[-1], whole.features[:18](images))


def test_every_parameter_belongs_to_one_stage():
    network = mobile_detector(classes=2)

    listed = [p for _, part in stages(network) for module in part for p in module.parameters()]

    assert len(listed) == len({id(p) for p in listed}) == len(list(network.parameters()))
    assert stages(network)[-1][0] == "head"


def test_it_is_trained_in_the_order_in_memory_that_is_fastest():
    assert layout_of(mobile_detector(classes=2, width=16), 4) is torch.channels_last


@pytest.mark.parametrize("stride", [4, 32])
def test_another_stride_is_refused(stride):
    with pytest.raises(OptionError, match="every 8 or 16 pixels"):
        mobile_detector(stride=stride)


def test_the_class_of_a_box_is_told_by_the_mean_within_it():
    torch.manual_seed(0)
    network = mobile_detector(channels=1, classes=2, width=16).eval()
    fine, coarse = torch.randn(96, 4, 4), torch.randn(320, 2, 2)
    # 64 pixels are 4 and 2 places: this box covers two columns of the first row, and a quarter of
    # the first place.
    box = torch.tensor([[16.0, 0.0, 48.0, 16.0]])
    first = fine[:, 0, 1:3].mean(dim=1)
    across = torch.tensor([0.5, 0.5])
    second = (coarse[:, 0] * across).sum(dim=1)

    with torch.inference_mode():
        told = network.classify((fine, coarse), box, 64)
        expected = network.class_head(torch.cat((first, second))[None])

    assert torch.allclose(told, expected, atol=1e-4)
