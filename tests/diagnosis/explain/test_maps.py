"""Maps of evidence, against closed forms."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from aegle.diagnosis.explain.audit import audit, edges, randomised
from aegle.diagnosis.explain.maps import METHODS, explain, integrated_gradients
from aegle.diagnosis.explain.rectifiers import GuidedRectifiers
from aegle.domain.errors import InputError, OptionError
from aegle.learning.networks.stages import StagedSequence


class Averaged(nn.Module):
    """One convolution that keeps the image, the mean of positions, two classes."""

    def __init__(self, dimensions=2):
        super().__init__()
        kind = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.body = kind(1, 1, 1, bias=False)
        self.fc = nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            self.body.weight.fill_(1)
            self.fc.weight.copy_(torch.tensor([[-1.0], [2.0]]))

    def forward(self, images):
        return self.fc(self.body(images).flatten(2).mean(2))


class Reused(nn.Module):
    """One rectifier, working in place, that is used twice, as in MONAI's ResNet."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, images):
        features = self.relu(self.second(self.relu(self.first(images))))
        return self.fc(features.mean((2, 3)))


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_class_activation_is_the_closed_form_of_an_averaging_network(method, dimensions):
    """Margin = 3 × mean, so each position counts by its value; negative ones by nothing."""
    image = torch.arange(-8.0, 4**dimensions - 8).reshape(1, 1, *(4,) * dimensions)
    found = explain(Averaged(dimensions), image, np.array([1]), method)
    wanted = image[:, 0].clamp(min=0).double().numpy()

    assert found.shape == wanted.shape
    np.testing.assert_allclose(found / found.max(), wanted / wanted.max(), rtol=1e-5)


def test_the_other_class_has_no_evidence_where_the_features_speak_against_it():
    image = torch.ones(1, 1, 4, 4)

    assert explain(Averaged(), image, np.array([0]), "grad-cam").max() == 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_a_network_that_uses_one_rectifier_twice(method):
    torch.manual_seed(0)
    network = Reused().eval()
    images = torch.randn(2, 1, 16, 16)
    before = network(images).detach()
    found = explain(network, images, np.array([0, 1]), method)

    assert found.shape == (2, 16, 16)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    torch.testing.assert_close(network(images).detach(), before)


def test_contributions_sum_to_the_change_within_one_percent():
    torch.manual_seed(1)
    network = Reused().eval()
    for seed in range(4):
        image = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(seed)) * 3
        parts, error = integrated_gradients(network, image, torch.tensor([1]))

        start = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
        change = [float((o := network(i).detach())[0, 1] - o[0, 0]) for i in (image, start)]
        assert error < 0.01
        assert float(parts.sum()) == pytest.approx(change[0] - change[1], rel=0.01)


@pytest.mark.parametrize(
    "rectify",
    [
        functional.relu,
        torch.relu,
        lambda x: x.clone().relu_(),
        nn.ReLU(),
        lambda x: nn.ReLU(inplace=True)(x.clone()),
    ],
)
def test_guided_gradients_pass_only_where_both_are_positive(rectify):
    values = torch.tensor([1.0, 2.0, -3.0, -4.0], requires_grad=True)
    with GuidedRectifiers():
        total = (rectify(values) * torch.tensor([5.0, -6.0, 7.0, -8.0])).sum()
    (slope,) = torch.autograd.grad(total, values)

    assert slope.tolist() == [5, 0, 0, 0]


def test_rectifiers_that_saturate_are_guided_too():
    values = torch.tensor([1.0, 7.0, -1.0], requires_grad=True)
    with GuidedRectifiers():
        total = nn.ReLU6()(values).sum()
    (slope,) = torch.autograd.grad(total, values)

    assert total.detach().item() == 7
    assert slope.tolist() == [1, 0, 0]


def test_gradients_are_plain_where_they_are_not_guided():
    values = torch.tensor([1.0, 2.0, -3.0, -4.0], requires_grad=True)
    with GuidedRectifiers(guides=False):
        total = (torch.relu(values) * torch.tensor([5.0, -6.0, 7.0, -8.0])).sum()
    (slope,) = torch.autograd.grad(total, values)

    assert slope.tolist() == [5, -6, 0, 0]


