"""The training loop: outer steps on fresh tasks, compiled and `vmap`ped over the tasks."""

from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, MethodType

import torch
from torch import Tensor, nn
from torch.func import grad_and_value

from app.bundles import Bounds, Bundle, FamilySpec, Manifest, load
from app.errors import TrainingError
from app.families.family import Family, HasActions, Split
from app.families.logs import Logged
from app.families.registry import make
from app.learn import policies
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import Examples, InnerLoop, Schedule, State, batch_of_one, batched
from app.learn.losses import KINDS, Loss
from app.learn.metrics import SCORES
from app.learn.networks import NetworkSpec, build, initialize, width
from app.learn.outer import Tasks, clip_norm
from app.learn.update_rules import Params
from app.training.logged import logged_tasks
from app.training.problem import schema_of
from app.training.processes import Processes
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
    if isinstance(family, Logged):
        return logged_tasks(family, tasks, shots, queries, generator, split)
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


def channels_last(meta: Params) -> Params:
    """The same parameters, kernels of convolutions with the channels behind: twice as fast on a CPU."""
    return {
        name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in meta.items()
    }


@dataclass(frozen=True)
class Best:
    """The meta-parameters with the best score on validation tasks so far, and after which outer step that was."""

    score: float
    step: int
    meta: Params


