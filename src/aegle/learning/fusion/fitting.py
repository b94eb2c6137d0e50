"""Train a fusion model, and ask it, with any modality missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass as checked
from torch import Tensor
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.learning.fusion.encoding import Encoder, encoder_of
from aegle.learning.fusion.network import MaskedFusion
from aegle.learning.fusion.survival import cox_loss, cut_times, discrete_loss, survival
from aegle.learning.fusion.table import Outcome, Table, Values
from aegle.options import option

Head = Literal["classify", "cox", "discrete"]


@checked(frozen=True, kw_only=True)
class FusionOptions:
    """How a fusion model is trained."""

    members: Annotated[int, option("Networks whose mean counts", ge=1, le=64)] = 8
    width: Annotated[int, option("Hidden units per modality", ge=1, le=256)] = 8
    epochs: Annotated[int, option("Passes over all training rows", ge=1, le=10_000)] = 100
    rate: Annotated[float, option("Learning rate at its highest", gt=0, le=1)] = 0.03
    penalties: Annotated[
        tuple[float, ...],
        option(
            "L2 penalties of the weights, in units of one training row; the members take them in "
            "turn, so that no single one has to be right"
        ),
    ] = (3.0, 10.0, 30.0, 100.0)
    dropout: Annotated[float, option("Share of hidden units left out", ge=0, lt=1)] = 0.2
    modality_dropout: Annotated[
        float,
        option("Share of the rows, at each step, that see a random part of the modalities", ge=0),
    ] = 0.8
    components: Annotated[
        int, option("Principal components kept of a modality with more inputs", ge=1, le=512)
    ] = 64
    intervals: Annotated[
        int, option("Intervals of discrete time, with about equal events", ge=2, le=100)
    ] = 8
    seed: Annotated[int, option("Start of all randomness", ge=0)] = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Fusion:
    """A trained fusion model."""

    head: Head
    encoder: Encoder
    network: MaskedFusion
    ends: Values | None = None
    """Ends of the intervals of discrete time."""

    def logits(self, table: Table) -> Values:
        """Return what the members say on average, shape (row, output)."""
        self.network.eval()
        with torch.inference_mode():
            said = self.network(*self._given(table)).mean(dim=1)
        return np.asarray(said.double().numpy())

    def risk(self, table: Table) -> Values:
        """Return one number per row, larger where the event is likelier or earlier.

        Classes: the logit; Cox: the logarithm of the relative hazard; discrete time: minus the
        expected number of intervals outlived.
        """
        said = self.logits(table)
        risk: Values = -survival(said).sum(axis=1) if self.head == "discrete" else said[:, 0]
        return risk

    def probabilities(self, table: Table) -> Values:
        """Return the probability of the positive class, shape (row,).

        Raises:
            InputError: The model foretells times, not classes.
        """
        if self.head != "classify":
            raise InputError("A survival model gives risks, not class probabilities; ask for them.")
        found: Values = 1 / (1 + np.exp(-self.logits(table)[:, 0]))
        return found

    def attention(self, table: Table) -> dict[str, Values]:
        """Return how much each modality weighs in each row, mean of the members."""
        self.network.eval()
        with torch.inference_mode():
            weights = self.network.attention(*self._given(table)).mean(dim=1).double().numpy()
        return dict(zip(self.network.order, weights.T, strict=True))

    def _given(self, table: Table) -> tuple[dict[str, Tensor], Tensor]:
        return _tensors(self.encoder, table, self.network.members)


def fit(table: Table, outcome: Outcome, head: Head, *, options: FusionOptions) -> Fusion:
    """Train a fusion model.

    Args:
        table: Training rows.
        outcome: One per row; with times for survival.
        head: What is foretold.
        options: How.

    Raises:
        InputError: There are no rows, one class only, or no event.
    """
    _require(table, outcome, head)
    encoder = encoder_of(table, components=options.components)
    ends = cut_times(outcome, options.intervals) if head == "discrete" else None
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        inputs, present = _tensors(encoder, table, options.members)
        network = MaskedFusion(
            {name: values.shape[2] for name, values in inputs.items()},
            outputs=1 if ends is None else len(ends),
            width=options.width,
            members=options.members,
            dropout=options.dropout,
        )
        made = Fusion(head=head, encoder=encoder, network=network, ends=ends)
        _train(made, inputs, present, outcome, options)
    network.eval()
    return made


def _train(
    model: Fusion,
    inputs: Mapping[str, Tensor],
    present: Tensor,
    outcome: Outcome,
    options: FusionOptions,
) -> None:
    network = model.network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=options.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=options.rate, total_steps=options.epochs, pct_start=0.1
    )
    strength = torch.tensor(options.penalties, dtype=torch.float32)
    strength = strength[torch.arange(options.members) % len(strength)] / len(present)
    for _ in range(options.epochs):
        kept = present * _kept(present, options.modality_dropout)
        loss = _loss(network(inputs, kept), outcome, model) + _penalty(network, strength)
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        optimiser.step()
        schedule.step()


def _loss(said: Tensor, outcome: Outcome, model: Fusion) -> Tensor:
    """Return the loss of each member."""
    if model.head == "cox":
        return cox_loss(said[:, :, 0], outcome)
    if model.ends is not None:
        return discrete_loss(said, outcome, model.ends)
    target = torch.from_numpy(outcome.event.astype(np.float32))[:, None].expand(said.shape[:2])
    each = functional.binary_cross_entropy_with_logits(said[:, :, 0], target, reduction="none")
    return each.mean(dim=0)


def _penalty(network: MaskedFusion, strength: Tensor) -> Tensor:
    """Return half the squared weights of each member times its strength; offsets are free."""
    free = {"start", "presence"}
    total = torch.zeros_like(strength)
    for name, weights in network.named_parameters():
        if name not in free:
            total = total + weights.flatten(1).square().sum(dim=1)
    return strength / 2 * total


def _kept(present: Tensor, share: float) -> Tensor:
    """Return a mask (row, member, modality): all for most, a random part for ``share``.

    The number that is kept is uniform from 1 on, so that a modality is met alone as often as with
    all others but one.
    """
    rows, members, count = present.shape
    ranks = torch.rand(rows, members, count).argsort(dim=2).argsort(dim=2)
    wanted = torch.randint(1, count + 1, (rows, members, 1))
    whole = torch.rand(rows, members, 1) >= share
    return ((ranks < wanted) | whole).float()


def _tensors(encoder: Encoder, table: Table, members: int) -> tuple[dict[str, Tensor], Tensor]:
    inputs, present = encoder(table)
    made = {
        name: torch.from_numpy(values).float()[:, None].expand(-1, members, -1)
        for name, values in inputs.items()
    }
    return made, torch.from_numpy(present).float()[:, None].expand(-1, members, -1)


def _require(table: Table, outcome: Outcome, head: Head) -> None:
    if len(outcome.event) != len(table.names):
        raise InputError(
            f"{len(table.names)} rows and {len(outcome.event)} outcomes do not belong together."
        )
    if head == "classify" and len(np.unique(outcome.event)) < 2:
        raise InputError("Two classes are needed to learn from; every row has the same.")
