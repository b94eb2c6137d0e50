"""What changes, how fast, and that nothing else does."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from aegle.domain.errors import InputError, OptionError
from aegle.learning.batch_norm import restore_batch_norm
from aegle.learning.networks.plain import small_cnn
from aegle.learning.networks.stages import head, stages
from aegle.learning.transfer import (
    TransferOptions,
    arrange,
    features,
    linear_probe,
    probe_head,
    set_head,
    start,
)


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network():
    """Return a network whose normalisation does not fit the images that it meets."""
    torch.manual_seed(0)
    network = small_cnn(classes=3, width=8, dropout=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


IMAGES = pictures(48, 1, 28, 28)


def frozen(network):
    return [
        name
        for name, part in stages(network)
        if not any(p.requires_grad for module in part for p in module.parameters())
    ]


def evaluating(network):
    return [name for name, part in stages(network) if not any(m.training for m in part)]


def test_rates_fall_from_the_head_to_the_image(network):
    options = TransferOptions(body_rate=0.1, layer_decay=0.5)
    arrangement = arrange(network, options)

    assert [g["rate"] for g in arrangement.groups] == pytest.approx([1, 0.1, 0.05, 0.025, 0.0125])
    assert arrangement.groups[0]["params"] == list(network.head.parameters())
    assert arrangement.groups[1]["params"] == list(network.stage3.parameters())
    assert arrangement.groups[-1]["params"] == list(network.stem.parameters())
    assert arrangement.before_epoch is None


def test_every_parameter_is_trained_once_without_freezing(network):
    grouped = [p for g in arrange(network, TransferOptions()).groups for p in g["params"]]

    assert sorted(map(id, grouped)) == sorted(map(id, network.parameters()))
    assert frozen(network) == []


def test_frozen_stages_lie_at_the_image(network):
    arrangement = arrange(network, TransferOptions(frozen_stages=2))

    assert frozen(network) == ["stem", "stage1"]
    assert len(arrangement.groups) == 3


def test_frozen_stages_keep_their_statistics_and_others_do_not(network):
    arrangement = arrange(network, TransferOptions(frozen_stages=2))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.train()
    arrangement.prepare_mode(network)
    network(IMAGES)
    changed = {k.split(".")[0] for k, v in network.state_dict().items() if not v.equal(before[k])}

    assert evaluating(network) == ["stem", "stage1"]
    assert changed == {"stage2", "stage3"}


def test_frozen_normalisation_keeps_its_statistics_everywhere(network):
    arrangement = arrange(network, TransferOptions(batch_norm="freeze"))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.train()
    arrangement.prepare_mode(network)
    network(IMAGES)

    assert all(v.equal(before[k]) for k, v in network.state_dict().items())
    assert network.head.training
    assert frozen(network) == []


def test_probe_trains_the_head_alone(network):
    arrangement = arrange(network, TransferOptions(mode="probe"))
    network.train()
    arrangement.prepare_mode(network)

    assert len(arrangement.groups) == 1
    assert frozen(network) == evaluating(network) == ["stem", "stage1", "stage2", "stage3"]
    assert network.head.training


def test_body_thaws_from_the_head_down(network):
    arrangement = arrange(network, TransferOptions(mode="thaw", thaw_epochs=2, frozen_stages=1))
    seen = []
    for number in range(1, 9):
        arrangement.before_epoch(number)
        seen.append(len(frozen(network)))

    assert seen == [4, 4, 3, 3, 2, 2, 1, 1]
    assert frozen(network) == ["stem"]
    assert len(arrangement.groups) == 4


def test_thaw_depends_on_the_number_of_the_epoch_alone(network):
    arrangement = arrange(network, TransferOptions(mode="thaw"))
    arrangement.before_epoch(5)
    assert frozen(network) == []
    arrangement.before_epoch(2)

    assert frozen(network) == ["stem", "stage1", "stage2"]


def test_normalisation_is_restored_when_asked(network):
    with pytest.raises(OptionError, match="images"):
        arrange(network, TransferOptions(batch_norm="restore"))
    before = network(IMAGES)
    arrange(network, TransferOptions(batch_norm="restore"), IMAGES)

    torch.testing.assert_close(network(IMAGES), before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        network.stem[1].running_mean, network.stem[0](IMAGES).mean((0, 2, 3))
    )


def test_names_the_stages_when_too_many_are_to_be_frozen(network):
    with pytest.raises(OptionError, match="stem, stage1, stage2, stage3"):
        arrange(network, TransferOptions(frozen_stages=5))


def test_features_are_what_the_head_weighs(network):
    found = features(network.train(), IMAGES, batch=7)

    assert found.shape == (48, 64)
    logits = torch.from_numpy(found) @ head(network).weight.T + head(network).bias
    torch.testing.assert_close(logits, network.eval()(IMAGES), atol=1e-5, rtol=1e-5)


def test_features_of_stages_are_their_means_and_largest_values(network):
    found = torch.from_numpy(features(network, IMAGES, levels=(0, 2), largest=True, batch=16))
    stem = network.stem(IMAGES)
    second = network.stage2(network.stage1(stem))
    expected = [stem.mean((2, 3)), stem.amax((2, 3)), second.mean((2, 3)), second.amax((2, 3))]

    torch.testing.assert_close(found, torch.cat(expected, 1), atol=1e-5, rtol=1e-5)


def test_no_hook_stays_on_the_network(network):
    features(network, IMAGES[:2], levels=(0,))
    features(network, IMAGES[:2])
    restore_batch_norm(network, IMAGES[:2])

    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("balanced", [False, True])
def test_linear_probe_is_logistic_regression_of_standardised_features(classes, balanced):
    generator = np.random.default_rng(0)
    labels = np.arange(90) % classes * (np.arange(90) % 5 > 0)
    values = generator.normal(size=(90, 6)) * [1, 10, 0.1, 5, 1, 0] + 3
    values[:, 1] += 8 * labels
    peer = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=0.3, max_iter=5000, class_weight="balanced" if balanced else None),
    ).fit(values, labels)
    probe = linear_probe(values, labels, classes=classes, strength=0.3, balanced=balanced)
    shares = torch.softmax(torch.from_numpy(probe.logits(values)), 1).numpy()

    np.testing.assert_allclose(shares, peer.predict_proba(values), atol=1e-9)


def test_probe_becomes_the_head(network):
    labels = np.arange(48) % 3
    body = [p.clone() for p in network.stage3.parameters()]
    values = features(network, IMAGES)
    expected = linear_probe(values, labels, classes=3, strength=0.1, balanced=True)
    probe = probe_head(network, IMAGES, labels, strength=0.1, balanced=True)

    np.testing.assert_array_equal(probe.weight, expected.weight)
    np.testing.assert_allclose(
        network.eval()(IMAGES).detach().numpy(), probe.logits(values), atol=1e-3
    )
    assert all(map(torch.equal, network.stage3.parameters(), body))
    with pytest.raises(InputError, match="does not fit"):
        set_head(small_cnn(classes=2), probe)


@pytest.mark.parametrize(
    "labels", [pytest.param([0, 0, 2, 2], id="a gap"), pytest.param([0, 1, 2, 3], id="too many")]
)
def test_probe_needs_images_of_each_class_and_no_other(labels):
    with pytest.raises(InputError, match="3 classes"):
        linear_probe(np.eye(4), np.array(labels), classes=3)


def test_starts_from_a_file_or_from_nothing(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "w.pt")
    other = small_cnn(classes=3, width=8)

    assert start(other, TransferOptions(), tmp_path) is None
    matched = start(other, TransferOptions(weights=str(tmp_path / "w.pt")), tmp_path)
    assert (matched.missing, matched.unexpected, matched.mismatched) == ((), (), ())
    assert torch.equal(other.eval()(IMAGES), network(IMAGES))
