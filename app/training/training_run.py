"""A training run: outer steps on fresh tasks, compiled and `vmap`ped over the tasks."""

from pathlib import Path
from types import FunctionType, MethodType

import torch
from torch import Tensor
from torch.func import grad_and_value

from app.bundles.bundle import Bundle
from app.bundles.file_names import MANIFEST
from app.bundles.folder import load
from app.bundles.manifest import Bounds, FamilySpec, Manifest
from app.errors import BundleError, TrainingError, expectation
from app.families.family import Family, HasLabelNames, HasMeanings
from app.learn import losses
from app.learn.inner import InnerLoop, Schedule, State, batch_of_one, batched
from app.learn.networks import NetworkSpec, initialize
from app.learn.outer_directions import Tasks, clip_norm, multi_step
from app.learn.update_rules import Params
from app.plugins import user_code
from app.training.data_parallel import Processes
from app.training.early_stopping import Best, better_of
from app.training.family_and_network import (
    IN_A_RECIPE,
    build_network,
    encoder_of,
    find_algorithm,
    fit_network,
    make_family,
    schema_of,
)
from app.training.prediction_kinds import KINDS
from app.training.recipes.recipe import Recipe
from app.training.target_statistics import learn_targets
from app.training.tasks import draw_tasks


def channels_last(meta: Params) -> Params:
    """The same parameters with the channels of convolution kernels last: twice as fast on a CPU."""
    return {
        name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in meta.items()
    }


