"""A small problem in float64 that the tests of this folder share."""

from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call

from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import Examples, InnerLoop, State, batched
from app.learn.losses import LOSSES, ONE_HOT, Loss
from app.learn.outer import Schedule, Tasks
from app.learn.rules import Params

RATE = 0.05


WAYS = 3


class Small(NamedTuple):
    """An inner loop over tasks with its initialization and its network. single: the inner loop of one task."""

    inner: InnerLoop[State]
    meta: Params
    network: nn.Module
    loss: Loss
    kind: str
    single: InnerLoop[State]


def small(algorithm: Algorithm | str = "maml", seed: int = 0, kind: str | None = None, ways: int = WAYS) -> Small:
    """2 features -> tanh of 4 -> 3 targets or classes. tanh, so that finite differences meet no kink.

    kind: regression where the algorithm can, if none is given
    """
    chosen = ALGORITHMS[algorithm] if isinstance(algorithm, str) else algorithm
    kind = kind or max(chosen.kinds)
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    params = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64) / 2
        for name, value in network.state_dict().items()
    }
    meta = chosen.initial(network, params, targets=3, width=3, rate=RATE, steps=2)
    single = chosen.inner_loop(network, LOSSES[kind], ways=ways if kind in ONE_HOT else None, targets=3, width=3)
    return Small(batched(single), meta, network, LOSSES[kind], kind, single)


def examples(tasks: int, count: int, seed: int, kind: str = "regression", ways: int = WAYS) -> Examples:
    """Random labelled examples, none of them padding; of every class where there are enough."""
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> torch.Tensor:
        return torch.randn(tasks, count, width, generator=generator, dtype=torch.float64)

    inputs, targets = normal(2), normal(3)
    if kind in ONE_HOT:
        targets = torch.eye(ways, dtype=torch.float64)[torch.arange(count) % WAYS].expand(tasks, -1, -1).clone()
    return Examples(inputs, targets, torch.ones(tasks, count, dtype=torch.bool))


def tasks(number: int = 4, shots: int = 5, queries: int = 6, kind: str = "regression") -> Tasks:
    """Random tasks."""
    return Tasks(examples(number, shots, seed=1, kind=kind), examples(number, queries, seed=2, kind=kind))


def schedule(number: int = 4, steps: int = 1, rate: float = RATE) -> Schedule:
    """The same rate and steps for all tasks."""
    return Schedule(torch.full((number,), rate, dtype=torch.float64), torch.full((number,), steps), longest=steps)


def plain_loss(network: nn.Module, params: Params, data: Examples, task: int) -> torch.Tensor:
    """The mean squared error on one task, by torch alone."""
    outputs = functional_call(network, params, (data.inputs[task],))
    return nn.functional.mse_loss(outputs, data.targets[task])
