"""Sine waves of random amplitude and phase: the regression problem of Finn et al. 2017, section 5.1."""

import math
from dataclasses import dataclass

import torch

from app.families.family import Description, Samples, Split, uniform
from app.learn.networks import NetworkSpec


@dataclass(frozen=True)
class Sinusoid:
    """y = A sin(x - phase), A ~ U[0.1, 5], phase ~ U[0, pi], x ~ U[-5, 5], without noise."""

    kind = "regression"
    features = 1
    targets = 1
    description = Description(
        purpose="fits a noise-free sine wave, `y = A sin(x - phase)`, to a few of its points: amplitudes from 0.1 to "
        "5, phases from 0 to pi, x from -5 to 5. Sine waves are the standard toy problem of meta-learning (Finn et "
        "al. 2017): use it to try the server and to compare algorithms.",
        not_for="Sine waves with other phases, other curves, noisy points, or x outside -5 to 5. The model answers "
        "there too, but predictions may be far off and intervals too narrow, and the server rarely notices other "
        "phases.",
        data="Waves drawn at random, without a data set. Validation and test tasks are drawn in the same way, so the "
        "scores say nothing about other waves.",
    )

    @property
    def network(self) -> NetworkSpec:
        """MAML's: two hidden layers of 40 with ReLU."""
        return NetworkSpec("mlp", {"inputs": 1, "outputs": 1, "hidden": [40, 40]})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw waves, and points on each."""
        amplitude = uniform((tasks, 1, 1), 0.1, 5.0, generator)
        phase = uniform((tasks, 1, 1), 0.0, math.pi, generator)
        inputs = uniform((tasks, examples, 1), -5.0, 5.0, generator)
        return Samples(inputs, amplitude * torch.sin(inputs - phase))


family = Sinusoid
