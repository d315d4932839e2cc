"""How long does a training step take, compared with the usual eager loop over tasks and with TorchOpt?

Second-order MAML, 1 inner step, Adam, one thread: on sinusoids (25 tasks of 10 support and 10 query examples), and on
images of 28 x 28 by four convolutions of 64 filters (5 classes, 1 support and 5 query images of each; 32 tasks on a
GPU, 4 on the CPU). On a GPU the results are written beside those of the CPU, with `_cuda` behind their names. All draw
their tasks by the same function, and the time is that of the whole step: draw, adapt, differentiate and update.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Annotated

import torch
import typer
from torch import nn
from torch.func import functional_call

from app.device import choose_device, describe
from app.families.registry import make
from app.learn.networks import find
from app.learn.outer_directions import Tasks
from app.training.recipes.recipe import Recipe
from app.training.tasks import draw_tasks
from app.training.training_run import Run
from service_tests.benchmarks.ratios import with_interval
from service_tests.benchmarks.report import seconds_each, write

SINUSOID = Recipe("sinusoid", shots=(10, 10), tasks=25, inner_rate=0.01)
IMAGES = Recipe(
    "blobs",
    family_options={"features": 28 * 28},
    network="conv",
    network_options={"outputs": 5, "side": 28},
    shots=(1, 1),
    queries=5,
    tasks=32,
    inner_rate=0.01,
)
TASKS_ON_A_CPU = 4
"""Tasks of images in a step: 32 take seconds."""


class Rival:
    """What a loop over tasks needs: a network, its outer optimizer, and tasks."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.family = make(recipe.family, recipe.family_options)
        name, options = self.family.network.name, self.family.network.options
        if recipe.network is not None:
            name, options = recipe.network, recipe.network_options
        self.network: nn.Module = find(name)(**options).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.generator = torch.Generator(device).manual_seed(0)
        classes = self.family.kind == "classification"
        self.loss = nn.functional.cross_entropy if classes else nn.functional.mse_loss
        self.ways = (self.family.targets,) * 2 if classes else None

    def draw(self) -> Tasks:
        """Draw the tasks of a step, as ours are drawn."""
        recipe = self.recipe
        return draw_tasks(self.family, recipe.tasks, recipe.shots, recipe.queries, self.generator, ways=self.ways)

    def descend(self, total: torch.Tensor) -> None:
        """Take the outer step on the sum of the tasks' query losses."""
        self.optimizer.zero_grad()
        (total / self.recipe.tasks).backward()
        self.optimizer.step()


def eager_loop(recipe: Recipe, device: torch.device) -> Callable[[], None]:
    """A step of the loop over tasks with `torch.autograd.grad`."""
    rival = Rival(recipe, device)

    def step() -> None:
        support, query = rival.draw()
        total = torch.zeros((), device=device)
        for task in range(recipe.tasks):
            params: dict[str, torch.Tensor] = dict(rival.network.named_parameters())
            loss = rival.loss(rival.network(support.inputs[task]), support.targets[task])
            gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            fast = {name: old - recipe.inner_rate * g for (name, old), g in zip(params.items(), gradients, strict=True)}
            outputs = functional_call(rival.network, fast, (query.inputs[task],))
            total = total + rival.loss(outputs, query.targets[task])
        rival.descend(total)

    return step


def torchopt_loop(recipe: Recipe, device: torch.device) -> Callable[[], None]:
    """A step of the loop over tasks with TorchOpt's differentiable optimizer."""
    import torchopt  # optional: a GPU machine may lack it

    rival = Rival(recipe, device)
    inner = torchopt.MetaSGD(rival.network, lr=recipe.inner_rate)

    def step() -> None:
        support, query = rival.draw()
        network_start = torchopt.extract_state_dict(rival.network, by="reference")
        inner_start = torchopt.extract_state_dict(inner, by="reference")
        total = torch.zeros((), device=device)
        for task in range(recipe.tasks):
            inner.step(rival.loss(rival.network(support.inputs[task]), support.targets[task]))
            total = total + rival.loss(rival.network(query.inputs[task]), query.targets[task])
            torchopt.recover_state_dict(rival.network, network_start)
            torchopt.recover_state_dict(inner, inner_start)
        rival.descend(total)

    return step


def measure(recipe: Recipe, device: torch.device, rounds: int) -> list[dict[str, object]]:
    """Measure all ways in turn, in one run; a row for each way."""

    def finished(step: Callable[[], object]) -> None:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    eager, compiled = (Run(recipe, device, compiled=compiled) for compiled in (False, True))
    ways: dict[str, Callable[[], object]] = {
        "eager loop over tasks": eager_loop(recipe, device),
        "vmap, eager": partial(eager.advance, 1),
        "vmap, compiled": partial(compiled.advance, 1),
    }
    if find_spec("torchopt") is None:
        print("TorchOpt is left out: torchopt is not installed (make bench does)", file=sys.stderr)
    else:
        ways["TorchOpt"] = torchopt_loop(recipe, device)
    seconds = seconds_each({name: partial(finished, step) for name, step in ways.items()}, rounds)
    loop = seconds["eager loop over tasks"]
    return [
        {
            "way": way,
            "steps_per_s": float(f"{1 / median(each):.4g}"),
            "ms_per_step": round(median(each) * 1e3, 3),
            **with_interval("times_the_loop", [rival / own for rival, own in zip(loop, each, strict=True)], digits=1),
        }
        for way, each in seconds.items()
    ]


def main(
    device: Annotated[
        str, typer.Option(help="cpu or cuda only, or auto: the CPU, and the GPU if there is one.")
    ] = "auto",
    problem: Annotated[str, typer.Option(help="sinusoid or images only, or both.")] = "both",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a quarter of a second for each way.")] = 10,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    chosen = choose_device(device)
    question = "A second-order training step over {} tasks of {}, 1 inner step"
    for where in [chosen] if device == chosen.type else dict.fromkeys((torch.device("cpu"), chosen)):
        on_gpu = where.type == "cuda"
        suffix, hardware = ("_cuda", describe(where)) if on_gpu else ("", "")
        if problem != "images":
            text = question.format(SINUSOID.tasks, "10 + 10 examples")
            rows = measure(SINUSOID, where, rounds)
            write(f"training_step{suffix}", text, rows, keep=keep, hardware=hardware)
        if problem != "sinusoid":
            recipe = IMAGES if on_gpu else dataclasses.replace(IMAGES, tasks=TASKS_ON_A_CPU)
            text = question.format(recipe.tasks, "5 + 25 images, four convolutions of 64 filters")
            rows = measure(recipe, where, rounds)
            write(f"training_step_images{suffix}", text, rows, keep=keep, hardware=hardware)


if __name__ == "__main__":
    typer.run(main)
