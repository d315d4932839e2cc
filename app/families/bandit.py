"""Bandit: which of a few offers a user clicks on, learned from the log of another policy."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from app.families.decision_log import DecisionLog
from app.families.family import Description, Samples, Split
from app.learn.decision_weights import Weighing
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shape_annotations import Float

WORLD_SEED = 0
"""Of what all users share: the effect of a context on each arm, and the mean taste."""


@dataclass(frozen=True)
class Bandit:
    """A task is a user with a taste u of `rank` dimensions, which drifts from decision to decision.

    A context is x ~ N(0, I). Arm a is clicked with the probability sigmoid(x' V_a u + b_a); V and b are the same for
    all users. At first u ~ N(m, I). At each decision u moves by `drift` of its standard deviations, and keeps its
    variance. The logging policy takes the best arm for the mean taste m, and with the probability `exploration` a
    random arm.

    arms, features, rank: how many of each
    """

    arms: int = 5
    features: int = 6
    rank: int = 3
    drift: float = 0.05
    exploration: float = 0.5
    kind = "decision"
    actions = Actions()
    weighing = Weighing(discount=0.0, ridge=100.0)
    description = Description(
        purpose="chooses the offer that a user is most likely to click on, after a few decisions of another policy "
        "about that user. Use it to try learning from logged decisions.",
        not_for="Real users: tastes and clicks are simulated.",
        data="Users drawn at random, without a data set. Validation and test tasks are drawn in the same way, so the "
        "scores say nothing about other users.",
    )

    def __post_init__(self) -> None:
        if not 0 < self.exploration <= 1:
            raise ValueError(
                f"exploration: expected a number above 0 and at most 1, so that each action has a propensity, got "
                f"{self.exploration}"
            )
        if not 0 <= self.drift < 1:
            raise ValueError(f"drift: expected a number from 0 to below 1, got {self.drift}")

    @property
    def targets(self) -> int:
        """One column for each arm."""
        return self.arms

    @property
    def network(self) -> NetworkSpec:
        """A perceptron with a logit for each arm."""
        options = {"inputs": self.features, "outputs": self.arms, "hidden": [32, 32], "activation": "tanh"}
        return NetworkSpec("mlp", options)

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw users, and a log of each. A decision is weighed by its reward over its propensity."""
        log = self.log(tasks, examples, generator, split)
        weights = log.rewards / log.propensities
        return Samples(log.observations, torch.cat([log.actions, weights.unsqueeze(-1)], -1))

    def log(self, tasks: int, decisions: int, generator: torch.Generator, split: Split = "training") -> DecisionLog:
        """Draw users, and that many decisions about each. The reward is 1 for a click, else 0."""
        return self.draw(self.tastes(tasks, decisions, generator), generator)[0]

    def tastes(self, tasks: int, decisions: int, generator: torch.Generator) -> Float[Tensor, "task decision rank"]:
        """Draw users: their tastes at each of that many decisions."""
        noise = torch.randn((tasks, decisions, self.rank), generator=generator, device=generator.device)
        return _world(self, generator.device).mean + self._drift(noise)

    def draw(
        self, tastes: Float[Tensor, "task decision rank"], generator: torch.Generator
    ) -> tuple[DecisionLog, Float[Tensor, "task decision action"]]:
        """Draw a log of these users, with the true probability of a click on every arm."""
        tasks, decisions, device = *tastes.shape[:2], generator.device
        contexts = torch.randn((tasks, decisions, self.features), generator=generator, device=device)
        chances, logging = _world(self, device).logits(contexts, tastes).sigmoid(), self.logging(contexts)
        arm = torch.multinomial(logging.flatten(0, 1), 1, generator=generator).reshape(tasks, decisions)
        actions = torch.nn.functional.one_hot(arm, self.arms).to(chances.dtype)
        clicked = torch.rand((tasks, decisions), generator=generator, device=device)
        rewards = (clicked < (actions * chances).sum(-1)).to(chances.dtype)
        return DecisionLog(contexts, actions, rewards, (actions * logging).sum(-1)), chances

    def logging(self, contexts: Float[Tensor, "task decision feature"]) -> Float[Tensor, "task decision action"]:
        """The probability of each arm under the logging policy."""
        world = _world(self, contexts.device)
        best = world.logits(contexts, world.mean.expand(*contexts.shape[:2], -1)).argmax(-1)
        greedy = torch.nn.functional.one_hot(best, self.arms).to(contexts.dtype)
        return self.exploration / self.arms + (1 - self.exploration) * greedy

    def _drift(self, noise: Float[Tensor, "task decision rank"]) -> Float[Tensor, "task decision rank"]:
        """Deviations from the mean taste, each computed from the one before."""
        tastes = [noise[:, 0]]
        for step in noise[:, 1:].unbind(1):
            tastes.append((1 - self.drift**2) ** 0.5 * tastes[-1] + self.drift * step)
        return torch.stack(tastes, 1)


class _World(NamedTuple):
    """What all users share. effects: V; bias: b; mean: m."""

    effects: Float[Tensor, "action feature rank"]
    bias: Float[Tensor, " action"]
    mean: Float[Tensor, " rank"]

    def logits(
        self, contexts: Float[Tensor, "task decision feature"], tastes: Float[Tensor, "task decision rank"]
    ) -> Float[Tensor, "task decision action"]:
        return torch.einsum("tdf,afr,tdr->tda", contexts, self.effects, tastes) + self.bias


def _world(family: Bandit, device: torch.device) -> _World:
    generator = torch.Generator().manual_seed(WORLD_SEED)
    shapes = (family.arms, family.features, family.rank), (family.arms,), (family.rank,)
    effects, bias, mean = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    return _World(effects / family.rank**0.5, bias / 2 - 1, mean)


family = Bandit
