"""Episodes of a policy in environments of gymnasium, many side by side."""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from innerloop_client.arrays import extra
from innerloop_client.environment_values import read_end, read_observation, read_reward, stacked, values_of
from innerloop_client.errors import UnsupportedInput

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
        observation, _ = values_of("reset", _reset(environment, seed), 2)
        self.observation = read_observation(self._numpy, observation)

    def step(self, action: Any) -> None:
        """Act once."""
        self.observations.append(self.observation)
        self.actions.append(self._numpy.array(action))
        result = self._environment.step(self._in_space(action))
        observation, reward, terminated, truncated, _ = values_of("step", result, 5)
        self.rewards.append(read_reward(reward))
        ends = [read_end("terminated", terminated), read_end("truncated", truncated)]
        self.observation = read_observation(self._numpy, observation, len(self.observation))
        self.over = any(ends)

    def posted(self) -> dict[str, Any]:
        """The episode as a server takes it."""
        observations, actions = self._numpy.stack(self.observations), self._numpy.stack(self.actions)
        return {"observations": observations, "actions": actions, "rewards": self.rewards}

    def _in_space(self, action: Any) -> Any:
        """An action as the environment takes it: from the first of its numbers on, or within its bounds."""
        space, form = self._environment.action_space, self._numpy.shape(action)
        if hasattr(space, "n") and hasattr(space, "start") and not form and action < space.n:
            return int(action) + int(space.start)
        if hasattr(space, "low") and form == (self._numpy.size(space.low),):
            if self._numpy.dtype(space.dtype).kind != "f":
                fix = "wrap the environment in one with a Box of floats, whose `step` rounds the action"
                raise UnsupportedInput(f"action_space: expected a Box of floats, got {space}: {fix}")
            return self._numpy.clip(action.reshape(space.shape), space.low, space.high).astype(space.dtype)
        expected = f"a Box of {form[0]} numbers" if form else _actions_of(space, int(action))
        raise UnsupportedInput(f"action_space: expected {expected}, as the model chooses them, got {space}")


def _actions_of(space: Any, action: int) -> str:
    """What is expected of a space that does not have this action."""
    return f"Discrete with at least {action + 1} actions" if hasattr(space, "n") else "Discrete"


def make_all(make_env: Callable[[], Environment], count: int, stack: ExitStack) -> list[Environment]:
    """New environments, which the stack closes. Raises UnsupportedInput."""
    if not callable(make_env):
        actual = type(make_env).__name__
        raise UnsupportedInput(f"make_env: expected a function that makes an environment, got {actual}")
    environments: list[Environment] = []
    for _ in range(count):
        created = make_env()
        if not all(hasattr(created, method) for method in ("reset", "step", "close")):
            raise UnsupportedInput(f"make_env: expected a function that makes an environment, it made {created!r}")
        if any(_inner(created) is _inner(each) for each in environments):
            raise UnsupportedInput("make_env: expected a new environment from each call, got the same one again")
        environments.append(created)
        stack.callback(created.close)
    return environments


def _inner(environment: Any) -> Any:
    """An environment without its wrappers."""
    return getattr(environment, "unwrapped", environment)


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
        observations = stacked(numpy, [episode.observation for episode in going])
        for episode, action in zip(going, await act(observations, seeds.randrange(MAX_SEED)), strict=True):
            episode.step(action)
    return [episode.posted() for episode in episodes]


def _reset(environment: Environment, seed: int) -> Any:
    """Begin an episode. Raises UnsupportedInput for an environment that takes no seed."""
    try:
        return environment.reset(seed=seed)
    except TypeError as error:
        if "reset() got an unexpected keyword argument 'seed'" not in str(error):
            raise
        raise UnsupportedInput("reset: expected a method that takes `seed`, as in gymnasium: add seed=None") from error
