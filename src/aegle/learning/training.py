"""The training loop.

What happens in a step follows from the seed, the epoch and the step alone, never from what ran
before, so a training that was stopped goes on as if it had not been. Images are prepared in a
second thread while the network works on those before. Under ``torchrun`` every process takes
its part of each batch; the batch is then ``batch`` times the number of processes.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from aegle.domain.errors import InputError, OptionError
from aegle.learning.assignment import Assignment, Course, Epoch, Loss, TrainingOptions
from aegle.learning.augmentation import Augment
from aegle.learning.average import WeightAverage
from aegle.learning.batches import (
    Batch,
    Feed,
    Part,
    Source,
    ahead,
    layout_of,
    parts_of,
    updates_of,
)
from aegle.learning.belonging import belonging, check_belonging
from aegle.learning.checkpoint import Checkpoint, prefixed, read, write
from aegle.learning.distributed import Team, joined
from aegle.learning.loss_picture import write_course, write_picture
from aegle.learning.memory import kept_memory
from aegle.learning.prepared import PreparedSet
from aegle.learning.schedule import (
    make_optimiser,
    optimiser_memory,
    rate_share,
    restore_memory,
    set_rate,
)

__all__ = ["Assignment", "Augment", "Course", "Epoch", "Loss", "TrainingOptions", "train"]

CHECKPOINT = "checkpoint.safetensors"

DRAWING_SHARE = 0.05
"""Share of the time that drawing the losses may take; the last picture is always drawn."""

WATCH = 32
"""Steps after which losses are looked at on an accelerator, which works ahead of us."""


def train(
    assignment: Assignment,
    *,
    options: TrainingOptions,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Course:
    """Train a network, or go on with a training that was stopped.

    With validation images the weights of the epoch with the least validation loss are kept,
    otherwise the last ones; with ``average`` it is their running mean. The network comes back
    in evaluation mode.

    Args:
        assignment: Network, images, loss.
        options: How.
        folder: Where checkpoints (safetensors and JSON) and the loss picture are kept; the
            last whole checkpoint is gone on with, bit for bit on the CPU.
        progress: Told of the steps done and the steps in all.

    Raises:
        InputError: The loss is not a finite number, or the folder holds another training.
        FileError: A checkpoint cannot be written or read.
        OptionError: The options do not suit the images.
    """
    if not len(assignment.training):
        raise InputError("There are no training images; give the indices of some.")
    if options.mix:
        _require_classes(assignment)
    with joined() as team, _own_randomness(team.device), kept_memory():
        return _Training(assignment, options, team, folder).run(progress)


def _require_classes(assignment: Assignment) -> None:
    data = assignment.data
    is_known = isinstance(data, PreparedSet) and bool(data.classes)
    if not is_known or assignment.labelled.labels[assignment.training].min() < 0:
        raise OptionError("Option 'mix' mixes classes, but some training images have none.")


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Leave torch's random state as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


class _Step(nn.Module):
    """Network and loss as one module, so that every method of the network is reached."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of images."""
        return self.loss(self.network, images, labels)


