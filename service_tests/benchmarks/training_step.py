"""How long does a training step take, beside the eager loop that the MAML paper's readers write?

Second-order MAML on sinusoids: 25 tasks of 10 support and 10 query examples, 1 inner step, Adam, one thread. Both draw
their tasks by the same function, and take the whole step: draw, adapt, differentiate, update.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.func import functional_call

from app.families.sinusoid import Sinusoid
from app.learn.networks import mlp
from app.training.loop import Run, draw_tasks
from app.training.recipes.recipe import Recipe
from service_tests.benchmarks.report import seconds_each, write

TASKS, RATE = 25, 0.01


def eager_loop() -> Callable[[], None]:
    """A step of the loop over tasks with `torch.autograd.grad`."""
    network, family = mlp(1, 1), Sinusoid()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    loss_of = nn.functional.mse_loss

    def step() -> None:
        support, query = draw_tasks(family, TASKS, (10, 10), 10, generator)
        optimizer.zero_grad()
        total = torch.zeros(())
        for task in range(TASKS):
            params = dict(network.named_parameters())
            loss = loss_of(network(support.inputs[task]), support.targets[task])
            gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            fast = {name: old - RATE * g for (name, old), g in zip(params.items(), gradients, strict=True)}
            total = total + loss_of(functional_call(network, fast, (query.inputs[task],)), query.targets[task])
        (total / TASKS).backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    recipe = Recipe("sinusoid", shots=(10, 10), tasks=TASKS, inner_rate=RATE)
    eager, compiled = (Run(recipe, torch.device("cpu"), compiled=compiled) for compiled in (False, True))
    seconds = seconds_each(
        {
            "eager loop over tasks": eager_loop(),
            "vmap, eager": partial(eager.advance, 1),
            "vmap, compiled": partial(compiled.advance, 1),
        }
    )
    loop = seconds["eager loop over tasks"]
    rows = [
        {
            "way": way,
            "steps_per_s": round(1 / each),
            "ms_per_step": round(each * 1e3, 3),
            "times_the_loop": round(loop / each, 1),
        }
        for way, each in seconds.items()
    ]
    write("training_step", f"A second-order training step over {TASKS} tasks of 10 + 10 examples, 1 inner step", rows)


if __name__ == "__main__":
    main()
