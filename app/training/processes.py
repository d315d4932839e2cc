"""Several processes that train one initialization: tasks are divided, what the outer loop descends is averaged.

`torchrun --nproc-per-node 4 -m app.train sinusoid` starts them, on one machine or more; each then has an accelerator of
its own where there are any. Every process draws all tasks of an outer step from the same generator and takes its share,
so that together they do what one does, within rounding, and a checkpoint serves any number of them.
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
    """The processes of a run, as one of them sees it: this is number `rank` of `count`."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, batch: T, tasks: int) -> tuple[T, float]:
        """This process's part of a tree of tensors with an axis of so many tasks in front, and how large a part."""
        low, high = (tasks * each // self.count for each in (self.rank, self.rank + 1))
        part = rebuild((batch,), (leaf[low:high] for leaf in leaves((batch,))))[0]
        return part, (high - low) / tasks

    def average(self, direction: Params, loss: Tensor, weight: float) -> tuple[Params, Tensor]:
        """The mean of what the processes found, each weighted by its share of the tasks; the same bits for all."""
        if self.count == 1:
            return direction, loss
        found = [*direction.values(), loss]
        flat = torch.cat([each.reshape(-1) * weight for each in found])
        dist.all_reduce(flat)
        parts = torch.split(flat, [each.numel() for each in found])
        *means, mean_loss = (part.reshape(each.shape) for part, each in zip(parts, found, strict=True))
        return dict(zip(direction, means, strict=True)), mean_loss

    def agree(self, value: float, device: torch.device) -> float:
        """The first process's value, so that no rounding lets one stop where the others go on."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(shared, src=0)
        return shared.item()


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Those that torchrun started, joined as long as this lasts, and this one's device; else this one alone."""
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
