"""The running mean of weights against its recursion."""

import pytest
import torch
from torch import nn

from aegle.learning.average import WeightAverage


def test_the_mean_follows_its_recursion():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = WeightAverage(network, decay=0.5)
    expected = 1.0
    for updates, weight in enumerate((3.0, -1.0, 2.0, 8.0, 4.0, 4.0, 0.0, 6.0, 1.0, 2.0)):
        network.weight.data.fill_(weight)
        average.update(network, updates)
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * weight

    assert float(average.network.weight) == pytest.approx(expected, rel=1e-6)


def test_statistics_follow_and_counts_are_copied():
    network = nn.BatchNorm1d(1).train()
    average = WeightAverage(network, decay=0.0)
    network(torch.tensor([[1.0], [3.0]]))
    average.update(network, 0)

    assert float(average.network.running_mean) == pytest.approx(0.2)
    assert int(average.network.num_batches_tracked) == 1


def test_the_network_itself_is_not_touched():
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    average = WeightAverage(network, decay=0.9)
    average.network.weight.data.zero_()
    average.update(network, 100)

    assert torch.equal(network.weight, before)
    assert network.weight.requires_grad
    assert not average.network.weight.requires_grad
