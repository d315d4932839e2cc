"""Gaussian blobs: the smallest classification problem. Nothing does better than the nearest class mean."""

from dataclasses import dataclass

import torch

from app.families.family import Description, Samples, Split, interleave_classes
from app.learn.networks import NetworkSpec


@dataclass(frozen=True)
class Blobs:
    """A class is a point drawn from N(0, spread^2 I); its examples are that point plus noise from N(0, I)."""

    features: int = 2
    targets: int = 5
    spread: float = 5.0
    kind = "classification"
    description = Description(
        purpose="tells Gaussian classes apart after a few examples of each. This is the smallest classification "
        "problem: use it to try classification.",
        not_for="Real classification: the nearest class mean does as well.",
        data="Classes drawn at random, without a data set. Validation and test tasks are drawn in the same way, so the "
        "scores say nothing about other classes.",
    )

    @property
    def network(self) -> NetworkSpec:
        """A perceptron whose outputs are an embedding."""
        return NetworkSpec("mlp", {"inputs": self.features, "outputs": 16, "hidden": [32]})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw the points of the classes, and examples around each."""

        def normal(count: int) -> torch.Tensor:
            shape = (tasks, ways or self.targets, count, self.features)
            return torch.randn(shape, generator=generator, device=generator.device)

        return interleave_classes(self.spread * normal(1) + normal(examples))


family = Blobs
