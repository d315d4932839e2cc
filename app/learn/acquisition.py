"""Acquisition functions: how much it is worth to measure or label a candidate next. Larger is better."""

import math

import torch
from torch import Tensor

from app.learn.shape_annotations import Float

MIN_STD = 1e-30
"""A standard deviation of 0 counts as this, so that scores stay finite."""
FAR_BELOW = -1e3
"""So far below the best, in standard deviations, one term of the expansion of `log_expected_improvement` is enough."""


def log_expected_improvement(
    mean: Float[Tensor, " candidate"], std: Float[Tensor, " candidate"], best: float
) -> Float[Tensor, " candidate"]:
    """The logarithm of E[max(y - best, 0)] for y ~ N(mean, std^2), float64, finite for any finite arguments.

    With z = (mean - best) / std it is log(std) + log(phi(z) + z Phi(z)). For z below -1 both terms nearly cancel, so
    there it is computed by the scaled complementary error function.
    Ament et al. 2023, "Unexpected Improvements to Expected Improvement for Bayesian Optimization"
    """
    std = std.double().clamp_min(MIN_STD)
    z = (mean.double() - best) / std
    log_density = -z.square() / 2 - math.log(2 * math.pi) / 2
    above = z.clamp_min(-1)
    near = torch.log(torch.exp(-above.square() / 2) / math.sqrt(2 * math.pi) + above * torch.special.ndtr(above))
    below = z.clamp(FAR_BELOW, -1)
    ratio = -below * torch.special.erfcx(-below / math.sqrt(2)) * math.sqrt(math.pi / 2)  # |z| Phi(z) / phi(z)
    far = torch.where(z < FAR_BELOW, -2 * z.clamp(max=-1).neg().log(), torch.log1p(-ratio))
    return std.log() + torch.where(z > -1, near, log_density + far)


def entropy(probabilities: Float[Tensor, "candidate label"]) -> Float[Tensor, " candidate"]:
    """How unsure a classifier is of each candidate, in nats, float64: 0 where one label has all the probability."""
    summands: Tensor = torch.special.entr(probabilities.double())
    return summands.sum(-1)
