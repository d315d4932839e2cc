"""Worlds that can be acted in: where a family of decisions has its episodes from.

A family that offers `Worlds` beside `Family` can be trained on its own decisions and tried in a closed loop. All
episodes of all tasks go on side by side, so that one call of the policy decides for all of them. A policy is compared
with the oracle of its worlds where they have one (`HasOracle`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from app.families.family import Split
from app.learn.shapes import Bool, Float

T = TypeVar("T")
S = TypeVar("S")


class Episodes(NamedTuple):
    """What came of acting: before each action what was observed, and then what it brought.

    actions: one-hot, or numbers as the policy drew them, before a world clips them
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
    """A distribution of worlds. T: some of them, which are tasks; S: the state of all episodes in them."""

    @property
    def longest(self) -> int:
        """The most steps of an episode."""

    def draw(self, tasks: int, generator: torch.Generator, split: Split = "training") -> T:
        """So many worlds."""

    def reset(self, worlds: T, episodes: int, generator: torch.Generator) -> S:
        """So many episodes in each world, at their beginning."""

    def observe(self, state: S) -> Float[Tensor, "task episode feature"]:
        """What is seen in each episode."""

    def step(
        self, state: S, actions: Float[Tensor, "task episode action"]
    ) -> tuple[S, Float[Tensor, "task episode"], Bool[Tensor, "task episode"]]:
        """Act once in each episode: the states after that, the rewards, and which episodes are over.

        An episode that is over stays so, whatever is done in it; what it rewards then is not looked at.
        """


Policy = Callable[
    [Float[Tensor, "task episode feature"], Bool[Tensor, "task episode"]], Float[Tensor, "task episode action"]
]
"""(what is seen in each episode, which go on) -> what is done there, one-hot or numbers; anything where it is over."""


@runtime_checkable
class HasOracle(Protocol):
    """Worlds whose best policy is known to whoever knows the tasks."""

    def oracle(self, worlds: Any) -> Policy:
        """The policy of someone who knows these worlds."""


def collect(worlds: Worlds[Any, S], state: S, policy: Policy) -> Episodes:
    """Act until all episodes are over, or as long as they may be."""
    records: tuple[list[Tensor], ...] = ([], [], [], [])
    seen = worlds.observe(state)
    going = torch.ones(seen.shape[:-1], dtype=torch.bool, device=seen.device)
    for _ in range(worlds.longest):
        actions = policy(seen, going)
        state, rewards, over = worlds.step(state, actions)
        for record, value in zip(records, (seen, actions, rewards, going), strict=True):
            record.append(value)
        seen, going = worlds.observe(state), going & ~over
        if not going.any():
            break
    return Episodes(*(torch.stack(record, 2) for record in records))
