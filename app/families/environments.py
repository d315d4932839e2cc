"""Your own gymnasium environments: `innerloop train --env MODULE:make_env` learns by acting in them.

def make_env(task: int) -> gymnasium.Env:
    return ...  # the world of the task, always the same for the same number
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.errors import DataError, expectation
from app.families.family import Samples, Split
from app.learn.decision_weights import Weighing
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shape_annotations import Bool, Float
from app.plugins import user_code

FIRST = {"training": 0, "validation": 1_000_000, "test": 2_000_000}
"""The first task number of each split; each has a million."""


class Running(NamedTuple):
    """The state of all episodes. environments: [task][episode]; observations: the latest; over: which have ended."""

    environments: Sequence[Sequence[Any]]
    observations: Float[Tensor, "task episode feature"]
    over: Bool[Tensor, "task episode"]


@dataclass(frozen=True)
class Environments:
    """The environments that a function makes, one for each task number.

    env: MODULE:NAME of the function. Observations are a Box, flattened to a row of numbers; actions are Discrete, or a
        Box of one axis with bounds
    longest: the maximum number of steps of an episode
    discount, smoothing: of the advantages (`app.learn.decision_weights.Weighing`)
    """

    env: str = ""
    longest: int = 200
    discount: float = 0.99
    smoothing: float = 0.95
    kind = "decision"

    def __post_init__(self) -> None:
        assert not self.env or self._example  # so that a wrong `env` raises now

    @property
    def weighing(self) -> Weighing:
        """How decisions are weighed by their rewards."""
        return Weighing(self.discount, self.smoothing)

    @property
    def features(self) -> int:
        """Numbers in an observation."""
        return int(np.prod(self._example.observation_space.shape))

    @property
    def targets(self) -> int:
        """The number of discrete actions, or the numbers in an action."""
        space = self._example.action_space
        return int(space.n) if self._discrete else int(space.shape[0])

    @property
    def actions(self) -> Actions:
        """Discrete actions, or the bounds of the Box."""
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
        """Draw task numbers."""
        numbers = torch.randint(1_000_000, (tasks,), generator=generator, device=generator.device) + FIRST[split]
        return [int(number) for number in numbers.tolist()]

    def reset(self, worlds: Sequence[int], episodes: int, generator: torch.Generator) -> Running:
        """Make an environment for each episode of each task, and reset it."""
        seeds = torch.randint(2**31, (len(worlds), episodes), generator=generator, device=generator.device).tolist()
        environments = [[self._make(task) for _ in range(episodes)] for task in worlds]
        observations = np.array([
            [one.reset(seed=seed)[0] for one, seed in zip(*row, strict=True)]
            for row in zip(environments, seeds, strict=True)
        ])  # fmt: skip
        over = torch.zeros(len(worlds), episodes, dtype=torch.bool)
        return Running(environments, self._as_rows(observations, generator.device), over)

    def observe(self, state: Running) -> Float[Tensor, "task episode feature"]:
        """The latest observations."""
        return state.observations

    def step(
        self, state: Running, actions: Float[Tensor, "task episode action"]
    ) -> tuple[Running, Float[Tensor, "task episode"], Bool[Tensor, "task episode"]]:
        """Act in each episode that is not over."""
        observations, over = state.observations.clone(), state.over.clone()
        rewards = torch.zeros(over.shape, device=observations.device)
        for task, episode in (~over).nonzero().tolist():
            environment, action = state.environments[task][episode], self._as_env_action(actions[task, episode])
            observation, reward, terminated, truncated, _ = environment.step(action)
            row = self._as_rows(np.asarray(observation)[None, None], observations.device)[0, 0]
            observations[task, episode] = row
            rewards[task, episode], over[task, episode] = float(reward), bool(terminated or truncated)
        return Running(state.environments, observations, over), rewards, over.to(observations.device)

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Raise DataError: there are no decisions to imitate."""
        raise DataError(
            expectation(
                "--set episodes",
                "a number of episodes, because environments have no decisions to imitate",
                "none",
                "add --set episodes=10",
            )
        )

    def _as_env_action(self, action: Float[Tensor, " action"]) -> Any:
        space = self._example.action_space
        if self._discrete:
            return int(action.argmax()) + int(space.start)
        return np.clip(action.cpu().numpy(), space.low, space.high).astype(space.dtype)

    def _as_rows(self, observations: Any, device: torch.device) -> Float[Tensor, "task episode feature"]:
        return torch.from_numpy(np.asarray(observations, np.float32)).flatten(2).to(device)

    @property
    def _discrete(self) -> bool:
        return hasattr(self._example.action_space, "n")

    @cached_property
    def _example(self) -> Any:
        make = self._make
        with user_code(f"{self.env}(0)"):
            environment = make(0)
            space, observation_space = environment.action_space, environment.observation_space
        bounded = getattr(space, "shape", None) is not None and len(space.shape) == 1 and np.isfinite(space.low).all()
        if not hasattr(space, "n") and not bounded:
            expected = "an environment whose actions are Discrete, or a Box of one axis with bounds"
            raise DataError(expectation("--env", expected, f"{space} from {self.env}"))
        if not getattr(observation_space, "shape", None):
            expected = "an environment whose observations are a Box"
            raise DataError(expectation("--env", expected, f"{observation_space} from {self.env}"))
        return environment

    @cached_property
    def _make(self) -> Callable[[int], Any]:
        if not self.env:
            raise DataError(expectation("--env", "MODULE:make_env, the function that makes your environments", "none"))
        module, colon, name = self.env.partition(":")
        if not colon:
            raise DataError(expectation("--env", "MODULE:make_env", repr(self.env)))
        with user_code(f"importing {module}"):
            try:
                imported = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name not in (module, module.partition(".")[0]):
                    raise  # the module was found, but not what it imports
                actual = f'{module} ("{error}")'
                fix = f"run the command in the folder of {module.partition('.')[0]}.py, or install it"
                raise DataError(expectation("--env", "a module that can be imported", actual, fix)) from error
        function: Callable[[int], Any] | None = getattr(imported, name, None)
        if not callable(function):
            raise DataError(expectation("--env", f"a function {name} in the module {module}", "none"))
        return function


family = Environments
