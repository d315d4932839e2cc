"""Scores over tasks."""

import math
from typing import NamedTuple

from torch import Tensor

from app.learn.shapes import Float


class Interval(NamedTuple):
    """A mean over tasks and the half width of its 95 % interval."""

    mean: float
    half_width: float


def interval(scores: Float[Tensor, " task"]) -> Interval:
    """The mean of at least two scores with its normal 95 % interval, 1.96 standard errors to each side."""
    scores = scores.double()
    return Interval(scores.mean().item(), 1.96 * scores.std().item() / math.sqrt(len(scores)))