class Run:
    """One training run: its meta-parameters, optimizer and generator after `step` outer steps, and the best so far.

    `app.training.checkpoints` saves and restores these, and with them the run continues bit for bit.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        *,
        compiled: bool = True,
        processes: Processes = Processes(),  # noqa: B008 (frozen)
        data: Path | None = None,
    ) -> None:
        """Begin. data: the folder of the family's data set, where it reads one."""
        self.recipe = recipe
        self.device = device
        self.processes = processes
        self.family = make(recipe.family, recipe.family_options, data)
        self.network = (
            self.family.network if recipe.network is None else NetworkSpec(recipe.network, recipe.network_options)
        )
        self.algorithm: Algorithm = ALGORITHMS[recipe.algorithm]
        if self.family.kind not in self.algorithm.kinds:
            kinds = " and ".join(sorted(self.algorithm.kinds))
            raise TrainingError(
                f"{recipe.algorithm} is for {kinds}, and {recipe.family} is of the kind {self.family.kind}"
            )
        self.loss: Loss = KINDS[self.family.kind].loss
        form, sizes = self._sized()
        self.ways = (recipe.ways or (self.family.targets,) * 2) if KINDS[self.family.kind].one_hot else None
        """The least and the most classes of a task, where there are classes."""
        widest = self.ways[1] if self.ways else None

        def inner_at(progress: float) -> InnerLoop[State]:
            return self.algorithm.inner_loop(form, self.loss, grad_and_value, widest, *sizes, progress)

        self.inner = inner_at(1.0)
        self._first = inner_at(0.0)
        """The inner loop at the beginning of training, where less may flow back (`Algorithm.first_order`)."""
        self.inner_steps = (1, 1) if self.algorithm.closed_form else recipe.inner_steps
        """The least and the most inner steps of a task."""
        self.adapt_steps = 1 if self.algorithm.closed_form else recipe.adapt_steps
        """The default steps of the bundle."""

        self.step = 0
        self.seconds = 0.0
        """What it took so far, on the clock of who advances it."""
        self.best: Best | None = None
        params = self._first_parameters()
        fresh = self.algorithm.initial_meta(form, params, *sizes, recipe.inner_rate, recipe.adapt_steps)
        self.meta: Params = {name: value.to(device) for name, value in fresh.items()}
        outer = self.algorithm.outer
        self.outer_rate = recipe.outer_rate or outer.rate
        self.optimizer = outer.optimizer(self.meta.values(), self.outer_rate)
        self.generator = torch.Generator(device).manual_seed(recipe.seed)
        self._direction = self._find_direction
        if compiled:
            # torch counts compilations by code object, and raises at 9: with one of its own no run counts for another
            own = FunctionType(Run._find_direction.__code__.replace(), globals())
            self._direction = torch.compile(MethodType(own, self), fullgraph=True)

    def as_bundle(self, name: str = "", initial_loss: float = 0.0) -> Bundle:
        """The meta-parameters as they are, so that the code that evaluates bundles evaluates a run.

        Bounds, evaluation, calibration and OOD reference are still to come.
        """
        recipe = self.recipe
        manifest = Manifest(
            family=FamilySpec(recipe.family, recipe.family_options),
            network=self.network,
            algorithm=recipe.algorithm,
            kind=self.family.kind,
            schema=schema_of(self.family),
            inner_loop=Bounds(self.adapt_steps, self.adapt_steps, recipe.inner_rate, recipe.inner_rate),
            initial_loss=initial_loss,
            weights_sha256="",
            evaluation={},
            training={},
        )
        return Bundle(name, manifest, self.meta)

    @property
    def finished(self) -> bool:
        """Whether all outer steps are taken, or patience is over."""
        return self.step >= self.recipe.outer_steps or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether too many validations in a row have found nothing better."""
        recipe = self.recipe
        if self.best is None or recipe.patience is None or recipe.validate_every is None:
            return False
        return self.step - self.best.step >= recipe.patience * recipe.validate_every

    def keep_if_best(self, score: float) -> None:
        """Keep the meta-parameters if their score on validation tasks, as SCORES has it, is the best so far."""
        if self.best is None or SCORES[self.family.kind].better(score, self.best.score):
            self.best = Best(score, self.step, {name: value.clone() for name, value in self.meta.items()})

    def take_best(self) -> None:
        """Go back to the best meta-parameters, where validation has found some."""
        if self.best is not None:
            for name, value in self.best.meta.items():
                self.meta[name].copy_(value)

    def advance(self, steps: int) -> float:
        """Take `steps` outer steps; their mean query loss after adapting."""
        total = torch.zeros((), device=self.device)
        for _ in range(steps):
            total += self._outer_step()
        return total.item() / steps

    def _outer_step(self) -> Tensor:
        recipe = self.recipe
        tasks = draw_tasks(self.family, recipe.tasks, recipe.shots, recipe.queries, self.generator, ways=self.ways)
        least, most = self.inner_steps
        steps = torch.randint(least, most + 1, (recipe.tasks,), generator=self.generator, device=self.device)
        (tasks, steps), weight = self.processes.share((tasks, steps), recipe.tasks)
        progress = self.step / recipe.outer_steps
        # a tensor, because code is compiled anew for each value of a number
        share = torch.tensor(progress, dtype=torch.float32, device=self.device)
        with torch.no_grad():
            found = self._direction(self.meta, tasks, steps, share, progress < self.algorithm.first_order)
            direction, loss = self.processes.average(*found, weight)
        self._descend(direction)
        self.step += 1
        return loss

    def _descend(self, direction: Params) -> None:
        """Let the optimizer take a step."""
        if self.recipe.outer_clip is not None:
            direction = clip_norm(direction, self.recipe.outer_clip)
        for name, value in self.meta.items():
            value.grad = direction[name]
        for group in self.optimizer.param_groups:
            group["lr"] = self.outer_rate * self.recipe.rate_factor(self.step)
        self.optimizer.step()

    def _find_direction(
        self, meta: Params, tasks: Tasks, steps: Tensor, progress: Tensor, first_order: bool
    ) -> tuple[Params, Tensor]:
        rate = torch.full_like(steps, self.recipe.inner_rate, dtype=torch.float32)
        schedule = Schedule(rate, steps, max_steps=self.inner_steps[1])
        inner = self._first if first_order else self.inner
        if len(steps) == 1:  # a large task is faster without `vmap`, which does not know this order of the channels
            inner, meta = batch_of_one(inner), channels_last(meta)
        else:
            inner = batched(inner)
        mixed = self.recipe.precision != "float32"
        # no cache: it would keep casts that belong to one level of vmap and grad for another
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False):
            direction, loss = self.algorithm.outer.direction(inner, self.loss, meta, tasks, schedule, progress)
        # the optimizer reads parameter, gradient and memory side by side
        return {name: value.contiguous() for name, value in direction.items()}, loss

    def _first_parameters(self) -> Params:
        """Those of the network. Raises BundleError or TrainingError where those to start from are not there."""
        params = initialize(self.network.name, self.network.options, self.recipe.seed)
        if self.recipe.start is None:
            return params
        theirs = load(Path(self.recipe.start))
        if theirs.manifest.network != self.network:
            raise TrainingError(f"{theirs.name} has another network than {self.network.name}: it cannot be the start")
        return {name: theirs.meta[name] for name in params}

    def _sized(self) -> tuple[nn.Module, tuple[int, int]]:
        """The form of the network; numbers in a target and in an output. Raises TrainingError where it does not fit."""
        try:
            form = build(self.network.name, self.network.options)
            sizes = self.family.targets, width(form, self.family.features)
            self.algorithm.check(form, *sizes, self.family.kind)
            if isinstance(self.family, HasActions):
                policies.check(sizes[1], sizes[0], self.family.actions.is_box)
        except (TypeError, ValueError) as error:
            name = self.network.name
            raise TrainingError(f"{self.recipe.algorithm} on the network {name!r} does not work: {error}") from error
        return form, sizes
