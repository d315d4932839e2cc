"""Small gymnasium environments: a corridor with a treasure at one end, which end is the task."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

LENGTH = 5


class Corridor(gymnasium.Env[np.ndarray, Any]):
    """Begin in the middle; 1 walks to the right and 0 to the left; at the end it is over, worth 1 at the right one.

    by: what is walked by, `steps` or `metres`, a Box
    """

    observation_space = Box(-1.0, 1.0, (2, 1), np.float32)

    def __init__(self, right: bool, by: str = "steps") -> None:
        self.towards = 1 if right else -1
        self.by = by
        self.action_space = Discrete(2) if by == "steps" else Box(-2.0, 2.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0.0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.at += 2 * int(action) - 1 if self.by == "steps" else float(action[0])
        over = abs(self.at) >= LENGTH
        return self._seen(), float(over and self.at * self.towards > 0), over, False, {}

    def _seen(self) -> np.ndarray:
        return np.array([[np.clip(self.at / LENGTH, -1, 1)], [1.0]], np.float32)


def make_env(task: int) -> Corridor:
    return Corridor(right=task % 2 == 1)


def make_metres(task: int) -> Corridor:
    return Corridor(right=task % 2 == 1, by="metres")
