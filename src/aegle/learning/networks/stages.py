"""The parts of a network from the image to the head, which transfer treats one after another."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import nn

Stage = tuple[str, list[nn.Module]]
"""Name of a part, and the modules that make it up."""


@runtime_checkable
class Staged(Protocol):
    """A network that knows its own stages."""

    def stages(self) -> list[Stage]:
        """Return the stages from the image to the head."""


class StagedSequence(nn.Sequential):
    """Named parts that follow each other; each is a stage, the last one the head."""

    def stages(self) -> list[Stage]:
        """Return the stages from the image to the head."""
        return [(name, [module]) for name, module in self.named_children()]


def stages(network: nn.Module) -> list[Stage]:
    """Return the stages of a network from the image to the head; the last one is the head.

    Networks of other packages count each direct child with parameters as a stage.
    """
    if isinstance(network, Staged):
        return network.stages()
    names = {name for name, _ in network.named_children()}
    if {"conv1", "bn1", "layer1", "layer4", "fc"} <= names:
        return _of_residual(network)
    if {"features", "class_layers"} <= names:
        return _of_dense(network)
    return [
        (name, [child])
        for name, child in network.named_children()
        if any(True for _ in child.parameters())
    ]


def head(network: nn.Module) -> nn.Linear:
    """Return the linear layer that gives the classes.

    Raises:
        ValueError: The network does not end in a linear layer.
    """
    _, modules = stages(network)[-1]
    layers = [m for part in modules for m in part.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise ValueError(f"{type(network).__name__} does not end in a linear layer.")
    return layers[-1]


def _of_residual(network: nn.Module) -> list[Stage]:
    """Return the stages of MONAI's ResNet."""
    part: Callable[[str], nn.Module] = network.get_submodule
    layers: list[Stage] = [(f"layer{n}", [part(f"layer{n}")]) for n in range(1, 5)]
    return [("stem", [part("conv1"), part("bn1")]), *layers, ("head", [part("fc")])]


def _of_dense(network: nn.Module) -> list[Stage]:
    """Return the stages of MONAI's DenseNet: a block belongs with what follows it."""
    found: list[Stage] = [("stem", [])]
    for name, child in network.get_submodule("features").named_children():
        if name.startswith("denseblock"):
            found.append((name, []))
        found[-1][1].append(child)
    return [*found, ("head", [network.get_submodule("class_layers")])]
