"""Several processes that train one initialization: each takes a share of the tasks, and the gradients are averaged.

`torchrun --nproc-per-node 4 -m app.train sinusoid` starts them, on one machine or more. Each has an accelerator of its
own where there are any. Every process draws all tasks of an outer step from the same generator and takes its share.
Together they compute what one process computes, within rounding, and a checkpoint fits any number of processes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from app.learn.pytrees import leaves, rebuild
from app.learn.update_rules import Params

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a run: this process is number `rank` of `count`."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files and the messages."""
        return self.rank == 0

    def share(self, batch: T, tasks: int) -> tuple[T, float]:
        """This process's part of a tree of tensors whose first axis is that many tasks, and the part's share of all."""
        low, high = (tasks * each // self.count for each in (self.rank, self.rank + 1))
        part = rebuild((batch,), (leaf[low:high] for leaf in leaves((batch,))))[0]
        return part, (high - low) / tasks

    def average(self, direction: Params, loss: Tensor, weight: float) -> tuple[Params, Tensor]:
        """The mean over the processes, each weighted by its share of the tasks. All processes get the same bits."""
        if self.count == 1:
            return direction, loss
        tensors = [*direction.values(), loss]
        flat = torch.cat([each.reshape(-1) * weight for each in tensors])
        dist.all_reduce(flat)
        parts = torch.split(flat, [each.numel() for each in tensors])
        *means, mean_loss = (part.reshape(each.shape) for part, each in zip(parts, tensors, strict=True))
        return dict(zip(direction, means, strict=True)), mean_loss

    def agree(self, value: float, device: torch.device) -> float:
        """The first process's value, so that rounding cannot make one process stop while the others go on."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(shared, src=0)
        return shared.item()


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started, if it did; yields them and the device of this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Processes(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
