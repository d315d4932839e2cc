"""The training loop: outer steps on fresh tasks, compiled and `vmap`ped over the tasks."""

import torch
from torch import Tensor
from torch.func import grad_and_value

from app.bundles import Named
from app.errors import TrainingError
from app.families.family import Family, Split
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import Examples, InnerLoop, State, batched
from app.learn.losses import LOSSES, ONE_HOT, Loss
from app.learn.networks import build, initialize, width
from app.learn.outer import Schedule, Tasks
from app.learn.rules import Params
from app.training.recipes.recipe import Recipe


def draw_tasks(
    family: Family,
    tasks: int,
    shots: tuple[int, int],
    queries: int,
    generator: torch.Generator,
    *,
    ways: tuple[int, int] | None = None,
    split: Split = "training",
) -> Tasks:
    """Fresh tasks, each with its own number of support examples from `shots` (both ends included).

    ways: the least and the most classes of a task, and each task draws its own number; shots and queries are then of
        each class. The tasks are as wide as the most: the columns of classes that a task does not have are padding.
    """
    (least, most), (fewest, widest) = shots, ways or (1, 1)
    drawn = family.sample(tasks, most + queries, generator, widest if ways else None, split)
    counts = torch.randint(least, most + 1, (tasks, 1), generator=generator, device=generator.device)
    turn = torch.arange((most + queries) * widest, device=generator.device)
    mask = torch.ones(tasks, len(turn), dtype=torch.bool, device=generator.device)
    if fewest < widest:
        classes = torch.randint(fewest, widest + 1, (tasks, 1), generator=generator, device=generator.device)
        mask = turn % widest < classes
    shown = mask & ((turn // widest < counts) | (turn >= most * widest))
    first, rest = slice(most * widest), slice(most * widest, None)
    return Tasks(*(Examples(drawn.inputs[:, part], drawn.targets[:, part], shown[:, part]) for part in (first, rest)))


class Run:
    """One training run: its meta-parameters, optimizer and generator after `step` outer steps.

    `app.training.checkpoints` saves and restores these four, and with them the run continues bit for bit.
    """

    def __init__(self, recipe: Recipe, device: torch.device, *, compiled: bool = True) -> None:
        self.recipe = recipe
        self.device = device
        self.family = make(recipe.family, recipe.family_options)
        self.network = Named(self.family.network.name, self.family.network.options)
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
        self.inner: InnerLoop[State] = self.algorithm.inner_loop(form, self.loss, grad_and_value, ways, *sizes)
        self.inner_steps = (1, 1) if self.algorithm.closed_form else recipe.inner_steps
        """The least and the most inner steps of a task."""

        self.step = 0
        params = initialize(self.network.name, self.network.options, recipe.seed)
        fresh = self.algorithm.initial(form, params, *sizes, recipe.inner_rate, recipe.adapt_steps)
        self.meta: Params = {name: value.to(device) for name, value in fresh.items()}
        outer = self.algorithm.outer
        self.optimizer = outer.optimizer(self.meta.values(), recipe.outer_rate or outer.rate)
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
        with torch.no_grad():
            direction, loss = self._direction(self.meta, tasks, steps)
        for name, value in self.meta.items():
            value.grad = direction[name]
        self.optimizer.step()
        self.step += 1
        return loss

    def _find_direction(self, meta: Params, tasks: Tasks, steps: Tensor) -> tuple[Params, Tensor]:
        rate = torch.full_like(steps, self.recipe.inner_rate, dtype=torch.float32)
        schedule = Schedule(rate, steps, longest=self.inner_steps[1])
        return self.algorithm.outer.direction(batched(self.inner), self.loss, meta, tasks, schedule)