class _Training:
    """One training with all that changes while it runs."""

    def __init__(
        self, assignment: Assignment, options: TrainingOptions, team: Team, folder: Path
    ) -> None:
        self.assignment, self.options, self.team, self.folder = assignment, options, team, folder
        self.network = _placed(assignment.network, assignment.data.dimensions, team.device)
        self.feed = _source(assignment, options, team.device)
        groups = assignment.groups or ({"params": list(self.network.parameters())},)
        self.optimiser = make_optimiser(
            options.optimiser, groups, weight_decay=options.weight_decay
        )
        self.average = WeightAverage(self.network, options.average) if options.average else None
        self.parts = options.accumulate * team.size
        self.updates = len(updates_of(assignment.training, size=options.batch * self.parts))
        self.belongs = belonging(assignment, options, team.size)
        self.epochs: list[Epoch] = []
        self.best = 0
        self.best_weights: dict[str, Tensor] = {}
        self.step: nn.Module = _Step(self.network, assignment.loss)
        self.drawing_s = 0.0

    def run(self, progress: Callable[[int, int], None]) -> Course:
        """Train until the last epoch, or until patience ends."""
        if (self.folder / CHECKPOINT).exists():
            self._restore(read(self.folder / CHECKPOINT))
        self.team.wait()
        total = self.updates * self.options.epochs
        told = progress if self.team.leads else _tell_nobody
        told(self.updates * len(self.epochs), total)
        while not self._has_ended():
            self._epoch(len(self.epochs) + 1, told)
        told(total, total)
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)
        elif self.average is not None:
            self.network.load_state_dict(self.average.network.state_dict())
        self.network.eval()
        return Course(network=self.network, epochs=tuple(self.epochs), best=self.best)

    def _has_ended(self) -> bool:
        patience = self.options.patience
        done = len(self.epochs)
        return done >= self.options.epochs or (0 < patience <= done - self.best)

    def _epoch(self, number: int, progress: Callable[[int, int], None]) -> None:
        start = time.perf_counter()
        training_loss = self._pass(number, progress)
        validation_loss = self._validated()
        self.epochs.append(
            Epoch(
                number=number,
                training_loss=training_loss,
                validation_loss=validation_loss,
                rate=self._rate(number * self.updates - 1),
                seconds=time.perf_counter() - start,
            )
        )
        self._keep_best()
        if self.team.leads:
            self._save()
        self.team.wait()

    def _pass(self, number: int, progress: Callable[[int, int], None]) -> float:
        """Train once on every image and return the mean loss."""
        self._prepare_network(number)
        tasks = self._tasks(number)
        batches = ahead([partial(self.feed.changed, images, part) for images, part in tasks])
        last = tasks[self.options.accumulate - 1][1].number
        losses = _Losses(self.team, number, self.options)
        for (images, part), batch in zip(tasks, batches, strict=True):
            complete = part.number == last
            loss = self._backward(batch, part, complete=complete)
            losses.add(loss, part.weight * len(images), part.update)
            if complete:
                done = (number - 1) * self.updates + part.update
                self._update(done)
                progress(done + 1, self.updates * self.options.epochs)
        return losses.mean(len(self.assignment.training))

    def _prepare_network(self, number: int) -> None:
        if self.assignment.before_epoch is not None:
            self.assignment.before_epoch(number)
        self.network.train()
        if self.assignment.prepare_mode is not None:
            self.assignment.prepare_mode(self.network)
        self.step = _Step(self.network, self.assignment.loss)
        if self.team.size > 1:
            # Made anew, since what can be trained may change from epoch to epoch.
            self.step = DistributedDataParallel(self.step)

    def _tasks(self, number: int) -> list[tuple[NDArray[np.int64], Part]]:
        """Return the updates of an epoch with this process's parts of them."""
        order = self.feed.order(self.assignment.training, number)
        mine = slice(
            self.team.rank * self.options.accumulate, (self.team.rank + 1) * self.options.accumulate
        )
        return [
            (images, part)
            for update, images in enumerate(updates_of(order, size=self.options.batch * self.parts))
            for part in parts_of(len(images), epoch=number, update=update, parts=self.parts)[mine]
        ]

    def _backward(self, batch: Batch, part: Part, *, complete: bool) -> Tensor:
        """Add a part's gradients and return its mean loss."""
        torch.manual_seed(self.feed.draws(part.epoch, part.update, part.number))
        with self._shared(complete):
            with self._autocast():
                loss: Tensor = self.step(batch.images, batch.labels)
            # Processes average their gradients; the update is a sum over all parts.
            (loss * (part.weight * self.team.size)).backward()
        return loss.detach()

    def _shared(self, complete: bool) -> AbstractContextManager[None]:
        """Exchange gradients between processes only once an update is complete."""
        if isinstance(self.step, DistributedDataParallel) and not complete:
            return self.step.no_sync()
        return nullcontext()

    def _autocast(self) -> AbstractContextManager[None]:
        wanted = self.options.precision == "bfloat16"
        return torch.autocast(self.team.device.type, torch.bfloat16, enabled=wanted)

    def _update(self, done: int) -> None:
        if self.options.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip)
        set_rate(self.optimiser, self._rate(done))
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.network, done)

    def _rate(self, update: int) -> float:
        return self.options.rate * rate_share(
            update,
            steps=self.updates * self.options.epochs,
            warm_up=self.options.warm_up,
            schedule=self.options.schedule,
        )

    @torch.no_grad()
    def _validated(self) -> float | None:
        """Return the mean loss of the validation images, or None without any."""
        images = self.assignment.validation
        if not len(images):
            return None
        network = self._chosen().eval()
        total = torch.zeros(1, dtype=torch.float64)
        mine = images[self.team.rank :: self.team.size]
        groups = updates_of(mine, size=self.options.batch) if len(mine) else []
        for group, batch in zip(
            groups, ahead([partial(self.feed.still, group) for group in groups]), strict=True
        ):
            with self._autocast():
                loss = self.assignment.loss(network, batch.images, batch.labels)
            total += loss.double().cpu() * len(group)
        return float(self.team.total(total.to(self.team.device))) / len(images)

    def _chosen(self) -> nn.Module:
        return self.network if self.average is None else self.average.network

    def _keep_best(self) -> None:
        """Remember the weights of the best epoch; without validation it is the last one."""
        last = self.epochs[-1]
        if last.validation_loss is None:
            self.best = last.number
            return
        best = self.epochs[self.best - 1].validation_loss if self.best else None
        if best is None or last.validation_loss < best:
            self.best = last.number
            self.best_weights = deepcopy(self._chosen().state_dict())

    def _save(self) -> None:
        """Write checkpoint, course and picture."""
        tensors = prefixed("network", self.network.state_dict())
        tensors |= prefixed("optimiser", optimiser_memory(self.optimiser))
        if self.average is not None:
            tensors |= prefixed("average", self.average.network.state_dict())
        if self.best != len(self.epochs):
            tensors |= prefixed("best", self.best_weights)
        facts = {
            "belongs": self.belongs,
            "best": self.best,
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }
        write(Checkpoint(tensors=tensors, facts=facts), self.folder / CHECKPOINT)
        write_course(self.epochs, self.best, self.folder)
        spent = sum(epoch.seconds for epoch in self.epochs)
        if self.drawing_s <= DRAWING_SHARE * spent or self._has_ended():
            start = time.perf_counter()
            write_picture(self.epochs, self.best, self.folder)
            self.drawing_s += time.perf_counter() - start

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Take over the state that a checkpoint holds."""
        path = self.folder / CHECKPOINT
        check_belonging(checkpoint.facts["belongs"], self.belongs, path)
        self.epochs = [Epoch(**facts) for facts in checkpoint.facts["epochs"]]
        self.best = checkpoint.facts["best"]
        self.network.load_state_dict(checkpoint.part("network"))
        if self.average is not None:
            self.average.network.load_state_dict(checkpoint.part("average"))
        restore_memory(self.optimiser, checkpoint.part("optimiser"))
        if self.epochs[-1].validation_loss is not None:
            self.best_weights = checkpoint.part("best") or deepcopy(self._chosen().state_dict())


def _source(assignment: Assignment, options: TrainingOptions, device: torch.device) -> Source:
    """Return what gives the batches: that of the task, or whole images with a class each."""
    layout = layout_of(assignment.network, assignment.data.dimensions)
    if assignment.source is not None:
        return assignment.source(device, layout, options.seed)
    data = assignment.labelled
    return Feed(
        values=data.values,
        labels=data.labels,
        mean=assignment.mean,
        deviation=assignment.deviation,
        device=device,
        augment=assignment.augment,
        classes=len(data.classes),
        mix=options.mix,
        seed=options.seed,
        layout=layout,
    )


class _Losses:
    """The losses of one pass, looked at for numbers that are none."""

    def __init__(self, team: Team, epoch: int, options: TrainingOptions) -> None:
        self.team, self.epoch, self.rate = team, epoch, options.rate
        self.window = WATCH if team.device.type == "cuda" else 1
        self.new: list[tuple[int, float, Tensor]] = []
        self.sum = 0.0

    def add(self, loss: Tensor, images: float, update: int) -> None:
        """Take note of the mean loss of so many images."""
        self.new.append((update, images, loss))
        if len(self.new) >= self.window:
            self._look()

    def mean(self, images: int) -> float:
        """Return the mean over so many images in all processes."""
        self._look()
        own = torch.tensor([self.sum], dtype=torch.float64, device=self.team.device)
        return float(self.team.total(own)) / images

    def _look(self) -> None:
        values = torch.stack([loss for _, _, loss in self.new]).tolist() if self.new else []
        for (update, images, _), value in zip(self.new, values, strict=True):
            if not math.isfinite(value):
                raise InputError(
                    f"The loss became {value} at step {update + 1} of epoch {self.epoch}; train "
                    f"with a lower rate than {self.rate:g}, a limit on the gradient (clip) or "
                    "precision float32, and look for images without contrast."
                )
            self.sum += value * images
        self.new.clear()


def _tell_nobody(done: int, total: int) -> None:
    del done, total


def _placed(network: nn.Module, dimensions: int, device: torch.device) -> nn.Module:
    """Return a network on its device, convolutions in the order that they are fastest in."""
    network.to(device)
    layout = layout_of(network, dimensions)
    for parameter in network.parameters():
        if parameter.ndim == dimensions:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
