"""Episodes of a policy in environments of gymnasium, many side by side."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from innerloop_client.arrays import extra

MAX_SEED = 2**31


class Environment(Protocol):
    """What is needed of a `gymnasium.Env`. Observations are a Box; actions are Discrete, or a Box with bounds."""

    @property
    def action_space(self) -> Any:
        """The space of the actions."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, Any]:
        """Begin an episode. Returns the first observation, and more."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Any]:
        """Act. Returns the next observation, the reward, whether the episode is over or was cut off, and more."""

    def close(self) -> None:
        """Free what the environment has."""


class Episode:
    """An episode: observations before each action, actions as the policy chose them, and the rewards that followed."""

    def __init__(self, environment: Environment, seed: int) -> None:
        self._environment = environment
        self._numpy = extra("numpy", "numpy", "numpy", "An environment")
        self.observations: list[Any] = []
        self.actions: list[Any] = []
        self.rewards: list[float] = []
        self.over = False
        self.observation = self._row(environment.reset(seed=seed)[0])

    def step(self, action: Any) -> None:
        """Act once."""
        observation, reward, terminated, truncated, _ = self._environment.step(self._in_space(action))
        self.observations.append(self.observation)
        self.actions.append(action)
        self.rewards.append(float(reward))
        self.observation, self.over = self._row(observation), bool(terminated or truncated)

    def posted(self) -> dict[str, Any]:
        """The episode as a server takes it."""
        observations, actions = self._numpy.stack(self.observations), self._numpy.stack(self.actions)
        return {"observations": observations, "actions": actions, "rewards": self.rewards}

    def _row(self, observation: Any) -> Any:
        return self._numpy.asarray(observation, "float32").reshape(-1)

    def _in_space(self, action: Any) -> Any:
        """An action as the environment takes it: from the first of its numbers on, or within its bounds."""
        space = self._environment.action_space
        if hasattr(space, "n"):
            return int(action) + int(space.start)
        return self._numpy.clip(action, space.low, space.high).astype(space.dtype)


async def play(
    environments: Sequence[Environment],
    act: Callable[[Any, int], Awaitable[Any]],
    longest: int,
    seeds: random.Random,
) -> list[dict[str, Any]]:
    """An episode in each environment. All act together, until every episode is over or has `longest` steps.

    act: (observations, seed) -> actions
    """
    episodes = [Episode(environment, seeds.randrange(MAX_SEED)) for environment in environments]
    numpy = extra("numpy", "numpy", "numpy", "An environment")
    for _ in range(longest):
        going = [episode for episode in episodes if not episode.over]
        if not going:
            break
        observations = numpy.stack([episode.observation for episode in going])
        for episode, action in zip(going, await act(observations, seeds.randrange(MAX_SEED)), strict=True):
            episode.step(action)
    return [episode.posted() for episode in episodes]
