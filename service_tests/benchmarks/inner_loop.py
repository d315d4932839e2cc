"""How many tasks a second does the inner loop adapt, beside `deepcopy` + SGD and beside TorchOpt?

Sinusoid MLP 1-40-40-1, 10 examples, 5 steps, one thread. All begin with tensors and end with the fast weights and the
six losses, before the first step and after each. Ours is the masked, compiled step that the server runs, in fused calls
of the same size; the rivals adapt one task after another, as they are designed to. The last rows measure all that the
engine does for a batch: from numpy arrays through padding to the status of each task.
"""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchopt
from torch import nn

from app.bundles import load
from app.device import keep_freed_memory
from app.learn.inner import Examples, InnerLoop, Schedule, adapt, batched
from app.learn.networks import mlp
from app.service.compiled.compiler import compile_steps
from app.service.model import Model
from app.service.task import MAX_TASKS, Task
from service_tests.benchmarks.report import seconds_each, write

SHOTS, STEPS, RATE = 10, 5, 0.01


def rivals(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Functions that adapt to one task, by `deepcopy` + SGD and by TorchOpt."""
    loss_of = nn.functional.mse_loss

    def deepcopy_and_sgd() -> tuple[nn.Module, list[float]]:
        fast, losses = copy.deepcopy(network), []
        optimizer = torch.optim.SGD(fast.parameters(), lr=RATE)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(fast(x), y)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            losses.append(loss_of(fast(x), y).item())
        return fast, losses

    optimizer = torchopt.MetaSGD(network, lr=RATE)
    start = torchopt.extract_state_dict(network), torchopt.extract_state_dict(optimizer)

    def torchopt_meta_sgd() -> tuple[object, list[float]]:
        losses = []
        for _ in range(STEPS):
            loss = loss_of(network(x), y)
            losses.append(loss.item())
            optimizer.step(loss)
        with torch.no_grad():
            losses.append(loss_of(network(x), y).item())
        fast = torchopt.extract_state_dict(network)
        torchopt.recover_state_dict(network, start[0])
        torchopt.recover_state_dict(optimizer, start[1])
        return fast, losses

    return {"deepcopy + SGD": deepcopy_and_sgd, "TorchOpt": torchopt_meta_sgd}


def main() -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the server does
    x = np.random.default_rng(0).uniform(-5, 5, (256, SHOTS, 1)).astype(np.float32)
    tasks = [Task(each, np.sin(each), STEPS, RATE) for each in x]
    support = Examples(torch.from_numpy(x), torch.from_numpy(np.sin(x)), torch.ones(256, SHOTS, dtype=torch.bool))

    bundle = load(Path(__file__).parents[2] / "models" / "sinusoid")
    network = mlp(1, 1)
    network.load_state_dict(bundle.meta)
    model = Model(bundle, torch.device("cpu"))
    model.programs = compile_steps(model)

    @torch.no_grad()
    def inner_loop(inner: InnerLoop[Any], size: int) -> None:
        for start in range(0, size, MAX_TASKS):
            some = Examples(*(part[start : min(start + MAX_TASKS, size)] for part in support))
            rate, steps = torch.full((len(some.mask),), RATE), torch.full((len(some.mask),), STEPS)
            adapt(inner, model.meta, some, Schedule(rate, steps, STEPS))[1].tolist()

    def engine(size: int) -> None:
        for start in range(0, size, MAX_TASKS):
            model.adapt(tasks[start : min(start + MAX_TASKS, size)])

    baselines = rivals(network, support.inputs[0], support.targets[0])
    eager = batched(bundle.inner_loop())
    ours = {(f"vmap, eager, {size} tasks", size): partial(inner_loop, eager, size) for size in (2, 256)}
    ours |= {
        (f"served step, {size} tasks", size): partial(inner_loop, model.programs.inner, size)
        for size in (2, 8, 32, 64, 128, 256)
    }
    ours |= {
        (f"the engine's whole work, {size} task{'s' * (size > 1)}", size): partial(engine, size) for size in (1, 8, 256)
    }
    measured = seconds_each(baselines | {way: work for (way, _), work in ours.items()})
    seconds = measured | {way: measured[way] / size for way, size in ours}

    best = min(seconds[way] for way in baselines)
    rows = [
        {
            "way": way,
            "tasks_per_s": round(1 / each),
            "us_per_task": round(each * 1e6, 1),
            "times_the_best_rival": round(best / each, 1),
        }
        for way, each in seconds.items()
    ]
    write("inner_loop", f"Tasks a second of the inner loop: {SHOTS} examples, {STEPS} steps, MLP 1-40-40-1", rows)


if __name__ == "__main__":
    main()
