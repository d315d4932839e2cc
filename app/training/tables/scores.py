"""How well a fitted regressor predicts held-out tasks, in units of the variance of training targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.held_out_rows import KnownRows, Protocol
from app.training.tables.nonzero_std import deviations
from app.training.tables.regressor import FittedRegressor, Prediction

LEVEL = 0.9
"""Of the intervals that are checked."""

NORMAL_QUANTILE = 1.6448536269514722
"""90 % of a normal distribution are within this many standard deviations of its mean."""


@dataclass(frozen=True, eq=False)
class TaskScores:
    """The scores of held-out tasks, each the mean over draws of known rows. NaN where a task has too few rows.

    errors: the mean squared error, divided by the variance of training targets, [size, task]; for labels, the share of
        wrong ones
    coverage: the share of queries inside their 90 % interval, [size, task]; NaN without intervals
    interval_scores: `interval_score`, divided by the standard deviation of training targets, [size, task]
    """

    errors: np.ndarray
    coverage: np.ndarray
    interval_scores: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["TaskScores"]) -> "TaskScores":
        """The tasks of all parts, one after another."""
        return cls(
            np.concatenate([part.errors for part in parts], axis=1),
            np.concatenate([part.coverage for part in parts], axis=1),
            np.concatenate([part.interval_scores for part in parts], axis=1),
        )


class _Score(NamedTuple):
    """Of one task with one choice of known rows."""

    error: float
    coverage: float
    interval_score: float


def score_tasks(fitted: FittedRegressor, tasks: Sequence[TaskRows], protocol: Protocol, variance: float) -> TaskScores:
    """Predict the queries of all tasks at all sizes.

    variance: of training targets; makes no difference for labels
    """
    score = _score_labels if protocol.labels else _score
    scores = np.full((3, len(protocol.sizes), len(tasks)), np.nan)
    for row, size in enumerate(protocol.sizes):
        for column, task in enumerate(tasks):
            draws = [score(fitted, task, rows, variance) for rows in protocol.known_rows(task, size)]
            if draws:
                scores[:, row, column] = np.mean(draws, axis=0)
    return TaskScores(*scores)


def target_variance(tasks: Sequence[TaskRows]) -> float:
    """The variance of the targets of all rows; 1 if they are all the same."""
    return float(deviations(np.concatenate([task.targets for task in tasks]))[0] ** 2)


def interval_score(lower: np.ndarray, upper: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The width of a 90 % interval, plus 20 times the distance of the target from it: smaller is better.

    Gneiting and Raftery 2007, equation 43. Its expectation is smallest for the true 5 % and 95 % quantiles.
    """
    outside = np.maximum(lower - targets, 0.0) + np.maximum(targets - upper, 0.0)
    return np.asarray(upper - lower + 2.0 / (1.0 - LEVEL) * outside)


def _score(fitted: FittedRegressor, task: TaskRows, rows: KnownRows, variance: float) -> _Score:
    inputs, targets = task.inputs, task.targets
    prediction = fitted.predict(inputs[rows.support], targets[rows.support], inputs[rows.queries])
    wanted = targets[rows.queries, 0].astype(np.float64)
    error = float(np.mean((prediction.mean - wanted) ** 2)) / variance
    return _Score(error, *_interval_scores(prediction, wanted, variance))


def _score_labels(fitted: FittedRegressor, task: TaskRows, rows: KnownRows, variance: float) -> _Score:
    """The share of wrong labels as the error."""
    inputs, targets = task.inputs, task.targets
    labels = fitted.predict(inputs[rows.support], targets[rows.support], inputs[rows.queries]).mean
    return _Score(float(np.mean(labels != targets[rows.queries, 0])), np.nan, np.nan)


def _interval_scores(prediction: Prediction, targets: np.ndarray, variance: float) -> tuple[float, float]:
    if prediction.variance is None:
        return np.nan, np.nan
    half_width = NORMAL_QUANTILE * np.sqrt(prediction.variance)
    lower, upper = prediction.mean - half_width, prediction.mean + half_width
    inside = float(np.mean((lower <= targets) & (targets <= upper)))
    return inside, float(np.mean(interval_score(lower, upper, targets))) / variance**0.5
