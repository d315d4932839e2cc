"""Bandit: which of a few offers a user takes to, by the log of what another policy offered them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from app.families.family import Samples, Split
from app.families.logs import Log
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions, Weighing
from app.learn.shapes import Float

WORLD_SEED = 0
"""Of what all users share: how the arms answer to a context, and the mean taste."""


@dataclass(frozen=True)
class Bandit:
    """A task is a user with a taste u in as many dimensions as `rank`, which drifts from decision to decision.

    A context x ~ N(0, I). The chance that arm a is clicked is sigmoid(x' V_a u + b_a), the same V and b for all.
    u ~ N(m, I) to begin with; then each time u moves by `drift` deviations of its own, and stays as spread.
    The log is of a policy that takes the best arm for the mean taste, and with a probability of `exploration` any arm.

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

    def __post_init__(self) -> None:
        if not 0 < self.exploration <= 1:
            raise ValueError(
                f"exploration is above 0, so that every arm has a propensity, to 1; got {self.exploration}"
            )
        if not 0 <= self.drift < 1:
            raise ValueError(f"drift is from 0 to below 1, got {self.drift}")

    @property
    def targets(self) -> int:
        """The arms."""
        return self.arms

    @property
    def network(self) -> NetworkSpec:
        """A perceptron that gives a logit for each arm."""
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
        """Draw users, and a log of each; a decision counts its reward over its propensity."""
        log = self.log(tasks, examples, generator, split)
        weights = log.rewards / log.propensities
        return Samples(log.observations, torch.cat([log.actions, weights.unsqueeze(-1)], -1))

    def log(self, tasks: int, decisions: int, generator: torch.Generator, split: Split = "training") -> Log:
        """Draw users, and so many decisions about each: the arms, and 1 for a click, else 0."""
        return self.draw(self.tastes(tasks, decisions, generator), generator)[0]

    def tastes(self, tasks: int, decisions: int, generator: torch.Generator) -> Float[Tensor, "task decision rank"]:
        """Draw users: their tastes at each of so many decisions."""
        noise = torch.randn((tasks, decisions, self.rank), generator=generator, device=generator.device)
        return _world(self, generator.device).mean + self._drifted(noise)

    def draw(
        self, tastes: Float[Tensor, "task decision rank"], generator: torch.Generator
    ) -> tuple[Log, Float[Tensor, "task decision action"]]:
        """A log of these users, and what nobody knows of it outside of here: the chance of a click for every arm."""
        tasks, decisions, device = *tastes.shape[:2], generator.device
        contexts = torch.randn((tasks, decisions, self.features), generator=generator, device=device)
        chances, logging = _world(self, device).logits(contexts, tastes).sigmoid(), self.logging(contexts)
        arm = torch.multinomial(logging.flatten(0, 1), 1, generator=generator).reshape(tasks, decisions)
        actions = torch.nn.functional.one_hot(arm, self.arms).to(chances.dtype)
        clicked = torch.rand((tasks, decisions), generator=generator, device=device)
        rewards = (clicked < (actions * chances).sum(-1)).to(chances.dtype)
        return Log(contexts, actions, rewards, (actions * logging).sum(-1)), chances

    def logging(self, contexts: Float[Tensor, "task decision feature"]) -> Float[Tensor, "task decision action"]:
        """How probable each arm is for the policy that logs."""
        world = _world(self, contexts.device)
        best = world.logits(contexts, world.mean.expand(*contexts.shape[:2], -1)).argmax(-1)
        liked = torch.nn.functional.one_hot(best, self.arms).to(contexts.dtype)
        return self.exploration / self.arms + (1 - self.exploration) * liked

    def _drifted(self, noise: Float[Tensor, "task decision rank"]) -> Float[Tensor, "task decision rank"]:
        """Deviations from the mean taste, each from the one before."""
        tastes = [noise[:, 0]]
        for moved in noise[:, 1:].unbind(1):
            tastes.append((1 - self.drift**2) ** 0.5 * tastes[-1] + self.drift * moved)
        return torch.stack(tastes, 1)


class _World(NamedTuple):
    """answers: V; ease: b; mean: m."""

    answers: Float[Tensor, "action feature rank"]
    ease: Float[Tensor, " action"]
    mean: Float[Tensor, " rank"]

    def logits(
        self, contexts: Float[Tensor, "task decision feature"], tastes: Float[Tensor, "task decision rank"]
    ) -> Float[Tensor, "task decision action"]:
        return torch.einsum("tdf,afr,tdr->tda", contexts, self.answers, tastes) + self.ease


def _world(family: Bandit, device: torch.device) -> _World:
    generator = torch.Generator().manual_seed(WORLD_SEED)
    shapes = (family.arms, family.features, family.rank), (family.arms,), (family.rank,)
    answers, ease, mean = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    return _World(answers / family.rank**0.5, ease / 2 - 1, mean)


family = Bandit
