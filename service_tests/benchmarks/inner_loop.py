"""How many tasks a second does the inner loop adapt, beside `deepcopy` + SGD and beside TorchOpt?

Sinusoid MLP 1-40-40-1, 10 examples, 5 steps, one thread. All begin with tensors and end with the fast weights and the
six losses, before the first step and after each. Ours is the masked, compiled step that the server runs, in fused calls
of the same size; the rivals adapt one task after another, as they are designed to. The last rows measure all that the
engine does for a batch, with all the programs that a server compiles: from numpy arrays through padding to the status
of each task.

On a GPU the tensors begin there, the losses end on the CPU, and one call adapts all tasks. `share_of_peak` compares the
tasks a second with the arithmetic limit of the card: its float32 peak, divided by the floating-point operations of a
task.
"""

import copy
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn

from app.bundles.bundle import Bundle
from app.bundles.folder import load
from app.device import choose_device, describe, keep_freed_memory
from app.learn.inner import Examples, InnerLoop, Schedule, adapt, batched, repeat_state
from app.learn.networks import mlp
from app.service.compiled.compile_models import by_steps, compile_all, compile_steps, compile_unrolled
from app.service.fused_batches import MAX_TASKS
from app.service.health import Health
from app.service.model import Model
from app.service.task import Task
from service_tests.benchmarks.ratios import with_interval
from service_tests.benchmarks.report import PROCESSOR, seconds_each, write
from service_tests.processes import MAML

SHOTS, STEPS, RATE = 10, 5, 0.01
WIDTHS = (1, 40, 40, 1)
QUESTION = f"Tasks a second of the inner loop: {SHOTS} examples, {STEPS} steps, MLP 1-40-40-1"
GPU_SIZES = (64, 256, 4096, 65_536)
"""Tasks in one call on a GPU."""
ENGINE_SIZES = (64, 256, 4096)
"""Tasks in one batch of the engine on a GPU."""
LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128, (8, 7): 128, (8, 9): 128, (9, 0): 128}
"""float32 multiply-adds a clock of a multiprocessor, by compute capability: CUDA C++ Programming Guide, table of
arithmetic throughput. An H100 SXM does 132 x 128 x 2 operations at 1.98 GHz, the 67 TFLOP/s of its datasheet."""


def rivals(bundle: Bundle) -> dict[str, Callable[[], object]]:
    """Functions that adapt the bundle's initialization to one task on the CPU, by `deepcopy` + SGD and by TorchOpt."""
    network = mlp(1, 1)
    network.load_state_dict(bundle.meta)
    support = sinusoids(1)[1]
    x, y = support.inputs[0], support.targets[0]
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


def sinusoids(count: int) -> tuple[list[Task], Examples]:
    """Tasks, as the engine takes them and as the inner loop does."""
    x = np.random.default_rng(0).uniform(-5, 5, (count, SHOTS, 1)).astype(np.float32)
    tasks = [Task(each, np.sin(each), STEPS, RATE) for each in x]
    return tasks, Examples(torch.from_numpy(x), torch.from_numpy(np.sin(x)), torch.ones(x.shape[:2], dtype=torch.bool))


def run_engine(model: Model, tasks: list[Task], size: int) -> None:
    """Do all that the engine does for the first `size` tasks."""
    for start in range(0, size, MAX_TASKS):
        model.adapt(tasks[start : min(start + MAX_TASKS, size)])


def measure_cpu(bundle: Bundle, rounds: int) -> list[dict[str, Any]]:
    """Measure one thread of the CPU; a row for each way."""
    tasks, support = sinusoids(256)
    model = Model(bundle, torch.device("cpu"))
    model.functions = compile_steps(model)

    @torch.no_grad()
    def inner_loop(inner: InnerLoop[Any], size: int) -> None:
        for start in range(0, size, MAX_TASKS):
            some = Examples(*(part[start : min(start + MAX_TASKS, size)] for part in support[:3]))
            rate, steps = torch.full((len(some.mask),), RATE), torch.full((len(some.mask),), STEPS)
            adapt(inner, model.meta, some, Schedule(rate, steps, STEPS))[1].tolist()

    eager = batched(bundle.inner_loop())
    ours = {(f"vmap, eager, {size} tasks", size): partial(inner_loop, eager, size) for size in (2, 256)}
    ours |= {
        (f"served step, {size} tasks", size): partial(inner_loop, model.functions.inner, size)
        for size in (2, 8, 32, 64, 128, 256)
    }
    served = Model(bundle, model.device)
    compile_all([served], model.device, Health())
    ours |= {
        (f"the engine's whole work, {size} task{'s' * (size > 1)}", size): partial(run_engine, served, tasks, size)
        for size in (1, 2, 8, 64, 256)
    }
    return measure(rivals(bundle), ours, rounds)