class Run:
    """One training run: its meta-parameters, optimizer and generator after `step` outer steps, and the best so far.

    `app.training.checkpoints` saves and restores these, so that a run continues bit for bit.
    `app.training.train_to_end.make_run` makes the run that a recipe asks for.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        *,
        compiled: bool = True,
        processes: Processes = Processes(),  # noqa: B008 (frozen)
        data: Path | None = None,
        family: Family | None = None,
    ) -> None:
        """Begin. Raises TrainingError where the parts of the recipe do not fit each other.

        data: the folder of the family's data set, if the family reads one
        family: that of the recipe, if it is made already, as for a table that is in memory
        """
        self.recipe = recipe
        self.device = device
        self.processes = processes
        self.family = make_family(recipe.family, recipe.family_options, data) if family is None else family
        self.network = (
            self.family.network if recipe.network is None else NetworkSpec(recipe.network, recipe.network_options)
        )
        self.algorithm = find_algorithm(recipe.algorithm, self.family.kind)
        self.loss: losses.Loss = losses.KINDS[self.family.kind].loss
        self._check_network()
        try:
            self.form, self.width = fit_network(self.network, self.algorithm, schema_of(self.family), self.family.kind)
        except TrainingError as error:
            name = self.network.name
            expected = f"an algorithm that can adapt the network {name!r}"
            raise TrainingError(expectation("--algorithm", expected, f"{recipe.algorithm}: {error}")) from error
        self.targets = learn_targets(self.family, recipe.shots[1] + recipe.queries, scale=recipe.scale_targets)
        """What the targets mean, and what they are standardised by, if they are."""
        self.ways = KINDS[self.family.kind].training_ways(recipe, self.family)
        """The smallest and the largest number of classes of a task, where there are classes."""
        max_ways, sizes = self.ways[1] if self.ways else None, (self.family.targets, self.width)

        def inner_at(progress: float) -> InnerLoop[State]:
            return self.algorithm.inner_loop(self.form, self.loss, grad_and_value, max_ways, *sizes, progress)

        self.inner = inner_at(1.0)
        self._first = inner_at(0.0)
        """The inner loop early in training, where fewer gradients may flow back (`Algorithm.first_order`)."""
        self.inner_steps = (1, 1) if self.algorithm.closed_form else recipe.inner_steps
        """The smallest and the largest number of inner steps of a task."""
        if self.algorithm.outer is multi_step and self.inner_steps[1] == 0:
            expected = f"at least 1 step for the algorithm {recipe.algorithm}"
            raise TrainingError(
                expectation("--set inner_steps", expected, list(self.inner_steps), "raise its upper end")
            )
        self.adapt_steps = 1 if self.algorithm.closed_form else recipe.adapt_steps
        """The default steps of the bundle."""

        self.step = 0
        self.seconds = 0.0
        """Time spent so far, as measured by the caller of `advance`."""
        self.best: Best | None = None
        params = self._first_parameters()
        initial = self.algorithm.initial_meta(self.form, params, *sizes, recipe.inner_rate, recipe.adapt_steps)
        self.meta: Params = {name: value.to(device) for name, value in initial.items()}
        outer = self.algorithm.outer
        self.outer_rate = recipe.outer_rate or outer.rate
        try:
            self.optimizer = outer.optimizer(self.meta.values(), self.outer_rate)
        except ValueError as error:
            raise TrainingError(f"--set {error}") from error
        self.generator = torch.Generator(device).manual_seed(recipe.seed)
        self._direction = self._find_direction
        if compiled:
            # torch counts compilations by code object and raises at 9, so each run has a code object of its own
            copy = FunctionType(Run._find_direction.__code__.replace(), globals())
            self._direction = torch.compile(MethodType(copy, self), fullgraph=True)

    def as_bundle(self, name: str = "", initial_loss: float = 0.0) -> Bundle:
        """The meta-parameters as they are, as a bundle, so that a run is evaluated by the same code as a bundle.

        It has no bounds, evaluation, calibration and OOD reference yet.
        """
        recipe = self.recipe
        encoder, arrays = encoder_of(self.family)
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
            encoder=encoder,
            meanings=self.family.meanings if isinstance(self.family, HasMeanings) else None,
            targets=self.targets,
            label_names=self.family.label_names if isinstance(self.family, HasLabelNames) else None,
        )
        return Bundle(name, manifest, self.meta, self.width, arrays)

    def keep_if_best(self, score: float) -> None:
        """Keep the meta-parameters if their score on validation tasks is the best so far."""
        self.keep_if_better(Best(score, self.step, {name: value.clone() for name, value in self.meta.items()}))

    def keep_if_better(self, other: Best) -> None:
        """Keep meta-parameters that another run of this problem and algorithm found, if they are the best so far."""
        self.best = better_of(self.best, other, self.family.kind)

    def take_best(self) -> None:
        """Go back to the best meta-parameters, if there was a validation."""
        if self.best is not None:
            for name, value in self.best.meta.items():
                self.meta[name].copy_(value)

    def advance(self, steps: int) -> float:
        """Take `steps` outer steps and return their mean query loss after adapting.

        It is in the units of the network: that of standardised targets, if the recipe scales them.
        """
        total = torch.zeros((), device=self.device)
        for _ in range(steps):
            total += self._outer_step()
        return total.item() / steps

    def _outer_step(self) -> Tensor:
        recipe = self.recipe
        tasks = draw_tasks(self.family, recipe.tasks, recipe.shots, recipe.queries, self.generator, ways=self.ways)
        if self.targets is not None and self.targets.scale is not None:
            tasks = Tasks(*map(self.targets.scale.standardise_examples, tasks))
        min_steps, max_steps = self.inner_steps
        steps = torch.randint(min_steps, max_steps + 1, (recipe.tasks,), generator=self.generator, device=self.device)
        (tasks, steps), weight = self.processes.share((tasks, steps), recipe.tasks)
        progress = self.step / recipe.outer_steps
        # a tensor, because torch compiles again for each value of a number
        share = torch.tensor(progress, dtype=torch.float32, device=self.device)
        with torch.no_grad():
            direction, loss = self._direction(
                self.meta, tasks, steps, share, self.algorithm.is_first_order_at(progress)
            )
            direction, loss = self.processes.average(direction, loss, weight)
        self._descend(direction)
        self.step += 1
        return loss

    def _descend(self, direction: Params) -> None:
        """Take an optimizer step in that direction."""
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
        if len(steps) == 1:  # a large task is faster without `vmap`, which does not support this order of the channels
            inner, meta = batch_of_one(inner), channels_last(meta)
        else:
            inner = batched(inner)
        mixed = self.recipe.precision != "float32"
        # no cache: it would keep casts that belong to one level of vmap and grad for another
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False):
            direction, loss = self.algorithm.outer.direction(inner, self.loss, meta, tasks, schedule, progress)
        # the optimizer reads parameter, gradient and state side by side
        return {name: value.contiguous() for name, value in direction.items()}, loss

    def _check_network(self) -> None:
        """Raise TrainingError where the network cannot be built, whatever the algorithm."""
        own = dict.fromkeys(IN_A_RECIPE, f"the family {self.recipe.family!r}: network")
        build_network(self.network, self.family.features, IN_A_RECIPE if self.recipe.network else own)

    def _first_parameters(self) -> Params:
        """The parameters of the network that training begins with: fresh ones, or those of the recipe's start.

        Raises TrainingError where the bundle to start from cannot be read or has another network.
        """
        with user_code(f"the network {self.network.name!r}"):
            params = initialize(self.network.name, self.network.options, self.recipe.seed)
        if self.recipe.start is None:
            return params
        start = _load_start(Path(self.recipe.start))
        if start.manifest.network != self.network:
            expected = f"a bundle with the network {self.network.name} of this recipe"
            actual = f"{start.name}, whose network has another name or other options"
            fix = "choose another bundle, or change network and network_options"
            raise TrainingError(expectation("--set start", expected, actual, fix))
        if (start.manifest.target_scale is None) == self.recipe.scale_targets:
            expected = f"a bundle {_with_scale(self.recipe.scale_targets)}, as scale_targets says"
            actual = f"{start.name}, which is {_with_scale(not self.recipe.scale_targets)}"
            raise TrainingError(expectation("--set start", expected, actual, "change scale_targets"))
        return {name: start.meta[name] for name in params}


def _load_start(folder: Path) -> Bundle:
    if not (folder / MANIFEST).is_file():
        fix = "name a folder in your models folder, such as models/sinusoid"
        raise TrainingError(expectation("--set start", "the folder of a bundle", repr(str(folder)), fix))
    try:
        return load(folder)
    except BundleError as error:
        raise TrainingError(f"--set start: {error}") from error


def _with_scale(scale: bool) -> str:
    return "with standardised targets" if scale else "with targets as they are"
