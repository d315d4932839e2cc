"""Ovens: a regression family in units of its own, whose targets are hundreds of kelvin."""

from dataclasses import dataclass

import torch

from app.families.family import Samples, Split, uniform
from app.learn.networks import NetworkSpec

LOW, HIGH = 300.0, 900.0


@dataclass(frozen=True)
class Ovens:
    """The temperature at a place in an oven, in kelvin. It rises linearly; each oven has its own two ends."""

    kind = "regression"
    features = 1
    targets = 1
    target_names = ("temperature",)
    target_units = ("K",)
    network = NetworkSpec("linear", {"inputs": 1, "outputs": 1})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw ovens, and places in each."""
        cold, hot = (uniform((tasks, 1, 1), LOW, HIGH, generator) for _ in range(2))
        place = uniform((tasks, examples, 1), 0.0, 1.0, generator)
        return Samples(place, cold + (hot - cold) * place)
