"""Worlds that policies act in.

A family that implements `Worlds` beside `Family` can be trained on its own decisions and evaluated in a closed loop.
All episodes of all tasks run side by side, so one call of the policy decides for all of them. A policy is compared with
the oracle of its worlds where they have one (`HasOracle`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from app.families.family import Split
from app.learn.shape_annotations import Bool, Float

T = TypeVar("T")
S = TypeVar("S")


class Episodes(NamedTuple):
    """Episodes of a batch of tasks.

    observations: before each action
    actions: one-hot, or numbers as the policy drew them, before a world clips them
    rewards: after each action
    mask: false where an episode was over
    """

    observations: Float[Tensor, "task episode time feature"]
    actions: Float[Tensor, "task episode time action"]
    rewards: Float[Tensor, "task episode time"]
    mask: Bool[Tensor, "task episode time"]

    @property
    def returns(self) -> Float[Tensor, "task episode"]:
        """The sum of the rewards of each episode."""
        return self.rewards.where(self.mask, 0.0).sum(-1)


@runtime_checkable
class Worlds(Protocol[T, S]):
    """A distribution of worlds. T: a batch of worlds, which are tasks; S: the state of all episodes in them."""

    @property
    def longest(self) -> int:
        """The maximum number of steps of an episode."""

    def draw(self, tasks: int, generator: torch.Generator, split: Split = "training") -> T:
        """Draw that many worlds."""

    def reset(self, worlds: T, episodes: int, generator: torch.Generator) -> S:
        """Begin that many episodes in each world."""

    def observe(self, state: S) -> Float[Tensor, "task episode feature"]:
        """The observation in each episode."""

    def step(
        self, state: S, actions: Float[Tensor, "task episode action"]
    ) -> tuple[S, Float[Tensor, "task episode"], Bool[Tensor, "task episode"]]:
        """Act once in each episode. Returns the states after that, the rewards, and which episodes are over.

        An episode that is over stays over, whatever the action; its rewards are ignored.
        """


Policy = Callable[
    [Float[Tensor, "task episode feature"], Bool[Tensor, "task episode"]], Float[Tensor, "task episode action"]
]
"""(observations, which episodes go on) -> actions, one-hot or numbers; they are ignored where an episode is over."""


@runtime_checkable
class HasOracle(Protocol):
    """Worlds whose best policy can be computed from the tasks."""

    def oracle(self, worlds: Any) -> Policy:
        """The policy that is told which worlds these are."""


def collect(worlds: Worlds[Any, S], state: S, policy: Policy) -> Episodes:
    """Act until all episodes are over, or for the maximum number of steps."""
    records: tuple[list[Tensor], ...] = ([], [], [], [])
    observations = worlds.observe(state)
    going = torch.ones(observations.shape[:-1], dtype=torch.bool, device=observations.device)
    for _ in range(worlds.longest):
        actions = policy(observations, going)
        state, rewards, over = worlds.step(state, actions)
        for record, value in zip(records, (observations, actions, rewards, going), strict=True):
            record.append(value)
        observations, going = worlds.observe(state), going & ~over
        if not going.any():
            break
    return Episodes(*(torch.stack(record, 2) for record in records))
