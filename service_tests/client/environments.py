"""Small environments of gymnasium."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

REACH, NEAR = 0.1, 0.01


class Point(gymnasium.Env[np.ndarray, np.ndarray]):
    """The world of the model `navigation`: a point looks for a goal, and the reward is minus the distance to it."""

    observation_space, action_space = Box(-10.0, 10.0, (2,), np.float32), Box(-REACH, REACH, (2,), np.float32)

    def __init__(self, *goal: float) -> None:
        self.goal = np.array(goal)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.position = np.zeros(2, np.float32)
        return self.position, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.position = self.position + action
        away = self.position - self.goal
        return self.position, -float(np.linalg.norm(away)), bool((abs(away) < NEAR).all()), False, {}


class Moving(Point):
    """The same, with a position that changes in place, and actions too."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.position += action
        action[:] = 99
        return self.position, -1.0, False, False, {}


class Odd(Point):
    """An environment that answers as told."""

    def __init__(self, action_space: Any = Point.action_space, reset: Any = None, step: Any = None) -> None:
        super().__init__(0.0, 0.0)
        self.action_space, self._reset, self._step = action_space, reset, step

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=seed) if self._reset is None else self._reset

    def step(self, action: np.ndarray) -> Any:
        return super().step(action) if self._step is None else self._step


class Seedless(Point):
    """An environment of the time before gymnasium."""

    def reset(self) -> Any:  # type: ignore[override]
        return np.zeros(2), {}


class Recorded(gymnasium.Env[np.ndarray, Any]):
    """An environment that records its seeds and what it is asked to do, and ends episodes after 3 steps."""

    observation_space = Box(-1.0, 1.0, (2, 1), np.float32)

    def __init__(self, action_space: Box | Discrete) -> None:
        self.action_space = action_space
        self.actions: list[Any] = []
        self.seeds: list[int | None] = []
        self.closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.actions.append(action)
        self.steps += 1
        return self._seen(), self.steps / 10, False, self.steps == 3, {}

    def close(self) -> None:
        self.closed = True

    def _seen(self) -> np.ndarray:
        return np.array([[self.steps / 10], [1.0]], np.float32)
