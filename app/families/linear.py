"""Linear functions of random slopes and offsets in any dimension: the smallest problem to adapt to."""

from dataclasses import dataclass

import torch

from app.families.family import Description, Samples, Split, uniform
from app.learn.networks import NetworkSpec


@dataclass(frozen=True)
class Linear:
    """y = W x + b, every slope in W ~ U[-2, 2], every offset in b ~ U[-2, 2], x ~ U[-1, 1], without noise."""

    features: int = 1
    targets: int = 1
    kind = "regression"
    description = Description(
        purpose="fits a noise-free line or plane to a few of its points: slopes and offsets from -2 to 2, inputs "
        "from -1 to 1. Lines are the smallest problem to adapt to: use it to see what an inner loop does.",
        not_for="Fitting a line to real data: use least squares.",
        data="Functions drawn at random, without a data set. Validation and test tasks are drawn in the same way, so "
        "the scores say nothing about other functions.",
    )

    @property
    def network(self) -> NetworkSpec:
        """The linear model itself."""
        return NetworkSpec("linear", {"inputs": self.features, "outputs": self.targets})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw functions, and points on each."""
        slopes = uniform((tasks, self.features, self.targets), -2.0, 2.0, generator)
        offsets = uniform((tasks, 1, self.targets), -2.0, 2.0, generator)
        inputs = uniform((tasks, examples, self.features), -1.0, 1.0, generator)
        return Samples(inputs, inputs @ slopes + offsets)


family = Linear
