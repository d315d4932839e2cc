"""What a recipe is."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda part: 1.0,
    # Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", without restarts
    "cosine": lambda part: (1 + math.cos(math.pi * part)) / 2,
}
"""By name, what the outer rate is multiplied by, given the part of training that is done."""
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """All that decides what training produces; the same recipe on the same machine gives the same bytes.

    family, family_options: the problem
    network, network_options: instead of the family's: a name as `app.learn.networks` knows it
    start: the folder of a bundle whose network is the same: training begins with the parameters of that (None: fresh)
    algorithm: a key of `app.learn.algorithms.ALGORITHMS`
    variants: by algorithm, what another one than the recipe's changes of it (`app.training.variants`)
    shots: the least and the most support examples of a training task; each task draws its own number
    ways: of a classification, the least and the most classes of a training task; each task draws its own number (None:
        the family's number); shots and queries are then of each class
    queries: examples that an adapted task is scored on
    tasks: tasks in an outer step
    outer_steps, outer_rate: how many outer steps, and the rate of their optimizer (None: the algorithm's usual one)
    warmup_steps, decay: the outer rate rises linearly over the first so many outer steps, then is `constant` or falls
        to 0 by a `cosine`
    outer_clip: the outer gradient is shortened to this norm, and one that is not finite is left out (None: neither)
    precision: of the network in training: `float32`, or `bfloat16` (mixed: parameters and losses stay float32)
    inner_steps: the least and the most inner steps in training; each task draws its own number
    inner_rate: the inner learning rate in training, and the default of the bundle
    seed: of the first parameters and of the training tasks
    adapt_steps: the default number of steps of the bundle
    evaluation_shots, evaluation_ways: support sizes that the bundle is evaluated at, of a classification each with each
        number of classes (none: the family's number)
    validate_every, validation_tasks: after so many outer steps so many validation tasks, always the same, of each of
        those sizes are adapted to by the default steps; the bundle is that of the best score (None: the last)
    episodes: of a family whose worlds can be acted in, episodes of a task in a stage: training learns from what the
        policies do themselves (`app.training.on_policy`), and the bundle is evaluated by returns (None: from samples)
    stages: stages of episodes that are learned from, one after the other
    stage_steps: so many outer steps go by before training takes a second stage, as many again before a third
    decisions: of a stage, at most so many that training learns from, drawn at random (None: all)
    ratio: there is nothing to gain by decisions whose likelihood changes by more than this share in an outer step
    divergence: an outer step is shortened until no further, in nats a decision, from the policies that acted
    patience: training ends when so many validations in a row have found nothing better (None: it never does)
    """

    family: str
    family_options: Mapping[str, Any] = field(default_factory=dict)
    network: str | None = None
    network_options: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    algorithm: str = "maml"
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shots: tuple[int, int] = (5, 10)
    ways: tuple[int, int] | None = None
    queries: int = 10
    tasks: int = 25
    outer_steps: int = 10_000
    outer_rate: float | None = None
    warmup_steps: int = 0
    decay: str = "constant"
    outer_clip: float | None = None
    precision: str = "float32"
    inner_steps: tuple[int, int] = (1, 1)
    inner_rate: float = 0.01
    seed: int = 0
    adapt_steps: int = 5
    evaluation_shots: tuple[int, ...] = (5, 10)
    evaluation_ways: tuple[int, ...] = ()
    validate_every: int | None = 1_000
    validation_tasks: int = 200
    episodes: int | None = None
    stages: int = 3
    stage_steps: int = 0
    decisions: int | None = None
    ratio: float = 0.2
    divergence: float = 0.01
    patience: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a choice that there is not."""
        if self.decay not in DECAYS:
            raise ValueError(f"decay is one of {', '.join(DECAYS)}, got {self.decay!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        for name in ("shots", "ways", "inner_steps"):
            pair = getattr(self, name)
            if not (isinstance(pair, tuple) and len(pair) == 2) and (pair is not None or name != "ways"):
                raise ValueError(f"{name} is the least and the most, such as [1, 5], got {pair!r}")
        for name in ("evaluation_shots", "evaluation_ways"):
            if not isinstance(sizes := getattr(self, name), tuple):
                raise ValueError(f"{name} is a list, such as [1, 5], got {sizes!r}")

    def rate_factor(self, step: int) -> float:
        """What the outer rate is multiplied by in outer step `step`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return DECAYS[self.decay]((step - self.warmup_steps) / max(1, self.outer_steps - self.warmup_steps))

    def stages_at(self, step: int) -> int:
        """Stages of episodes in outer step `step`, counted from 0."""
        return min(self.stages, 1 + step // self.stage_steps) if self.stage_steps else self.stages
