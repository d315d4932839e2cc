"""Whether a difference may be chance: confidence intervals over tasks, and the sign test."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from app.learn.shape_annotations import Float


class Interval(NamedTuple):
    """A mean over tasks with the half width of its 95 % confidence interval."""

    mean: float
    half_width: float


def interval(scores: Float[Tensor, " task"]) -> Interval:
    """The mean of at least two scores with its normal 95 % confidence interval, 1.96 standard errors to each side."""
    scores = scores.double()
    return Interval(scores.mean().item(), 1.96 * scores.std().item() / math.sqrt(len(scores)))


def sign_test(differences: Sequence[float]) -> float:
    """The p-value of the one-sided sign test: are more differences above 0 than chance alone would explain?

    Exact, by the binomial distribution, without assumptions about the distribution of the differences. Those that are 0
    do not count.
    """
    above, below = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    count = above + below
    ways: int = sum(math.comb(count, successes) for successes in range(above, count + 1))
    return float(ways / (1 << count))
