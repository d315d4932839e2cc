"""The training loop: outer steps on fresh tasks, compiled and `vmap`ped over the tasks."""

import torch
from torch import Tensor
from torch.func import grad_and_value

from app.bundles import Named
from app.errors import TrainingError
from app.families.family import Family
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import Examples, InnerLoop, State, batched
from app.learn.losses import LOSSES, ONE_HOT, Loss
from app.learn.networks import build, initialize, width
from app.learn.outer import Schedule, Tasks
from app.learn.rules import Params
from app.training.recipes.recipe import Recipe
from app.training.schedules import SCHEDULES


def draw_tasks(family: Family, tasks: int, shots: tuple[int, int], queries: int, generator: torch.Generator) -> Tasks:
    """Fresh tasks, each with its own number of support examples from `shots` (both ends included)."""
    least, most = shots
    drawn = family.sample(tasks, most + queries, generator)
    counts = torch.randint(least, most + 1, (tasks, 1), generator=generator, device=generator.device)
    support_mask = torch.arange(most, device=generator.device) < counts
    query_mask = torch.ones(tasks, queries, dtype=torch.bool, device=generator.device)
    return Tasks(
        support=Examples(drawn.inputs[:, :most], drawn.targets[:, :most], support_mask),
        query=Examples(drawn.inputs[:, most:], drawn.targets[:, most:], query_mask),
    )


class Run:
    """One training run: its meta-parameters, optimizer and generator after `step` outer steps.

    `app.training.checkpoints` saves and restores these four, and with them the run continues bit for bit.
    """

    def __init__(self, recipe: Recipe, device: torch.device, *, compiled: bool = True) -> None:
        self.recipe = recipe
        self.device = device
        self.family = make(recipe.family, recipe.family_options)
        self.network = (
            Named(self.family.network.name, self.family.network.options)
            if recipe.network is None
            else Named(recipe.network, recipe.network_options)
        )
        self.algorithm: Algorithm = ALGORITHMS[recipe.algorithm]
        if self.family.kind not in self.algorithm.kinds:
            kinds = " and ".join(sorted(self.algorithm.kinds))
            raise TrainingError(
                f"{recipe.algorithm} is for {kinds}, and {recipe.family} is of the kind {self.family.kind}"
            )
        self.loss: Loss = LOSSES[self.family.kind]
        form = build(self.network.name, self.network.options)
        sizes = self.family.targets, width(form, self.family.features)
        ways = self.family.targets if self.family.kind in ONE_HOT else None
        try:
            self.algorithm.check(form, *sizes)
        except ValueError as error:
            raise TrainingError(f"{recipe.algorithm} on {self.network.name}: {error}") from error

        def inner_at(progress: float) -> InnerLoop[State]:
            return self.algorithm.inner_loop(form, self.loss, grad_and_value, ways, *sizes, progress)

        self.inner = inner_at(1.0)
        self._first = inner_at(0.0)
        """The inner loop while no gradient flows back through its steps' own gradients (`Algorithm.first_order`)."""
        self.inner_steps = (1, 1) if self.algorithm.closed_form else recipe.inner_steps
        """The least and the most inner steps of a task."""

        self.step = 0
        params = initialize(self.network.name, self.network.options, recipe.seed)
        fresh = self.algorithm.initial(form, params, *sizes, recipe.inner_rate, recipe.adapt_steps)
        self.meta: Params = {name: value.to(device) for name, value in fresh.items()}
        outer = self.algorithm.outer
        self.outer_rate = recipe.outer_rate or outer.rate
        self.optimizer = outer.optimizer(self.meta.values(), self.outer_rate)
        self.generator = torch.Generator(device).manual_seed(recipe.seed)
        self._direction = torch.compile(self._find_direction, fullgraph=True) if compiled else self._find_direction

    def advance(self, steps: int) -> float:
        """Take `steps` outer steps; their mean query loss after adapting."""
        total = torch.zeros((), device=self.device)
        for _ in range(steps):
            total += self._outer_step()
        return total.item() / steps

    def _outer_step(self) -> Tensor:
        recipe = self.recipe
        tasks = draw_tasks(self.family, recipe.tasks, recipe.shots, recipe.queries, self.generator)
        least, most = self.inner_steps
        steps = torch.randint(least, most + 1, (recipe.tasks,), generator=self.generator, device=self.device)
        progress = self.step / recipe.outer_steps
        with torch.no_grad():
            # a number would be compiled for each value
            share = torch.tensor(progress, dtype=torch.float32, device=self.device)
            direction, loss = self._direction(self.meta, tasks, steps, share, progress < self.algorithm.first_order)
        for name, value in self.meta.items():
            value.grad = direction[name]
        for group in self.optimizer.param_groups:
            group["lr"] = self.outer_rate * SCHEDULES[recipe.outer_schedule](progress)
        self.optimizer.step()
        self.step += 1
        return loss

    def _find_direction(
        self, meta: Params, tasks: Tasks, steps: Tensor, progress: Tensor, first_order: bool
    ) -> tuple[Params, Tensor]:
        rate = torch.full_like(steps, self.recipe.inner_rate, dtype=torch.float32)
        schedule = Schedule(rate, steps, longest=self.inner_steps[1])
        inner = batched(self._first if first_order else self.inner)
        return self.algorithm.outer.direction(inner, self.loss, meta, tasks, schedule, progress)
