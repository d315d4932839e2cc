"""A small problem in float64 that the tests of this folder share."""

from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call

from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import Examples, InnerLoop, State, batched
from app.learn.losses import mean_squared_error
from app.learn.outer import Schedule, Tasks
from app.learn.rules import Params

RATE = 0.05


class Small(NamedTuple):
    """An inner loop over tasks with its initialization and its network."""

    inner: InnerLoop[State]
    meta: Params
    network: nn.Module


def small(algorithm: Algorithm | str = "maml", seed: int = 0) -> Small:
    """2 features -> tanh of 4 -> 3 targets. tanh, so that finite differences meet no kink."""
    chosen = ALGORITHMS[algorithm] if isinstance(algorithm, str) else algorithm
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    meta = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64) / 2
        for name, value in network.state_dict().items()
    }
    return Small(batched(chosen.inner_loop(network, mean_squared_error)), meta, network)


def examples(tasks: int, count: int, seed: int) -> Examples:
    """Random labelled examples, none of them padding."""
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> torch.Tensor:
        return torch.randn(tasks, count, width, generator=generator, dtype=torch.float64)

    return Examples(normal(2), normal(3), torch.ones(tasks, count, dtype=torch.bool))


def tasks(number: int = 4, shots: int = 5, queries: int = 6) -> Tasks:
    """Random tasks."""
    return Tasks(examples(number, shots, seed=1), examples(number, queries, seed=2))


def schedule(number: int = 4, steps: int = 1, rate: float = RATE) -> Schedule:
    """The same rate and steps for all tasks."""
    return Schedule(torch.full((number,), rate, dtype=torch.float64), torch.full((number,), steps), longest=steps)


def plain_loss(network: nn.Module, params: Params, data: Examples, task: int) -> torch.Tensor:
    """The mean squared error on one task, by torch alone."""
    outputs = functional_call(network, params, (data.inputs[task],))
    return nn.functional.mse_loss(outputs, data.targets[task])
