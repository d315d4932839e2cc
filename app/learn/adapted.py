"""What adapting came to: a value, not an exception. Whether to raise is the caller's choice."""

import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

DIVERGED = 100.0
"""A last loss this many times the first one, and this many times the mean initial loss, has diverged.

Times their size: a loss that is a likelihood may be below 0."""


_FIX = "Take fewer steps or a smaller learning rate, or check the units of the support set."


class Status(Enum):
    """How the support loss moved, with the sentence that a user reads."""

    improved = "The support loss fell."
    no_progress = "The support loss did not fall: the initialization fits these examples as well as the adaptation."
    diverged = f"The inner loop diverged: the support loss grew a hundredfold. {_FIX}"
    not_finite = f"The inner loop left the range of float32. {_FIX}"

    @property
    def usable(self) -> bool:
        """Whether the fast weights are worth keeping."""
        return self in (Status.improved, Status.no_progress)


class Adapted(NamedTuple):
    """losses: the support loss before the first step and after each, `steps + 1` numbers."""

    losses: tuple[float, ...]
    status: Status


def judge(losses: Sequence[float], initial_loss: float) -> Status:
    """Say how the inner loop went.

    losses: before the first step and after each one
    initial_loss: the bundle's mean loss over its evaluation tasks without any step, the scale of its problem
    """
    if not all(map(math.isfinite, losses)):
        return Status.not_finite
    first, last = losses[0], losses[-1]
    if last > DIVERGED * abs(first) and last > DIVERGED * abs(initial_loss):
        return Status.diverged
    return Status.improved if last < first else Status.no_progress