def measure_gpu(bundle: Bundle, device: torch.device, rounds: int, max_tasks: int) -> list[dict[str, Any]]:
    """Measure a GPU, with up to `max_tasks` tasks in a call; a row for each way."""
    tasks, support = sinusoids(max_tasks)
    model = Model(bundle, device)
    ways = {"vmap, eager": by_steps(model.functions.inner, STEPS)}
    model.functions = compile_steps(model)
    model.functions = compile_unrolled(model)
    if model.compiled:
        ways["compiled steps"] = by_steps(model.functions.inner, STEPS)
    if model.functions.unrolled is not None:
        ways["5 steps as one program"] = model.functions.unrolled
    ours: dict[tuple[str, int], Callable[[], object]] = {}
    with torch.no_grad():
        for size in (size for size in GPU_SIZES if size <= max_tasks):
            some = Examples(*(part[:size].to(device) for part in support[:3]))
            start = repeat_state(model.initial_state, size)
            rate, steps = torch.full((size,), RATE, device=device), torch.full((size,), STEPS, device=device)
            for name, way in ways.items():
                work = partial(way, model.meta, start, some, rate, steps)
                ours[f"{name}, {size} tasks", size] = partial(losses_on_cpu, work)
            # of the last way, in which most is compiled
            if (graph := cuda_graph(work)) is not None:
                ours[f"{name} in a CUDA graph, {size} tasks", size] = graph
    for size in (size for size in ENGINE_SIZES if size <= max_tasks):
        ours[f"the engine's whole work, {size} tasks", size] = partial(run_engine, model, tasks, size)
    baselines, limit = rivals(bundle), peak_flop_per_s(device) / flop_per_task()
    return [
        # the rivals run on the CPU
        row if row["way"] in baselines else row | {"share_of_peak": float(f"{row['tasks_per_s'] / limit:.2g}")}
        for row in measure(baselines, ours, rounds)
    ]


@torch.no_grad()
def losses_on_cpu(work: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Run the work and copy its losses to the CPU, so that it is finished by then."""
    return work()[1].cpu()


def cuda_graph(work: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], torch.Tensor] | None:
    """The same work, captured as a CUDA graph; None where it cannot be captured."""
    side_stream = torch.cuda.Stream()
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side_stream)
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


def flop_per_task() -> int:
    """Floating-point operations of a task: products of matrices and the update, without activations and the loss."""
    products = [before * after for before, after in pairwise(WIDTHS)]
    forward = 2 * sum(products) * SHOTS
    backward = forward + 2 * sum(products[1:]) * SHOTS  # for the weights; for the inputs of all layers but the first
    weights = sum(products) + sum(WIDTHS[1:])
    return STEPS * (forward + backward + 2 * weights) + forward


def peak_flop_per_s(device: torch.device) -> float:
    """The float32 operations that the card can do in a second, outside of its tensor cores."""
    card = torch.cuda.get_device_properties(device)
    return card.multi_processor_count * LANES[card.major, card.minor] * 2 * card.clock_rate * 1e3


def measure(
    baselines: dict[str, Callable[[], object]], ours: Mapping[tuple[str, int], Callable[[], object]], rounds: int
) -> list[dict[str, Any]]:
    """Measure all ways in turn; a row for each. ours: by name and number of tasks; a baseline adapts one task."""
    measured = seconds_each(baselines | {way: work for (way, _), work in ours.items()}, rounds)
    seconds = measured | {way: [each / size for each in measured[way]] for way, size in ours}
    best = seconds[min(baselines, key=lambda way: median(seconds[way]))]
    return [
        {
            "way": way,
            "tasks_per_s": round(1 / median(each)),
            "us_per_task": round(median(each) * 1e6, 1 if median(each) > 1e-6 else 4),
            **with_interval(
                "times_the_best_rival", [rival / own for rival, own in zip(best, each, strict=True)], digits=1
            ),
        }
        for way, each in seconds.items()
    ]


def main(
    device: Annotated[
        str, typer.Option(help="cpu or cuda only, or auto: the CPU, and the GPU if there is one.")
    ] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a quarter of a second for each way.")] = 10,
    max_tasks: Annotated[int, typer.Option(min=64, help="The most tasks in one call on a GPU.")] = GPU_SIZES[-1],
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the server does
    bundle, chosen = load(MAML), choose_device(device)
    if device != "cuda":
        write("inner_loop", QUESTION, measure_cpu(bundle, rounds), keep=keep)
    if chosen.type == "cuda":
        peak, flop = peak_flop_per_s(chosen), flop_per_task()
        hardware = f"{describe(chosen)}; rivals on 1 thread of {PROCESSOR}"
        limit = {"flop_per_task": flop, "peak_float32_flop_per_s": round(peak), "limit_tasks_per_s": round(peak / flop)}
        rows = measure_gpu(bundle, chosen, rounds, max_tasks)
        write("inner_loop_cuda", QUESTION, rows, keep=keep, hardware=hardware, **limit)


if __name__ == "__main__":
    typer.run(main)
