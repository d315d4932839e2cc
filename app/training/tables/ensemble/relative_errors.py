"""Errors of an ensemble in units of its own standard deviation, for tasks that its members were not fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.training.tables.ensemble.predictions import Predictions

COVERED, NORMAL_QUANTILE = 0.9, 1.6448536269514722
"""The variance is scaled so that intervals of 90 % of a normal distribution cover as much."""
PARTS = 50
"""At most so many parts of the tasks are left out, one at a time."""
SHARES = np.linspace(0.25, 1.0, 301)
"""The shares of the errors of other tasks whose quantiles are tried."""


@dataclass(frozen=True, eq=False)
class RelativeErrors:
    """Errors in ascending order, and by how much each counts.

    errors, weights, task: [query]; the weights of all queries of a task are 1 together
    """

    errors: np.ndarray
    weights: np.ndarray
    task: np.ndarray

    @classmethod
    def of(cls, predictions: Predictions, weights: np.ndarray) -> "RelativeErrors":
        """Those of the mean of the members by their weights, over the standard deviation of the mixture."""
        mean = weights @ predictions.means
        variance = weights @ (predictions.variances + (predictions.means - mean) ** 2)
        errors = np.abs(predictions.targets - mean) / np.sqrt(variance)
        _, task = np.unique(predictions.task, return_inverse=True)
        order = np.argsort(errors)
        return cls(errors[order], (1 / np.bincount(task)[task])[order], task[order])

    @property
    def tasks(self) -> int:
        """How many there are."""
        return int(self.task.max()) + 1

    def where(self, chosen: np.ndarray) -> "RelativeErrors":
        """A part of them."""
        return RelativeErrors(self.errors[chosen], self.weights[chosen], self.task[chosen])

    def quantiles(self, shares: np.ndarray) -> np.ndarray:
        """The errors that these shares are not larger than."""
        reached = np.searchsorted(np.cumsum(self.weights), shares * self.weights.sum() * (1 - 1e-9))
        return np.asarray(self.errors[np.minimum(reached, len(self.errors) - 1)])

    def weight_within(self, limits: np.ndarray) -> np.ndarray:
        """How much the errors count that are not larger than each limit."""
        sums = np.concatenate([[0.0], np.cumsum(self.weights)])
        return np.asarray(sums[np.searchsorted(self.errors, limits, side="right")])


def interval_widths(relative: RelativeErrors, levels: Sequence[float]) -> np.ndarray:
    """For each level, how many standard deviations from the prediction cover as many rows of a new task; [level].

    The errors of a task are alike, so the quantile over n tasks covers less of a new one. How much less is measured by
    leaving out each task: the share is taken whose quantile over the other tasks covers `level` of the one left out.
    Barber, Candes, Ramdas and Tibshirani 2021, "Predictive inference with the jackknife+", for tasks in place of rows

    relative: of at least 2 tasks
    """
    part = relative.task % min(PARTS, relative.tasks)
    within = np.zeros(len(SHARES))
    for left_out in np.unique(part):
        limits = relative.where(part != left_out).quantiles(SHARES)
        within += relative.where(part == left_out).weight_within(limits)
    covered = within / relative.weights.sum()
    reached = np.searchsorted(covered, levels)
    return relative.quantiles(np.append(SHARES, 1.0)[reached])


def variance_scale(relative: RelativeErrors) -> float:
    """What the variance of the mixture is multiplied by so that 90 % of its intervals cover the target."""
    return float(interval_widths(relative, [COVERED])[0] / NORMAL_QUANTILE) ** 2