class Own(nn.Module):
    """Every rectifier is a module of its own, as hooks need it; gives the margin alone."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 6, 3, stride=2), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2), nn.ReLU())
        self.fc = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 1))

    def forward(self, images):
        return self.fc(self.last(self.first(images)).mean((2, 3)))


def test_guided_grad_cam_is_that_of_hooks_on_rectifiers():
    """As the papers' own code does it: two ways forward, one with hooks that cut gradients."""
    torch.manual_seed(3)
    network = Own().eval()
    images = torch.randn(1, 1, 32, 32)
    found = explain(network, images, np.zeros(1, int), "guided-grad-cam")
    features = network.last(network.first(images)).detach().requires_grad_(True)
    network.fc(features.mean((2, 3))).sum().backward()
    weighed = (features.grad.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    coarse = functional.interpolate(weighed, (32, 32), mode="bilinear")
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_full_backward_hook(lambda _, slope, __: (slope[0].clamp(min=0),))
    image = images.clone().requires_grad_(True)
    network(image).sum().backward()
    wanted = (coarse * image.grad.clamp(min=0)).sum(1).detach().numpy()

    assert wanted.max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6 * wanted.max())


def test_the_smoothed_map_covers_a_lesion_of_which_the_guided_one_draws_the_edge():
    """The mean of guided gradients nearby, weighed by Grad-CAM."""
    torch.manual_seed(3)
    network, images = Own().eval(), torch.randn(1, 1, 32, 32)
    with torch.no_grad():  # Grad-CAM then is positive everywhere, so that it can be divided by.
        network.last[0].bias.add_(1)
        for parameter in network.fc.parameters():
            parameter.abs_()
    made = {m: explain(network, images, np.zeros(1, int), m)[0] for m in METHODS}
    coarse, edge = made["grad-cam"], made["guided-grad-cam"]
    # The head averages, so that each slope is the mean slope: HiResCAM is Grad-CAM.
    wanted = coarse * ndimage.gaussian_filter(edge / coarse, 32 / 32, truncate=3)

    assert coarse.min() > 0
    np.testing.assert_allclose(
        made["smoothed-guided-cam"], wanted, rtol=1e-3, atol=1e-5 * wanted.max()
    )


class Largest(Averaged):
    """Takes the largest position, against which the mean speaks."""

    def forward(self, images):
        features = self.body(images).flatten(2)
        return self.fc(features.amax(2) - 3 * features.mean(2))


def test_under_a_head_of_maxima_mean_slopes_mislead_but_each_own_slope_does_not():
    """Margin = 3 (max - 3 mean): mean slopes are negative; only the brightest has evidence."""
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    image[0, 0, 4, 10] = 3

    assert explain(Largest(), image, np.array([1]), "grad-cam").max() == 0
    found = explain(Largest(), image, np.array([1]), "smoothed-guided-cam")[0]
    assert np.unravel_index(found.argmax(), found.shape) == (4, 10)


def test_covering_the_only_bright_place_is_found():
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 4, 10] = 100
    found = explain(Averaged(), image, np.array([1]), "occlusion")[0]

    assert np.unravel_index(found.argmax(), found.shape) == (4, 10)


def test_the_audit_knows_a_map_that_points_from_one_that_does_not():
    draws = np.random.default_rng(0)
    images, masks = torch.zeros(4, 1, 16, 16), np.zeros((4, 16, 16), bool)
    for number, (row, column) in enumerate(draws.integers(0, 12, (4, 2))):
        images[number, 0, row : row + 4, column : column + 4] = 1
        masks[number, row : row + 4, column : column + 4] = True
    found = audit(Averaged(), images, masks, np.ones(4, int), methods=("grad-cam",), seeds=10)
    by_name = {one.method: one for one in found}

    assert by_name["grad-cam"].hit == 1
    assert by_name["grad-cam"].precision == pytest.approx(1)
    assert by_name["grad-cam"].chance == pytest.approx(1 / 16)
    assert by_name["grad-cam"].insertion > by_name["random"].insertion
    assert by_name["grad-cam"].deletion < by_name["random"].deletion
    assert by_name["random"].precision < 0.3


def test_weights_drawn_anew_leave_the_network_that_was_given():
    network = Reused()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    only_head = randomised(network, 0, "head").state_dict()
    everything = randomised(network, 0, "all").state_dict()

    for name, value in before.items():
        assert torch.equal(network.state_dict()[name], value)
        assert torch.equal(only_head[name], value) == (not name.startswith("fc"))
        assert not torch.equal(everything[name], value)


def test_edges_lie_at_a_step():
    image = torch.zeros(1, 1, 9, 16)
    image[..., 8:] = 1

    assert set(edges(image)[0].argmax(axis=1)) <= {7, 8}


def test_what_cannot_be_explained_is_refused():
    flat = StagedSequence(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))
    with pytest.raises(InputError, match="no stage with positions"):
        explain(flat, torch.ones(1, 1, 4, 4), np.array([0]), "grad-cam")
    with pytest.raises(OptionError, match="No explanation 'lime'"):
        explain(flat, torch.ones(1, 1, 4, 4), np.array([0]), "lime")
    with pytest.raises(InputError, match="covers its whole image"):
        audit(Averaged(), torch.ones(1, 1, 4, 4), np.zeros((1, 4, 4), bool), np.array([1]))
