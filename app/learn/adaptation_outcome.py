"""How adapting came out, and whether it diverged: a value, not an exception. The caller chooses whether to raise."""

import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

DIVERGED = 100.0
"""The inner loop has diverged if the last loss is over this many times both the first loss and the mean initial loss.

Of both the absolute value is taken, because a negative log-likelihood may be below 0.
"""


class Status(Enum):
    """How the support loss changed: a word for programs, and a sentence for people."""

    improved = "improved", "The support loss fell."
    no_progress = (
        "no_progress",
        "The support loss did not fall: the initialization fits these examples at least as well.",
    )
    diverged = "diverged", "The inner loop diverged: the support loss grew more than 100-fold."
    not_finite = "not_finite", "The inner loop diverged: the support loss is beyond the range of float32."

    def __init__(self, word: str, sentence: str) -> None:
        self.word = word  # as `name`, which takes ten times as long to read
        self.sentence = sentence

    @property
    def usable(self) -> bool:
        """Whether the fast weights can be used; otherwise nothing is stored."""
        return self in (Status.improved, Status.no_progress)


class Adapted(NamedTuple):
    """The outcome of one inner loop.

    losses: the support loss before the first step and after each, `steps + 1` numbers
    """

    losses: tuple[float, ...]
    status: Status


def judge(losses: Sequence[float], initial_loss: float) -> Status:
    """The status of an inner loop.

    losses: the support loss before the first step and after each
    initial_loss: the mean loss on evaluation tasks before any step, the scale of the problem (`Manifest.initial_loss`)
    """
    if not all(map(math.isfinite, losses)):
        return Status.not_finite
    first, last = losses[0], losses[-1]
    if last > DIVERGED * abs(first) and last > DIVERGED * abs(initial_loss):
        return Status.diverged
    return Status.improved if last < first else Status.no_progress
