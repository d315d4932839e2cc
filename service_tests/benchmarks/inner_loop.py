"""How many tasks a second does the inner loop adapt, beside `deepcopy` + SGD and beside TorchOpt?

Sinusoid MLP 1-40-40-1, 10 examples, 5 steps, one thread. All begin at tensors and end with the fast weights and the six
losses, before the first step and after each. Ours is the masked, compiled step that the server runs, in the fused calls
that it makes; the rivals adapt one task after another, which is what they are made for. The last rows are all that the
engine does for a batch: from numpy arrays over padding to the judgement of each task.

On a GPU the tensors begin there, the losses end on the CPU, and one call adapts all tasks. `share_of_peak` compares
that with the arithmetic limit of the card: its float32 peak, divided by the floating-point operations of a task.
"""

import copy
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn

from app.bundles import Bundle, load
from app.device import choose_device, describe, keep_freed_memory
from app.learn.inner import Examples, InnerLoop, adapt, batched
from app.learn.networks import mlp
from app.service.compiling import by_steps
from app.service.model import Model
from app.service.task import MOST_TASKS, Task
from service_tests.benchmarks.report import processor, seconds_each, write

SHOTS, STEPS, RATE = 10, 5, 0.01
WIDTHS = (1, 40, 40, 1)
QUESTION = f"Tasks a second of the inner loop: {SHOTS} examples, {STEPS} steps, MLP 1-40-40-1"
ON_A_GPU = (256, 4096, 65_536)
"""Tasks in one call."""
LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128, (8, 7): 128, (8, 9): 128, (9, 0): 128}
"""float32 multiply-adds a clock of a multiprocessor, by compute capability: CUDA C++ Programming Guide, table of
arithmetic throughput. An H100 SXM does 132 x 128 x 2 operations at 1.98 GHz, the 67 TFLOP/s of its datasheet."""


def rivals(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, Callable[[], object]]:
    """One task by `deepcopy` + SGD and by TorchOpt."""
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

    if find_spec("torchopt") is None:
        print("TorchOpt is left out: torchopt is not installed (make bench does)", file=sys.stderr)
        return {"deepcopy + SGD": deepcopy_and_sgd}
    import torchopt  # a machine with a GPU may lack it

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


def tasks_of(count: int) -> tuple[list[Task], Examples]:
    """Sinusoids, as the engine takes them and as the inner loop does."""
    x = np.random.default_rng(0).uniform(-5, 5, (count, SHOTS, 1)).astype(np.float32)
    tasks = [Task(each, np.sin(each), STEPS, RATE) for each in x]
    return tasks, Examples(torch.from_numpy(x), torch.from_numpy(np.sin(x)), torch.ones(x.shape[:2], dtype=torch.bool))


def rivals_of(bundle: Bundle) -> dict[str, Callable[[], object]]:
    """The rivals on the CPU, beginning at the bundle's initialization."""
    network = mlp(1, 1)
    network.load_state_dict(bundle.meta)
    support = tasks_of(1)[1]
    return rivals(network, support.inputs[0], support.targets[0])


def engines_work(model: Model, tasks: list[Task], size: int) -> None:
    """All that the engine does for so many tasks."""
    for start in range(0, size, MOST_TASKS):
        model.adapt(tasks[start : min(start + MOST_TASKS, size)])


def on_the_cpu(bundle: Bundle, rounds: int) -> list[dict[str, Any]]:
    """The rows of one thread of the CPU."""
    tasks, support = tasks_of(256)
    model = Model(bundle, torch.device("cpu"))
    model.compile()

    @torch.no_grad()
    def inner_loop(inner: InnerLoop[Any], size: int) -> None:
        for start in range(0, size, MOST_TASKS):
            some = Examples(*(part[start : min(start + MOST_TASKS, size)] for part in support))
            rate, steps = torch.full((len(some.mask),), RATE), torch.full((len(some.mask),), STEPS)
            adapt(inner, model.meta, some, rate, steps, STEPS)[1].tolist()

    eager = batched(bundle.inner_loop())
    ours = {(f"vmap, eager, {size} tasks", size): partial(inner_loop, eager, size) for size in (2, 256)}
    ours |= {
        (f"served step, {size} tasks", size): partial(inner_loop, model.inner, size)
        for size in (2, 8, 32, 64, 128, 256)
    }
    ours |= {
        (f"the engine's whole work, {size} task{'s' * (size > 1)}", size): partial(engines_work, model, tasks, size)
        for size in (1, 8, 256)
    }
    return rows_of(bundle, ours, rounds)


