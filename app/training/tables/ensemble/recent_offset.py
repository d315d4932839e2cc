"""Members of forecasts that move a prediction by the residuals of the last known rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from app.learn.ensemble_head import SIZES
from app.learn.update_rules import Params
from app.training.tables.ensemble.training_rows import TrainingRows

LEAST_NOISE = 1e-9


@dataclass(frozen=True)
class RecentOffset:
    """What such a member is chosen from. With a discount of 0, the offset is v / (1 + v) of the last residual.

    discounts: how much a known row counts relative to the one behind it (`app.learn.recency_weights`)
    variances: v, that of the offset of a task, in those of the noise of a row
    """

    discounts: Sequence[float]
    variances: Sequence[float]

    def fit(self, rows: TrainingRows, residuals: np.ndarray, max_support: int) -> tuple[float, Params]:
        """The discount and the prior with the smallest squared error of later rows.

        Errors are means over the rows of a task, over tasks, and over the numbers of known rows up to `max_support`.
        The prior is as `linear_prior.fit_prior` returns it, for a constant.

        residuals: [row]; of predictions for tasks that are not among those of the fit
        """
        forecasts = list(_forecasts(rows, residuals.astype(np.float64), max_support))
        mean = float(np.mean(np.bincount(rows.task, residuals) / np.bincount(rows.task)))
        choices = list(product(self.discounts, self.variances))
        errors = [np.mean([each.error(mean, *choice) for each in forecasts]) for choice in choices]
        discount, variance = choices[int(np.argmin(errors))]
        noise = LEAST_NOISE + np.mean(
            [each.error(mean, discount, variance) / (1 + each.spread(discount, variance)) for each in forecasts]
        )
        prior = {
            "mean": torch.tensor([mean]),
            "root": torch.tensor([[variance**0.5]]),
            "log_noise": torch.tensor([float(np.log(noise))]),
        }
        return discount, prior


CHOSEN = RecentOffset((0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0), tuple(np.geomspace(0.01, 10, 19).tolist()))
"""Any discount and variance."""
LAST = RecentOffset((0.0,), (4.0,))
"""Four fifths of the last residual: the weight of the member does the rest, and depends on the number of known rows.

Tried with 2, 4, 9 and 20 on training tasks of four tables. Of these, 4 makes the forecasts of all four better. Larger
ones make intervals with few known rows worse, as the member is the less sure of its offset.
"""


class _Forecasts(NamedTuple):
    """The tasks that are longer than a number of known rows.

    known: [task, row] their known residuals
    later, squares: [task] the means of their later residuals, and of the squares of these
    """

    known: np.ndarray
    later: np.ndarray
    squares: np.ndarray

    def error(self, mean: float, discount: float, variance: float) -> float:
        """The mean squared error. mean: of offsets"""
        weights = self._weights(discount)
        shrinkage = weights.sum() / (weights.sum() + 1 / variance)
        offset = mean + shrinkage * (self.known @ weights / weights.sum() - mean)
        return float(np.mean(self.squares - 2 * self.later * offset + offset**2))

    def spread(self, discount: float, variance: float) -> float:
        """The variance of the offset given the known rows, in that of the noise."""
        return float(1 / (self._weights(discount).sum() + 1 / variance))

    def _weights(self, discount: float) -> np.ndarray:
        return discount ** np.arange(self.known.shape[1])[::-1].astype(np.float64)


def _forecasts(rows: TrainingRows, residuals: np.ndarray, max_support: int) -> Iterator[_Forecasts]:
    """For each number of known rows that any task is longer than."""
    lengths = np.diff(rows.starts)
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (residuals, residuals**2))
    for size in (size for size in SIZES if 0 < size <= max(1, max_support)):
        long_enough = lengths > size
        starts, ends = rows.starts[:-1][long_enough], rows.starts[1:][long_enough]
        if not len(starts):
            return
        later, later_squares = ((each[ends] - each[starts + size]) / (ends - starts - size) for each in (sums, squares))
        yield _Forecasts(residuals[starts[:, None] + np.arange(size)], later, later_squares)
