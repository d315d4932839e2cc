"""The outer loops: how meta-parameters move, given a batch of tasks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from app.learn.inner import Examples, InnerLoop, State, adapt
from app.learn.losses import Loss
from app.learn.rules import Params
from app.learn.shapes import Float, Int


class Tasks(NamedTuple):
    """A batch of tasks: what each adapts to, and what its adaptation is scored on."""

    support: Examples
    query: Examples


class Schedule(NamedTuple):
    """How training runs the inner loop. rate, steps: of each task; longest: the most steps that any takes."""

    rate: Float[Tensor, " task"]
    steps: Int[Tensor, " task"]
    longest: int


Direction = Callable[[InnerLoop[State], Loss, Params, Tasks, Schedule], tuple[Params, Tensor]]
"""What the outer loop descends, a tensor for each meta-parameter, and the mean query loss after adapting."""


@dataclass(frozen=True)
class Outer:
    """`direction` is descended by the optimizer that `optimizer(parameters, rate)` makes; `rate` is its usual rate."""

    direction: Direction
    optimizer: Callable[[Iterable[Tensor], float], torch.optim.Optimizer]
    rate: float


def query_loss(inner: InnerLoop[State], loss: Loss, meta: Params, state: State, query: Examples) -> Tensor:
    """The loss of adapted tasks on their query sets, averaged over the tasks."""
    return vmap(loss)(inner.apply(meta, state, query.inputs), query.targets, query.mask).mean()


def _gradient(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, schedule: Schedule
) -> tuple[Params, Tensor]:
    def outer_loss(meta: Params) -> Tensor:
        state, _ = adapt(inner, meta, tasks.support, *schedule)
        return query_loss(inner, loss, meta, state, tasks.query)

    gradient, value = grad_and_value(outer_loss)(meta)
    return gradient, value


def _displacement(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, schedule: Schedule
) -> tuple[Params, Tensor]:
    state, _ = adapt(inner, meta, tasks.support, *schedule)
    moved = {name: meta[name] - fast.mean(0) for name, fast in state.fast.items()}
    direction = {name: moved.get(name, torch.zeros_like(old)) for name, old in meta.items()}
    return direction, query_loss(inner, loss, meta, state, tasks.query)


def _adam(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=rate, fused=True)


def _descent(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate)


def _whole_step(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    if rate != 1.0:
        raise ValueError(f"the mean of the adapted parameters is a step of 1.0, got an outer rate of {rate}")
    return torch.optim.SGD(parameters, lr=1.0)


query_gradient = Outer(_gradient, _adam, rate=1e-3)
"""The gradient of the mean query loss, through the inner loop. MAML: Finn et al. 2017, algorithm 1."""

displacement = Outer(_displacement, _descent, rate=0.1)
"""`theta - mean_i theta_i'`: a step of rate e moves the way e to the mean. Reptile: Nichol et al. 2018, batched."""

mean_of_adapted = Outer(_displacement, _whole_step, rate=1.0)
"""`theta <- mean_i theta_i'`, the whole displacement; for one inner step, `theta - alpha * mean_i grad L_i(theta)`."""