def on_a_gpu(bundle: Bundle, device: torch.device, rounds: int, most: int) -> list[dict[str, Any]]:
    """The rows of a GPU, with up to `most` tasks."""
    tasks, support = tasks_of(most)
    model, untouched = Model(bundle, device), Model(bundle, device)
    model.compile()
    model.unroll()
    steps = {"vmap, eager": by_steps(untouched.inner, STEPS)}
    if model.compiled:
        steps["compiled steps"] = by_steps(model.inner, STEPS)
    if model._unrolled is not None:
        steps["5 steps as one program"] = model._unrolled
    ours: dict[tuple[str, int], Callable[[], object]] = {}
    with torch.no_grad():
        for size in (size for size in (64, *ON_A_GPU) if size <= most):
            some = Examples(*(part[:size].to(device) for part in support))
            start = untouched.untouched.expand(size, -1).contiguous()
            rate, taken = torch.full((size,), RATE, device=device), torch.full((size,), STEPS, device=device)
            for name, way in steps.items():
                work = partial(way, model.meta, start, some, rate, taken)
                ours[f"{name}, {size} tasks", size] = partial(losses_of, work)
            if device.type == "cuda" and (graph := replayed(work)) is not None:
                ours[f"{name} in a CUDA graph, {size} tasks", size] = graph
    for size in (64, 256, 4096):
        if size <= most:
            ours[f"the engine's whole work, {size} tasks", size] = partial(engines_work, model, tasks, size)
    limit = peak_of(device) / operations()
    return [row | share_of(limit, row) for row in rows_of(bundle, ours, rounds)]


def share_of(limit: float, row: dict[str, Any]) -> dict[str, float]:
    """How much of the tasks a second that the card's arithmetic allows; nothing for a rival, which the CPU runs."""
    return {"share_of_peak": float(f"{row['tasks_per_s'] / limit:.2g}")} if "tasks" in row["way"] else {}


@torch.no_grad()
def losses_of(work: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Run it; the losses on the CPU, so that it is done by then."""
    return work()[1].cpu()


def replayed(work: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], torch.Tensor] | None:
    """The same work, captured as a CUDA graph; None where it cannot be captured."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            _, losses = work()
    except RuntimeError as error:
        print(f"no CUDA graph: {error}", file=sys.stderr)
        return None

    def run() -> torch.Tensor:
        graph.replay()
        return losses.cpu()

    return run


def operations() -> int:
    """Floating-point operations of a task: products of matrices and the update, without activations and the loss."""
    products = [before * after for before, after in pairwise(WIDTHS)]
    forward = 2 * sum(products) * SHOTS
    backward = forward + 2 * sum(products[1:]) * SHOTS  # of the weights; of what went into all layers but the first
    weights = sum(products) + sum(WIDTHS[1:])
    return STEPS * (forward + backward + 2 * weights) + forward


def peak_of(device: torch.device) -> float:
    """The float32 operations that the card can do in a second, outside of its tensor cores."""
    card = torch.cuda.get_device_properties(device)
    return card.multi_processor_count * LANES[card.major, card.minor] * 2 * card.clock_rate * 1e3


def rows_of(bundle: Bundle, ours: dict[tuple[str, int], Any], rounds: int) -> list[dict[str, Any]]:
    """A row for each rival and for each of ours, whose keys end with the number of tasks."""
    theirs = rivals_of(bundle)
    measured = seconds_each(theirs | {way: work for (way, _), work in ours.items()}, rounds)
    seconds = measured | {way: measured[way] / size for way, size in ours}
    best = min(seconds[way] for way in theirs)
    return [
        {
            "way": way,
            "tasks_per_s": round(1 / each),
            "us_per_task": round(each * 1e6, 1 if each > 1e-6 else 4),
            "times_the_best_rival": round(best / each, 1),
        }
        for way, each in seconds.items()
    ]


def main(
    device: Annotated[str, typer.Option(help="cpu or cuda alone; the CPU, and the GPU where there is one.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Of a quarter of a second for each way; the best counts.")] = 8,
    most: Annotated[int, typer.Option(min=64, help="Tasks in one call, at the most, on a GPU.")] = ON_A_GPU[-1],
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the server does
    bundle, chosen = load(Path(__file__).parents[2] / "models" / "sinusoid"), choose_device(device)
    if device != "cuda":
        write("inner_loop", QUESTION, on_the_cpu(bundle, rounds), keep=keep)
    if chosen.type == "cuda":
        peak, each = peak_of(chosen), operations()
        hardware = f"{describe(chosen)}; rivals on 1 thread of {processor()}"
        limit = {"flop_per_task": each, "peak_float32_flop_per_s": round(peak), "limit_tasks_per_s": round(peak / each)}
        rows = on_a_gpu(bundle, chosen, rounds, most)
        write("inner_loop_cuda", QUESTION, rows, keep=keep, hardware=hardware, **limit)


if __name__ == "__main__":
    typer.run(main)
