"""The outer loop: how the meta-parameters move, given a batch of tasks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from app.errors import exact, expectation
from app.learn.inner import Examples, InnerLoop, Schedule, State, adapt, final_states, trajectory
from app.learn.losses import Loss, gaussian_nll
from app.learn.shape_annotations import Float, Int
from app.learn.update_rules import Params


class Tasks(NamedTuple):
    """A batch of tasks: the examples that each adapts to, and those that its adaptation is scored on."""

    support: Examples
    query: Examples


Progress = Float[Tensor, ""] | float
"""The share of training that has passed, from 0 to 1."""


@runtime_checkable
class Direction(Protocol):
    """Computes the direction that the outer loop descends, and the mean query loss after adapting."""

    def __call__(
        self,
        inner: InnerLoop[State],
        loss: Loss,
        meta: Params,
        tasks: Tasks,
        schedule: Schedule,
        progress: Progress = 1.0,
    ) -> tuple[Params, Tensor]:
        """The direction at `meta`, a tensor for each meta-parameter, and the loss. inner: batched."""


@dataclass(frozen=True)
class Outer:
    """How an outer step is taken.

    direction: what is descended
    optimizer: (meta-parameters, outer rate) -> the optimizer that descends it
    rate: the default outer rate
    """

    direction: Direction
    optimizer: Callable[[Iterable[Tensor], float], torch.optim.Optimizer]
    rate: float


def query_loss(inner: InnerLoop[State], loss: Loss, meta: Params, state: State, query: Examples) -> Tensor:
    """The loss of adapted tasks on their query sets, averaged over the tasks."""
    return vmap(loss)(inner.apply(meta, state, query.inputs), query.targets, query.mask).mean()


def _gradient(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, schedule: Schedule, progress: Progress = 1.0
) -> tuple[Params, Tensor]:
    def outer_loss(meta: Params) -> Tensor:
        state = final_states(inner, meta, tasks.support, schedule)
        return query_loss(inner, loss, meta, state, tasks.query)

    gradient, value = grad_and_value(outer_loss)(meta)
    return gradient, value


MULTI_STEP_SHARE = 0.3
"""The share of training over which the weights of the earlier steps' losses fade to their minimum."""
MIN_WEIGHT = 0.03
"""The smallest weight of an earlier step, as a share of an even weight."""


def step_weights(steps: Int[Tensor, " task"], max_steps: int, progress: Progress) -> Float[Tensor, "task step"]:
    """The weights of the query losses after 1, 2, ..., `max_steps` steps: even at first, nearly all on the last later.

    Antoniou et al. 2019, section 4, "multi-step loss optimization"
    """
    number = torch.arange(1, max_steps + 1, device=steps.device)
    even = 1 / steps.clamp(min=1).unsqueeze(1)
    fading = torch.as_tensor(1 - progress / MULTI_STEP_SHARE, device=steps.device).clamp(min=MIN_WEIGHT)
    earlier = (even * fading).where(number < steps.unsqueeze(1), 0.0)
    last = 1 - earlier.sum(1, keepdim=True)
    return torch.where(number == steps.unsqueeze(1), last, earlier)


def _multi_step(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, schedule: Schedule, progress: Progress = 1.0
) -> tuple[Params, Tensor]:
    def outer_loss(meta: Params) -> tuple[Tensor, Tensor]:
        scores = []
        for state, _ in trajectory(inner, meta, tasks.support, schedule):
            outputs = inner.apply(meta, state, tasks.query.inputs)
            scores.append(vmap(loss)(outputs, tasks.query.targets, tasks.query.mask))
        by_step = torch.stack(scores[1:], dim=1)
        weights = step_weights(schedule.steps, schedule.max_steps, progress)
        return (weights * by_step).sum(1).mean(), scores[-1].mean()

    gradient, (_, value) = grad_and_value(outer_loss, has_aux=True)(meta)
    return gradient, value


def _likelihood(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, schedule: Schedule, progress: Progress = 1.0
) -> tuple[Params, Tensor]:
    assert inner.variance is not None
    variance_of = inner.variance

    def outer_loss(meta: Params) -> tuple[Tensor, Tensor]:
        state, _ = adapt(inner, meta, tasks.support, schedule)
        query = tasks.query
        outputs, variance = inner.apply(meta, state, query.inputs), variance_of(meta, state, query.inputs)
        value = vmap(loss)(outputs, query.targets, query.mask).mean()
        return vmap(gaussian_nll)(outputs, variance, query.targets, query.mask).mean(), value

    gradient, (_, value) = grad_and_value(outer_loss, has_aux=True)(meta)
    return gradient, value


def _displacement(
    inner: InnerLoop[State], loss: Loss, meta: Params, tasks: Tasks, schedule: Schedule, progress: Progress = 1.0
) -> tuple[Params, Tensor]:
    state, _ = adapt(inner, meta, tasks.support, schedule)
    moved = {name: meta[name] - fast.mean(0) for name, fast in state.fast.items()}
    direction = {name: moved.get(name, torch.zeros_like(old)) for name, old in meta.items()}
    return direction, query_loss(inner, loss, meta, state, tasks.query)


def clip_norm(direction: Params, max_norm: float) -> Params:
    """The direction scaled down to a norm of at most `max_norm`, over all tensors together; 0 where it is not finite.

    Otherwise a single task whose inner loop explodes would ruin a training run.
    """
    norm = torch.stack([value.norm() for value in direction.values()]).norm()
    return {
        name: torch.where(norm.isfinite(), value * (max_norm / norm.clamp(min=max_norm)), 0.0)
        for name, value in direction.items()
    }


def _adam(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=rate, fused=True)


def _descent(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate)


def _whole_step(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    if rate != 1.0:
        raise ValueError(
            expectation("outer_rate", "1.0 for the algorithm averaging", exact(rate), "leave outer_rate out")
        )
    return torch.optim.SGD(parameters, lr=1.0)


query_gradient = Outer(_gradient, _adam, rate=1e-3)
"""The gradient of the mean query loss, through the inner loop. MAML: Finn et al. 2017, algorithm 1."""

multi_step = Outer(_multi_step, _adam, rate=1e-3)
"""The gradient of the query losses after every step, weighted by `step_weights`. MAML++: Antoniou et al. 2019."""

likelihood = Outer(_likelihood, _adam, rate=1e-3)
"""The gradient of the query set's negative log-likelihood under the predictive variances. ALPaCA."""

displacement = Outer(_displacement, _descent, rate=0.1)
"""`theta - mean_i theta_i'`: an outer rate e moves a fraction e of the way to the mean. Reptile: Nichol et al. 2018."""

mean_of_adapted = Outer(_displacement, _whole_step, rate=1.0)
"""`theta <- mean_i theta_i'`, the whole displacement; for one inner step, `theta - alpha * mean_i grad L_i(theta)`."""
