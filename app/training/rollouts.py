"""Acting in worlds and learning from it, stage by stage: training, evaluation and the closed loop go through it."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles import Bundle
from app.families.worlds import Episodes, Worlds, collect
from app.learn.inner import Examples, InnerLoop, Schedule, State, batched, final_states, repeat_state
from app.learn.policies import (
    Weighing,
    advantage_deviation,
    advantages,
    is_gaussian,
    log_likelihood,
    mean_and_deviation,
    weights,
)
from app.learn.shapes import Bool, Float
from app.learn.surrogate import decision_targets
from app.learn.update_rules import Params


def decided(
    outputs: Float[Tensor, "*rows output"], actions: int, generator: torch.Generator
) -> Float[Tensor, "*rows action"]:
    """Actions as the policy draws them. actions: the columns of one."""
    if is_gaussian(outputs.shape[-1], actions):
        mean, deviation = mean_and_deviation(outputs)
        return mean + deviation * torch.randn(mean.shape, generator=generator, device=generator.device)
    drawn = torch.multinomial(outputs.softmax(-1).flatten(0, -2), 1, generator=generator)
    return one_hot(drawn.view(outputs.shape[:-1]), actions).to(outputs.dtype)


class Learner(Protocol):
    """What acts in all tasks at once, and learns from what came of it."""

    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """What it does where that is seen, as its policy draws it. going: as for a `Policy`."""

    def learn(self, episodes: Episodes) -> None:
        """Learn from a stage of episodes, starting from what it has learned of those before."""


def stages(
    worlds: Worlds[Any, Any], drawn: Any, learner: Learner, episodes: int, count: int, generator: torch.Generator
) -> Iterator[Episodes]:
    """Act, learn from it, act again: the episodes before the first of `count` stages, and after each.

    drawn: some of the worlds; generator: of their episodes, where anything in them is left to chance
    """
    for stage in range(count + 1):
        acted = collect(worlds, worlds.reset(drawn, episodes, generator), learner.act)
        yield acted
        if stage < count:
            learner.learn(acted)


class Practice:
    """A learner in this process: the inner loop, started from an initialization in each of a batch of tasks."""

    def __init__(
        self,
        inner: InnerLoop[State],
        meta: Params,
        tasks: int,
        generator: torch.Generator,
        *,
        actions: int,
        rate: float,
        steps: int,
        weighing: Weighing,
    ) -> None:
        """Begin.

        inner: batched; generator: of what is drawn; actions: the columns of an action; rate, steps: of each stage
        """
        self.inner, self.meta, self.generator = inner, meta, generator
        self.rate = torch.full((tasks,), rate, device=generator.device)
        self.state = repeat_state(inner.init(meta), tasks)
        self._actions, self._steps, self._weighing = actions, steps, weighing

    @torch.no_grad()
    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """Draw an action for each."""
        outputs = self.inner.apply(self.meta, self.state, observations)
        return decided(outputs, self._actions, self.generator)

    @torch.no_grad()
    def learn(self, episodes: Episodes) -> None:
        """Take the steps of a stage."""
        data, counts = self.examples(episodes), torch.full_like(self.rate, self._steps, dtype=torch.int64)
        self.state = final_states(self.inner, self.meta, data, Schedule(self.rate, counts, self._steps), self.state)

    def examples(self, episodes: Episodes) -> Examples:
        """The episodes as the inner loop takes them: a row a decision, its weight behind its action."""
        worth = weights(episodes.observations, episodes.rewards, None, episodes.mask, self._weighing)
        targets = torch.cat([episodes.actions, worth.unsqueeze(-1)], -1)
        return Examples(*(part.flatten(1, 2) for part in (episodes.observations, targets, episodes.mask)))


def practice_of(bundle: Bundle, tasks: int, generator: torch.Generator) -> Practice:
    """The bundle as the server runs it, at its defaults."""
    bounds, schema = bundle.manifest.inner_loop, bundle.manifest.schema
    return Practice(
        batched(bundle.inner_loop()),
        bundle.meta,
        tasks,
        generator,
        actions=schema.targets,
        rate=bounds.learning_rate,
        steps=bounds.steps,
        weighing=schema.weighing or Weighing(),
    )


class Recorded(Practice):
    """The same in training: with `app.learn.surrogate.ratio_loss`, and what it learned from is kept, by stage.

    worth: by stage, what a decision's advantage of 1 is worth to a task's return: the deviation of its gains times its
        decisions in an episode
    """

    def __init__(self, *arguments: Any, most: int | None = None, **options: Any) -> None:
        """most: decisions of a stage that a task learns from, drawn at random; all where it is None."""
        super().__init__(*arguments, **options)
        self.stages: list[Examples] = []
        self.worth: list[Float[Tensor, " task"]] = []
        self._most = most

    @torch.no_grad()
    def examples(self, episodes: Episodes) -> Examples:
        """A row a decision, with how likely it was (`app.learn.surrogate`); what all have as padding is left out."""
        found = _drawn(super().examples(episodes), self._most, self.generator)
        actions, worth = found.targets[..., :-1], found.targets[..., -1]
        likely = log_likelihood(self.inner.apply(self.meta, self.state, found.inputs), actions)
        self.stages.append(found._replace(targets=decision_targets(actions, likely, worth)))
        gained = advantages(episodes.observations, episodes.rewards, episodes.mask, self._weighing)
        self.worth.append(
            advantage_deviation(gained, episodes.mask) * episodes.mask.sum((1, 2)) / episodes.mask.shape[1]
        )
        return self.stages[-1]


def _drawn(data: Examples, most: int | None, generator: torch.Generator) -> Examples:
    """At most so many examples of each task, drawn at random; none of them padding where a task has enough."""
    longest = int(data.mask.sum(1).max())
    lot = torch.rand(data.mask.shape, generator=generator, device=generator.device).where(data.mask, -1.0)
    chosen = lot.topk(longest if most is None else min(longest, most), dim=1).indices

    def of(part: Float[Tensor, "task example number"]) -> Float[Tensor, "task chosen number"]:
        return part.gather(1, chosen.unsqueeze(-1).expand(-1, -1, part.shape[-1]))

    return Examples(of(data.inputs), of(data.targets), data.mask.gather(1, chosen))
