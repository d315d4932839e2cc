"""Acting in worlds and learning from it, stage by stage. Training and evaluation, here or over HTTP, go through it."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from app.bundles.bundle import Bundle
from app.families.worlds_protocol import Episodes, Worlds, collect
from app.learn.decision_weights import Weighing, advantage_deviation, advantages, weights
from app.learn.inner import Examples, InnerLoop, Schedule, State, batched, final_states, repeat_state
from app.learn.on_policy_losses import decision_targets
from app.learn.policies import is_gaussian, log_likelihood, mean_and_deviation
from app.learn.shape_annotations import Bool, Float
from app.learn.update_rules import Params


def sample_actions(
    outputs: Float[Tensor, "*rows output"], actions: int, generator: torch.Generator
) -> Float[Tensor, "*rows action"]:
    """Actions drawn from the policy. outputs: of its network; actions: the columns of an action."""
    if is_gaussian(outputs.shape[-1], actions):
        mean, deviation = mean_and_deviation(outputs)
        return mean + deviation * torch.randn(mean.shape, generator=generator, device=generator.device)
    indices = torch.multinomial(outputs.softmax(-1).flatten(0, -2), 1, generator=generator)
    return one_hot(indices.view(outputs.shape[:-1]), actions).to(outputs.dtype)


class Learner(Protocol):
    """A policy that acts in all tasks at once, and learns from its episodes."""

    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """Draw an action for each observation. going: false where an episode is over, as for a `Policy`."""

    def learn(self, episodes: Episodes) -> None:
        """Learn from a stage of episodes, starting from what was learned from the stages before."""


def run_stages(
    worlds: Worlds[Any, Any], tasks: Any, learner: Learner, episodes: int, stages: int, generator: torch.Generator
) -> Iterator[Episodes]:
    """Act, learn, act again: yields the episodes before the first stage and after each.

    tasks: some of the worlds
    generator: for what is random in the episodes
    """
    for stage in range(stages + 1):
        stage_episodes = collect(worlds, worlds.reset(tasks, episodes, generator), learner.act)
        yield stage_episodes
        if stage < stages:
            learner.learn(stage_episodes)


class LocalLearner:
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

        inner: batched over tasks
        generator: of the actions that are drawn
        actions: the columns of an action
        rate, steps: of each stage
        """
        self.inner, self.meta, self.generator = inner, meta, generator
        self.rate = torch.full((tasks,), rate, device=generator.device)
        self.state = repeat_state(inner.init(meta), tasks)
        self._actions, self._steps, self._weighing = actions, steps, weighing

    @torch.no_grad()
    def act(
        self, observations: Float[Tensor, "task episode feature"], going: Bool[Tensor, "task episode"]
    ) -> Float[Tensor, "task episode action"]:
        """Draw an action for each observation."""
        outputs = self.inner.apply(self.meta, self.state, observations)
        return sample_actions(outputs, self._actions, self.generator)

    @torch.no_grad()
    def learn(self, episodes: Episodes) -> None:
        """Take the inner steps of a stage."""
        data, counts = self.examples(episodes), torch.full_like(self.rate, self._steps, dtype=torch.int64)
        self.state = final_states(self.inner, self.meta, data, Schedule(self.rate, counts, self._steps), self.state)

    def examples(self, episodes: Episodes) -> Examples:
        """The episodes as the inner loop takes them: a row a decision, with the weight behind the action."""
        weight = weights(episodes.observations, episodes.rewards, None, episodes.mask, self._weighing)
        targets = torch.cat([episodes.actions, weight.unsqueeze(-1)], -1)
        return Examples(*(part.flatten(1, 2) for part in (episodes.observations, targets, episodes.mask)))


def local_learner(bundle: Bundle, tasks: int, generator: torch.Generator) -> LocalLearner:
    """A learner that adapts the bundle as the server does, at its defaults."""
    bounds, schema = bundle.manifest.inner_loop, bundle.manifest.schema
    return LocalLearner(
        batched(bundle.inner_loop()),
        bundle.meta,
        tasks,
        generator,
        actions=schema.targets,
        rate=bounds.learning_rate,
        steps=bounds.steps,
        weighing=schema.weighing or Weighing(),
    )


class RecordingLearner(LocalLearner):
    """The learner of training. Its loss is `on_policy_losses.ratio_loss`, and it keeps the examples of each stage.

    stages: the examples of each stage
    worth: by stage, what an advantage of 1 in a decision is worth to a task's return: the deviation of the task's gains
        times its decisions in an episode
    """

    def __init__(self, *arguments: Any, max_decisions: int | None = None, **options: Any) -> None:
        """max_decisions: of a stage, how many each task learns from at most, drawn at random; all if None."""
        super().__init__(*arguments, **options)
        self.stages: list[Examples] = []
        self.worth: list[Float[Tensor, " task"]] = []
        self._max_decisions = max_decisions

    @torch.no_grad()
    def examples(self, episodes: Episodes) -> Examples:
        """A row for each decision with its log-likelihood (`on_policy_losses`), without the padding of all tasks."""
        data = _subsample(super().examples(episodes), self._max_decisions, self.generator)
        actions, weight = data.targets[..., :-1], data.targets[..., -1]
        likelihood = log_likelihood(self.inner.apply(self.meta, self.state, data.inputs), actions)
        self.stages.append(data._replace(targets=decision_targets(actions, likelihood, weight)))
        gained = advantages(episodes.observations, episodes.rewards, episodes.mask, self._weighing)
        self.worth.append(
            advantage_deviation(gained, episodes.mask) * episodes.mask.sum((1, 2)) / episodes.mask.shape[1]
        )
        return self.stages[-1]


def _subsample(data: Examples, max_examples: int | None, generator: torch.Generator) -> Examples:
    """At most so many random examples of each task; none of them is padding where a task has enough."""
    count = int(data.mask.sum(1).max())
    draws = torch.rand(data.mask.shape, generator=generator, device=generator.device).where(data.mask, -1.0)
    chosen = draws.topk(count if max_examples is None else min(count, max_examples), dim=1).indices

    def pick(part: Float[Tensor, "task example number"]) -> Float[Tensor, "task chosen number"]:
        return part.gather(1, chosen.unsqueeze(-1).expand(-1, -1, part.shape[-1]))

    return Examples(pick(data.inputs), pick(data.targets), data.mask.gather(1, chosen))
