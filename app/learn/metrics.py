"""Scores over tasks, and whether a difference may be chance."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from app.learn.shapes import Float


def accuracy(
    logits: Float[Tensor, "*task example way"], targets: Float[Tensor, "*task example way"]
) -> Float[Tensor, "*task example"]:
    """1 where the largest logit is that of the example's class, else 0; `targets` are one-hot."""
    return (logits.argmax(-1) == targets.argmax(-1)).to(logits.dtype)


class Interval(NamedTuple):
    """A mean over tasks and the half width of its 95 % interval."""

    mean: float
    half_width: float


def interval(scores: Float[Tensor, " task"]) -> Interval:
    """The mean of at least two scores with its normal 95 % interval, 1.96 standard errors to each side."""
    scores = scores.double()
    return Interval(scores.mean().item(), 1.96 * scores.std().item() / math.sqrt(len(scores)))


def sign_test(differences: Sequence[float]) -> float:
    """How probable it is by chance alone that at least so many of the differences that are not 0 are above 0.

    Exact, by the binomial distribution; nothing is assumed of how the differences are distributed.
    """
    above, below = sum(each > 0 for each in differences), sum(each < 0 for each in differences)
    count = above + below
    ways: int = sum(math.comb(count, some) for some in range(above, count + 1))
    return float(ways / (1 << count))
