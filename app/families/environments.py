"""Environments of one's own, as gymnasium has them: `innerloop train --env MODULE:make_env` learns by acting in them.

def make_env(task: int) -> gymnasium.Env:
    return ...  # the task's world, always the same one for the same number
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.errors import DataError
from app.families.family import Samples, Split
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions, Weighing
from app.learn.shapes import Bool, Float

FIRST = {"training": 0, "validation": 1_000_000, "test": 2_000_000}
"""The numbers of the tasks of a split begin here, and go on for a million."""


class Running(NamedTuple):
    """Episodes that go on. environments: [task][episode]; seen: what was observed last; over: which have ended."""

    environments: Sequence[Sequence[Any]]
    seen: Float[Tensor, "task episode feature"]
    over: Bool[Tensor, "task episode"]


@dataclass(frozen=True)
class Environments:
    """The environments that a function makes, one for each number of a task.

    env: MODULE:NAME of the function, whose module can be imported; without it nothing can be asked. Observations are a
        Box, taken as a row of numbers; actions are Discrete, or a Box of one axis with bounds
    longest: the most steps of an episode
    """

    env: str = ""
    longest: int = 200
    discount: float = 0.99
    smoothing: float = 0.95
    kind = "decision"

    def __post_init__(self) -> None:
        assert not self.env or self._example  # what is wrong with it is said now

    @property
    def weighing(self) -> Weighing:
        """What decisions count by what came of them."""
        return Weighing(self.discount, self.smoothing)

    @property
    def features(self) -> int:
        """Numbers in an observation."""
        return int(np.prod(self._example.observation_space.shape))

    @property
    def targets(self) -> int:
        """Discrete actions, or numbers in one."""
        space = self._example.action_space
        return int(space.n) if self._discrete else int(space.shape[0])

    @property
    def actions(self) -> Actions:
        """The bounds of the Box, if it is one."""
        space = self._example.action_space
        return Actions() if self._discrete else Actions(tuple(space.low.tolist()), tuple(space.high.tolist()))

    @property
    def network(self) -> NetworkSpec:
        """A perceptron with a logit for each action, or a Gaussian policy."""
        if self._discrete:
            sizes = {"inputs": self.features, "outputs": self.targets}
            return NetworkSpec("mlp", {**sizes, "hidden": [64, 64], "activation": "tanh"})
        widest = float(np.ptp([self.actions.low, self.actions.high], axis=0).max())
        sizes = {"inputs": self.features, "actions": self.targets}
        return NetworkSpec("gaussian_mlp", {**sizes, "hidden": [64, 64], "deviation": widest / 2})

    def draw(self, tasks: int, generator: torch.Generator, split: Split = "training") -> list[int]:
        """Numbers of tasks."""
        found = torch.randint(1_000_000, (tasks,), generator=generator, device=generator.device) + FIRST[split]
        return [int(number) for number in found.tolist()]

    def reset(self, worlds: Sequence[int], episodes: int, generator: torch.Generator) -> Running:
        """Make each environment as often as there are episodes of it, and begin."""
        seeds = torch.randint(2**31, (len(worlds), episodes), generator=generator, device=generator.device).tolist()
        made = [[self._make(task) for _ in range(episodes)] for task in worlds]
        seen = np.array([
            [one.reset(seed=seed)[0] for one, seed in zip(*row, strict=True)] for row in zip(made, seeds, strict=True)
        ])  # fmt: skip
        return Running(made, self._rows(seen, generator.device), torch.zeros(len(worlds), episodes, dtype=torch.bool))

    def observe(self, state: Running) -> Float[Tensor, "task episode feature"]:
        """What was seen last."""
        return state.seen

    def step(
        self, state: Running, actions: Float[Tensor, "task episode action"]
    ) -> tuple[Running, Float[Tensor, "task episode"], Bool[Tensor, "task episode"]]:
        """Act in each that is not over."""
        seen, over = state.seen.clone(), state.over.clone()
        rewards = torch.zeros(over.shape, device=seen.device)
        for task, episode in (~over).nonzero().tolist():
            observation, reward, ended, late, _ = state.environments[task][episode].step(
                self._told(actions[task, episode])
            )
            seen[task, episode] = self._rows(np.asarray(observation)[None, None], seen.device)[0, 0]
            rewards[task, episode], over[task, episode] = float(reward), bool(ended or late)
        return Running(state.environments, seen, over), rewards, over.to(seen.device)

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """There are none. Raises DataError."""
        raise DataError(f"{self.env} is acted in, nothing is known of it to imitate: set episodes=10 in the recipe")

    def _told(self, action: Float[Tensor, " action"]) -> Any:
        space = self._example.action_space
        if self._discrete:
            return int(action.argmax()) + int(space.start)
        return np.clip(action.cpu().numpy(), space.low, space.high).astype(space.dtype)

    def _rows(self, seen: Any, device: torch.device) -> Float[Tensor, "task episode feature"]:
        return torch.from_numpy(np.asarray(seen, np.float32)).flatten(2).to(device)

    @property
    def _discrete(self) -> bool:
        return hasattr(self._example.action_space, "n")

    @cached_property
    def _example(self) -> Any:
        made = self._make(0)
        space = made.action_space
        bounded = getattr(space, "shape", None) is not None and len(space.shape) == 1 and np.isfinite(space.low).all()
        if not hasattr(space, "n") and not bounded:
            raise ValueError(f"{self.env}: actions are Discrete, or a Box of one axis with bounds, got {space}")
        if not getattr(made.observation_space, "shape", None):
            raise ValueError(f"{self.env}: observations are a Box, got {made.observation_space}")
        return made

    @cached_property
    def _make(self) -> Callable[[int], Any]:
        if not self.env:
            raise DataError("environments of one's own are acted in: --env MODULE:make_env says which")
        module, colon, name = self.env.partition(":")
        if not colon:
            raise ValueError(f"env is written MODULE:make_env, got {self.env!r}")
        try:
            found: Callable[[int], Any] | None = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            raise ValueError(f"{self.env} cannot be imported: {error}") from error
        if not callable(found):
            raise ValueError(f"{self.env} is no function of the module {module}")
        return found


family = Environments
