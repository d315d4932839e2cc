"""Training policies on what they do themselves: act, adapt, act again, stage by stage, and move the initialization.

An outer step draws worlds and acts in them with the initialization, adapts to those episodes by the inner loop, acts
with the adapted policies, and so on. What is descended is minus the return after each stage, as a clipped surrogate
(`app.learn.surrogate`), through all the inner steps before it. The optimizer's step is shortened until the policies
are near to those that acted: a trust region as in MAML's training by TRPO, without its second derivatives.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from app.errors import TrainingError
from app.families.worlds import Worlds
from app.learn.inner import Examples, batched
from app.learn.shapes import Float
from app.learn.surrogate import ratio_loss, stage_losses
from app.learn.update_rules import Params
from app.training.loop import Run
from app.training.problem import weighing_of
from app.training.processes import Processes
from app.training.recipes.recipe import Recipe
from app.training.rollouts import Recorded, stages

TRIALS = 10
"""An outer step that is still too far after it was shortened so often is not taken at all."""
AIM, MIN_SHARE = 0.8, 0.1
"""A step is shortened to a little less than what should do, but to no less than a tenth at once."""
AT_ONCE = 6000
"""Decisions in a fused call: their gradients stay in the processor's cache."""


class Acted(NamedTuple):
    """What an outer step learns from.

    stages: the decisions of each; worth: what an advantage of 1 is worth to the return after each stage but the first,
        over the mean of all that
    """

    stages: Sequence[Examples]
    worth: Float[Tensor, "stage task"]

    def portions(self) -> Iterator["Acted"]:
        """The tasks in portions that are fast at once."""
        size = max(1, AT_ONCE // max(stage.mask.shape[1] for stage in self.stages))
        for start in range(0, self.worth.shape[1], size):
            some = slice(start, start + size)
            yield Acted([Examples(*(part[some] for part in stage)) for stage in self.stages], self.worth[:, some])


class OnPolicy(Run):
    """A training run that learns from its own decisions. `loss` of its outer steps is minus the last stage's return."""

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        *,
        compiled: bool = True,
        processes: Processes = Processes(),  # noqa: B008 (frozen)
        data: Path | None = None,
    ) -> None:
        """Begin. Raises TrainingError where the family has no worlds to act in, or there are several processes."""
        super().__init__(recipe, device, compiled=False, processes=processes, data=data)
        if not isinstance(self.family, Worlds):
            raise TrainingError(f"{recipe.family} has no worlds to act in: train it without episodes")
        if processes.count > 1:
            raise TrainingError("a policy that learns from its own decisions is trained by one process")
        self.episodes: int = recipe.episodes or 1
        """Of a task in a stage."""
        self.worlds: Worlds[Any, Any] = self.family
        self.weighing = weighing_of(self.family)
        form, _ = self._sized()
        self._acting = batched(self.algorithm.inner_loop(form, ratio_loss))

    def _outer_step(self) -> Tensor:
        acted, value = self._act()
        before = {name: old.clone() for name, old in self.meta.items()}
        self._descend(self._gradient(acted))
        self._stay_near(before, acted)
        self.step += 1
        return value

    @torch.no_grad()
    def _act(self) -> tuple[Acted, Tensor]:
        """The decisions of each stage, and minus the mean return in the last."""
        tasks, generator, count = self.recipe.tasks, self.generator, self.recipe.stages_at(self.step)
        drawn, learner = self.worlds.draw(tasks, generator), self.learner(tasks, generator)
        *_, last = stages(self.worlds, drawn, learner, self.episodes, count, generator)
        learner.examples(last)
        worth = torch.stack(learner.worth[1:])
        # where nothing has been gained anywhere, there is nothing to divide by
        return Acted(learner.stages, worth / worth.mean().clamp(min=1e-8)), -last.returns.mean()

    def learner(self, tasks: int, generator: torch.Generator) -> Recorded:
        """What acts in so many worlds, from the meta-parameters as they are."""
        return Recorded(
            self._acting,
            self.meta,
            tasks,
            generator,
            actions=self.family.targets,
            rate=self.recipe.inner_rate,
            steps=self.adapt_steps,
            weighing=self.weighing,
            most=self.recipe.decisions,
        )

    def _judged(self, meta: Params, acted: Acted) -> tuple[Tensor, Tensor]:
        """Loss and divergence, over all stages and summed over the tasks.

        The loss is of returns: an advantage counts what it is worth, or a stage that is nearly done counts as much as
        one that has all to gain.
        """
        rate = torch.full((acted.worth.shape[1],), self.recipe.inner_rate, device=self.device)
        found = stage_losses(self._acting, meta, acted.stages, rate, self.adapt_steps, self.recipe.ratio)
        return (acted.worth * found.loss).mean(0).sum(), found.divergence.mean(0).sum()

    def _gradient(self, acted: Acted) -> Params:
        """Of the mean loss."""
        tasks, total = acted.worth.shape[1], {name: torch.zeros_like(value) for name, value in self.meta.items()}
        for part in acted.portions():
            gradient, _ = grad_and_value(partial(self._judged, acted=part), has_aux=True)(self.meta)
            for name, value in gradient.items():
                total[name] += value.detach() / tasks
        return total

    @torch.no_grad()
    def divergence(self, acted: Acted) -> float:
        """How far the policies are from those that acted, in nats a decision."""
        return sum(self._judged(self.meta, part)[1].item() for part in acted.portions()) / acted.worth.shape[1]

    @torch.no_grad()
    def _stay_near(self, before: Params, acted: Acted) -> None:
        """Shorten the step that was taken until it is near enough. What is not finite is not near."""
        for _ in range(TRIALS):
            far = self.divergence(acted) / self.recipe.divergence
            if far <= 1:
                return
            # a divergence grows by the square of a short step
            share = max(MIN_SHARE, AIM * far**-0.5) if math.isfinite(far) else MIN_SHARE
            for name, value in self.meta.items():
                value.copy_(before[name] + share * (value - before[name]))
        for name, value in self.meta.items():
            value.copy_(before[name])
