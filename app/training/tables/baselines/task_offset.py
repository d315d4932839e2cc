"""How far a task is above or below a pooled model: the random intercept of a mixed model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MIN_VARIANCE = 1e-12
"""In that of the targets, which are standardised."""


class Offset(NamedTuple):
    """What is known of the offset of one task: the mean and the variance of its posterior."""

    mean: float
    variance: float


@dataclass(frozen=True)
class OffsetVariances:
    """The residuals of a pooled model: how much they vary within tasks, and how much the means of tasks vary."""

    within: float
    between: float

    @classmethod
    def fit(cls, residuals: Sequence[np.ndarray]) -> "OffsetVariances":
        """By the method of moments for tasks of different sizes (Searle, Casella and McCulloch 1992, section 3.6).

        residuals: of each task, [row], of rows that the pooled model was not fitted to
        """
        sizes = np.array([len(each) for each in residuals], dtype=np.float64)
        means = np.array([each.mean() for each in residuals])
        rows, tasks = sizes.sum(), len(sizes)
        squares = sum(float(((each - mean) ** 2).sum()) for each, mean in zip(residuals, means, strict=True))
        within = max(squares / max(rows - tasks, 1.0), MIN_VARIANCE)
        if tasks < 2:
            return cls(within, 0.0)
        grand_mean = (sizes * means).sum() / rows
        between_squares = (sizes * (means - grand_mean) ** 2).sum() / (tasks - 1)
        effective_size = (rows - (sizes**2).sum() / rows) / (tasks - 1)
        return cls(within, max((between_squares - within) / effective_size, 0.0))

    def shrunk(self, residuals: np.ndarray) -> Offset:
        """The posterior of the offset of a task, given the residuals of its known rows: 0 without any."""
        if not self.between:
            return Offset(0.0, 0.0)
        variance = 1.0 / (1.0 / self.between + len(residuals) / self.within)
        return Offset(variance * float(residuals.sum()) / self.within, variance)

    def unshrunk(self, residuals: np.ndarray) -> Offset:
        """The mean of the residuals of the known rows."""
        if not len(residuals):
            return Offset(0.0, self.between)
        return Offset(float(residuals.mean()), self.within / len(residuals))
