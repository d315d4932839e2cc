"""What a recipe is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """All that decides what training produces; the same recipe on the same machine gives the same bytes.

    family, family_options: the problem
    network, network_options: instead of the family's: a name as `app.learn.networks` knows it
    algorithm: a key of `app.learn.algorithms.ALGORITHMS`
    shots: the least and the most support examples of a training task; each task draws its own number
    queries: examples that an adapted task is scored on
    tasks: tasks in an outer step
    outer_steps, outer_rate: how many outer steps, and the rate of their optimizer (None: the algorithm's usual one)
    outer_schedule: how their rate changes: a key of `app.training.schedules.SCHEDULES`
    inner_steps: the least and the most inner steps in training; each task draws its own number
    inner_rate: the inner learning rate in training, and the default of the bundle
    seed: of the first parameters and of the training tasks
    adapt_steps: the default number of steps of the bundle
    evaluation_shots: support sizes that the bundle is evaluated at
    """

    family: str
    family_options: Mapping[str, Any] = field(default_factory=dict)
    network: str | None = None
    network_options: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = "maml"
    shots: tuple[int, int] = (5, 10)
    queries: int = 10
    tasks: int = 25
    outer_steps: int = 10_000
    outer_rate: float | None = None
    outer_schedule: str = "constant"
    inner_steps: tuple[int, int] = (1, 1)
    inner_rate: float = 0.01
    seed: int = 0
    adapt_steps: int = 5
    evaluation_shots: tuple[int, ...] = (5, 10)
