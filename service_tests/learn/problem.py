"""A small problem in float64 that the tests of this folder share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.func import functional_call, grad_and_value

from app.learn.adapted_parameters import context
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import Examples, InnerLoop, Schedule, State, batched
from app.learn.losses import KINDS, Loss
from app.learn.outer_directions import Tasks
from app.learn.update_rules import Params

RATE = 0.05


WAYS = 3
CASES = [(name, kind) for name, algorithm in sorted(ALGORITHMS.items()) for kind in sorted(algorithm.kinds)]
"""Every algorithm with every kind that it is for, so that every listed algorithm is tested."""


class Contextual(nn.Module):
    """A network that takes a context beside its inputs, for CAVIA."""

    def __init__(self) -> None:
        super().__init__()
        self.context = nn.Parameter(torch.zeros(2))
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layers(torch.cat([inputs, self.context.expand(len(inputs), -1)], dim=1))
        return outputs


class Small(NamedTuple):
    """An inner loop over tasks with its initialization and its network. single: the inner loop of one task."""

    inner: InnerLoop[State]
    meta: Params
    network: nn.Module
    loss: Loss
    kind: str
    single: InnerLoop[State]


def small(
    algorithm: Algorithm | str = "maml",
    seed: int = 0,
    kind: str | None = None,
    ways: int = WAYS,
    differentiate: Callable[..., Any] = grad_and_value,
) -> Small:
    """2 features -> tanh of 4 -> 3 targets or classes. tanh, so that finite differences meet no kink.

    kind: regression where the algorithm can, if none is given
    """
    chosen = ALGORITHMS[algorithm] if isinstance(algorithm, str) else algorithm
    kind = kind or max(chosen.kinds)
    generator = torch.Generator().manual_seed(seed)
    plain = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
    network = (Contextual() if chosen.partition is context else plain).double()
    params = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64) / 2
        for name, value in network.state_dict().items()
    }
    meta = chosen.initial_meta(network, params, targets=3, width=3, rate=RATE, steps=2)
    single = chosen.inner_loop(
        network, KINDS[kind].loss, differentiate, ways=ways if KINDS[kind].one_hot else None, targets=3, width=3
    )
    return Small(batched(single), meta, network, KINDS[kind].loss, kind, single)


def examples(tasks: int, count: int, seed: int, kind: str = "regression", ways: int = WAYS) -> Examples:
    """Random labelled examples, none of them padding; of every class where there are enough."""
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> torch.Tensor:
        return torch.randn(tasks, count, width, generator=generator, dtype=torch.float64)

    inputs, targets = normal(2), normal(3)
    if KINDS[kind].one_hot:
        targets = torch.eye(ways, dtype=torch.float64)[torch.arange(count) % WAYS].expand(tasks, -1, -1).clone()
    if KINDS[kind].weighted:
        actions = torch.eye(3, dtype=torch.float64)[targets.argmax(-1)]
        targets = torch.cat([actions, normal(1)], dim=-1)
    return Examples(inputs, targets, torch.ones(tasks, count, dtype=torch.bool))


def tasks(number: int = 4, shots: int = 5, queries: int = 6, kind: str = "regression") -> Tasks:
    """Random tasks."""
    return Tasks(examples(number, shots, seed=1, kind=kind), examples(number, queries, seed=2, kind=kind))


def schedule(number: int = 4, steps: int = 1, rate: float = RATE) -> Schedule:
    """The same rate and steps for all tasks."""
    return Schedule(torch.full((number,), rate, dtype=torch.float64), torch.full((number,), steps), max_steps=steps)


def plain_loss(network: nn.Module, params: Params, data: Examples, task: int) -> torch.Tensor:
    """The mean squared error on one task, by torch alone."""
    outputs = functional_call(network, params, (data.inputs[task],))
    return nn.functional.mse_loss(outputs, data.targets[task])
