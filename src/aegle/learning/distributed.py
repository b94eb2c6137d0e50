"""Several processes that train one network together, as ``torchrun`` starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(minutes=30)
"""After which a process that waits for the others gives up."""

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Team:
    """The processes that train together, seen from one of them."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def best_device() -> torch.device:
    """Return the accelerator of this process, or the processor where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@contextmanager
def joined() -> Iterator[Team]:
    """Join the processes named by the environment (RANK, WORLD_SIZE), if there are several."""
    device = best_device()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team(device=device)
        return
    ours = not distributed.is_initialized()
    if ours:
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        yield Team(rank=distributed.get_rank(), size=distributed.get_world_size(), device=device)
    finally:
        if ours:
            distributed.destroy_process_group()
