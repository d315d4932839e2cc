"""Training policies on their own decisions: act, adapt, act again, stage by stage, and improve the initialization.

An outer step draws worlds and acts in them with the initialization, adapts to those episodes by the inner loop, acts
with the adapted policies, and so on. It descends minus the return after each stage, as a clipped surrogate loss
(`app.learn.on_policy_losses`), through all inner steps before it. The optimizer's step is then shortened until the
policies are near those that acted: a trust region as in MAML's training by TRPO, but without its second derivatives.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from app.errors import TrainingError, expectation
from app.families.family import Family
from app.families.worlds_protocol import Worlds
from app.learn.inner import Examples, batched
from app.learn.on_policy_losses import ratio_loss, stage_losses
from app.learn.shape_annotations import Float
from app.learn.update_rules import Params
from app.training.data_parallel import Processes
from app.training.family_and_network import weighing_of
from app.training.recipes.recipe import Recipe
from app.training.rollouts import RecordingLearner, run_stages
from app.training.training_run import Run

MAX_SHORTENINGS = 10
"""An outer step that is still too far after this many shortenings is not taken at all."""
AIM, MIN_SHARE = 0.8, 0.1
"""A step is shortened to a little less than should suffice, but never to less than a tenth at once."""
MAX_DECISIONS = 6000
"""Decisions in a fused call, so that their gradients stay in the processor's cache."""


class Acted(NamedTuple):
    """The decisions that an outer step learns from.

    stages: the decisions of each stage
    worth: for each stage but the first, what an advantage of 1 is worth to the return, relative to the mean of all
    """

    stages: Sequence[Examples]
    worth: Float[Tensor, "stage task"]

    def portions(self) -> Iterator["Acted"]:
        """The tasks in portions of a size that is fast."""
        size = max(1, MAX_DECISIONS // max(stage.mask.shape[1] for stage in self.stages))
        for start in range(0, self.worth.shape[1], size):
            part = slice(start, start + size)
            stages = [Examples(*(tensor[part] for tensor in stage[:3])) for stage in self.stages]
            yield Acted(stages, self.worth[:, part])


class OnPolicyRun(Run):
    """A training run that learns from its own decisions. The loss of an outer step is minus the last stage's return."""

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
        """Begin. Raises TrainingError where the family has no worlds to act in, or there are several processes.

        compiled: has no effect; the outer steps are never compiled
        """
        super().__init__(recipe, device, compiled=False, processes=processes, data=data, family=family)
        if not isinstance(self.family, Worlds):
            expected = "a family with worlds to act in"
            raise TrainingError(expectation("--set episodes", expected, recipe.family, "train it without episodes"))
        if processes.count > 1:
            fix = "a policy that is trained by acting trains in one process, so start training without torchrun"
            raise TrainingError(expectation("torchrun", "one process", processes.count, fix))
        self.episodes: int = recipe.episodes or 1
        """Of a task in a stage."""
        self.worlds: Worlds[Any, Any] = self.family
        self.weighing = weighing_of(self.family)
        self._inner = batched(self.algorithm.inner_loop(self.form, ratio_loss))

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
        tasks, generator, stages = self.recipe.tasks, self.generator, self.recipe.stages_at(self.step)
        worlds, learner = self.worlds.draw(tasks, generator), self.learner(tasks, generator)
        *_, last = run_stages(self.worlds, worlds, learner, self.episodes, stages, generator)
        learner.examples(last)
        worth = torch.stack(learner.worth[1:])
        # the mean is 0 where nothing was gained anywhere
        return Acted(learner.stages, worth / worth.mean().clamp(min=1e-8)), -last.returns.mean()

    def learner(self, tasks: int, generator: torch.Generator) -> RecordingLearner:
        """A learner for so many worlds that starts from the meta-parameters as they are."""
        return RecordingLearner(
            self._inner,
            self.meta,
            tasks,
            generator,
            actions=self.family.targets,
            rate=self.recipe.inner_rate,
            steps=self.adapt_steps,
            weighing=self.weighing,
            max_decisions=self.recipe.decisions,
        )

    def _judge(self, meta: Params, acted: Acted) -> tuple[Tensor, Tensor]:
        """Loss and divergence, averaged over the stages and summed over the tasks.

        The loss is in returns: each advantage is multiplied by its worth. Otherwise a stage that has little left to
        gain would count as much as one that has everything to gain.
        """
        rate = torch.full((acted.worth.shape[1],), self.recipe.inner_rate, device=self.device)
        result = stage_losses(self._inner, meta, acted.stages, rate, self.adapt_steps, self.recipe.ratio)
        return (acted.worth * result.loss).mean(0).sum(), result.divergence.mean(0).sum()

    def _gradient(self, acted: Acted) -> Params:
        """The gradient of the mean loss."""
        tasks, total = acted.worth.shape[1], {name: torch.zeros_like(value) for name, value in self.meta.items()}
        for part in acted.portions():
            gradient, _ = grad_and_value(partial(self._judge, acted=part), has_aux=True)(self.meta)
            for name, value in gradient.items():
                total[name] += value.detach() / tasks
        return total

    @torch.no_grad()
    def divergence(self, acted: Acted) -> float:
        """How far the policies are from those that acted, in nats a decision."""
        return sum(self._judge(self.meta, part)[1].item() for part in acted.portions()) / acted.worth.shape[1]

    @torch.no_grad()
    def _stay_near(self, before: Params, acted: Acted) -> None:
        """Shorten the latest step until the policies are near enough. A divergence that is not finite is too far."""
        for _ in range(MAX_SHORTENINGS):
            excess = self.divergence(acted) / self.recipe.divergence
            if excess <= 1:
                return
            # the divergence grows with the square of a short step
            share = max(MIN_SHARE, AIM * excess**-0.5) if math.isfinite(excess) else MIN_SHARE
            for name, value in self.meta.items():
                value.copy_(before[name] + share * (value - before[name]))
        for name, value in self.meta.items():
            value.copy_(before[name])
