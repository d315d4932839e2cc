"""A compiled program replaces the one in use if it is faster and gives the same numbers."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import torch

from app.learn.inner import Examples, InnerLoop, repeat_state
from app.learn.pytrees import leaves
from app.service.model import Model
from app.service.serving_functions import LookUp, ServingFunctions, Single, Unrolled
from app.service.task import Task

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Arguments of an inner loop over tasks, to trace and to time it with. active: bool [task], all true."""

    states: torch.Tensor
    support: Examples
    rate: torch.Tensor
    active: torch.Tensor


def example_batch(model: Model, tasks: int, shots: int) -> Batch:
    """A batch of tasks of a model, at its default learning rate."""
    schema, device = model.bundle.manifest.schema, model.device
    inputs = torch.linspace(-1, 1, tasks * shots * schema.features, device=device)
    targets = torch.linspace(1, -1, tasks * shots * schema.targets, device=device).reshape(tasks, shots, -1)
    scale = model.bundle.manifest.target_scale
    support = Examples(
        inputs.reshape(tasks, shots, -1),
        targets if scale is None else scale.restore(targets),
        torch.ones(tasks, shots, dtype=torch.bool, device=device),
    )
    rate = torch.full((tasks,), model.bundle.manifest.inner_loop.learning_rate, device=device)
    active = torch.ones(tasks, dtype=torch.bool, device=device)
    return Batch(repeat_state(model.initial_state, tasks), support, rate, active)


MIN_RUNS, MIN_SECONDS = 4, 0.1
"""A comparison takes at least this many runs and this many seconds. With fewer, other work on the machine decides."""


def speedup(candidate: Callable[[], Any], baseline: Callable[[], Any], device: torch.device) -> float:
    """How many times as fast as the baseline the candidate is, each at its best of `MIN_RUNS` runs or more.

    Raises RuntimeError where their results are further apart than 1e-4.
    """
    seconds = {candidate: float("inf"), baseline: float("inf")}
    runs, end = 0, perf_counter() + MIN_SECONDS
    while runs < MIN_RUNS or perf_counter() < end:
        runs += 1
        results = []
        for run in seconds:
            started = perf_counter()
            results.append(run())
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[run] = min(seconds[run], perf_counter() - started)
        if not all(map(partial(torch.allclose, rtol=1e-4, atol=1e-4), *map(leaves, results))):
            raise RuntimeError("compiled code gives other numbers than eager code")
    return seconds[baseline] / seconds[candidate]


def adapt_speedup(model: Model, candidate: Unrolled, baseline: Unrolled, steps: int) -> float:
    """The speedup of adapting a few and many tasks by `steps` steps. Raises RuntimeError as `speedup` does."""
    batches = [example_batch(model, tasks, shots=10) for tasks in (2, 64)]

    def trial(adapt: Unrolled) -> Callable[[], Any]:
        return lambda: [
            adapt(model.meta, states, support, rate, active.long() * steps) for states, support, rate, active in batches
        ]

    return speedup(trial(candidate), trial(baseline), model.device)


def predict_speedup(model: Model, candidate: InnerLoop[torch.Tensor], baseline: InnerLoop[torch.Tensor]) -> float:
    """The speedup of predictions for a few and for many tasks. Raises RuntimeError as `speedup` does."""
    batches = [example_batch(model, tasks, shots=2) for tasks in (2, 64)]  # compiled code is not for one

    def trial(inner: InnerLoop[torch.Tensor]) -> Callable[[], Any]:
        return lambda: [inner.apply(model.meta, batch.states, batch.support.inputs) for batch in batches]

    return speedup(trial(candidate), trial(baseline), model.device)


def look_up_speedup(model: Model, look_up: LookUp) -> float:
    """The speedup over gathering, for one query each of a few and of many among 256 tasks. Raises as `speedup` does."""
    cache, support, *_ = example_batch(model, tasks=256, shots=2)
    some_rows = [torch.arange(0, 256, 256 // tasks, device=model.device) for tasks in (2, 64)]
    apply = model.functions.inner.apply

    def gather(rows: torch.Tensor) -> torch.Tensor:
        return apply(model.meta, cache.index_select(0, rows), support.inputs[: len(rows)])[:, :1]

    def look(rows: torch.Tensor) -> torch.Tensor:
        return look_up(model.meta, rows, support.inputs[: len(rows), :1].contiguous(), cache)

    return speedup(lambda: list(map(look, some_rows)), lambda: list(map(gather, some_rows)), model.device)


def single_speedup(model: Model, single: Single, baseline: Unrolled, steps: int, shots: int, tasks: int) -> float:
    """The speedup of adapting tasks of `shots` examples one after another, over `baseline` that takes all at once.

    Raises RuntimeError as `speedup` does.
    """
    states, support, rate, active = example_batch(model, max(tasks, model.functions.min_adapt), shots)
    one_by_one = [
        Task(support.inputs[index].numpy(), support.targets[index].numpy(), steps, rate[index].item())
        for index in range(tasks)
    ]

    def run_single() -> list[torch.Tensor]:
        ends, losses = zip(*map(single, one_by_one), strict=True)
        return [torch.cat(ends), torch.tensor(losses)]

    def run_baseline() -> list[torch.Tensor]:
        return [part[:tasks] for part in baseline(model.meta, states, support, rate, active.long() * steps)]

    return speedup(run_single, run_baseline, model.device)


def if_faster(model: Model, what: str, started: float, ratio: float, **changes: Any) -> ServingFunctions:
    """The functions with these changes if they are faster, otherwise unchanged. Logs the choice."""
    verdict = "used" if ratio > 1 else "not used"
    seconds = perf_counter() - started
    log.info("%s: %s compiled in %.1f s, speedup %.2f, %s", model.bundle.name, what, seconds, ratio, verdict)
    return replace(model.functions, **changes) if ratio > 1 else model.functions


def last_faster(sizes: Sequence[int], ratio: Callable[[int], float], default: int) -> int:
    """The last of the ascending sizes before one at which the ratio is below 1; the default if there is none."""
    fastest = default
    for size in sizes:
        if ratio(size) < 1:
            break
        fastest = size
    return fastest
