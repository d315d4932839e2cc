"""Pooled models: one function for the rows of all tasks, alone or with an offset for each task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.task_offset import Offset, OffsetVariances
from app.training.tables.regressor import Prediction

OffsetChoice = Literal["none", "shrunk", "unshrunk"]
FOLDS = 4
"""Of the cross-validation over training tasks that tunes a pooled model and gives its residuals."""


class PooledModel(NamedTuple):
    """A function for the rows of all tasks.

    predict: inputs [row, feature] -> [row], in the user's units
    residuals: of each training task, [row]: the target minus the prediction of a model that has not seen the task
    """

    predict: Callable[[np.ndarray], np.ndarray]
    residuals: Sequence[np.ndarray]


class SharedFit:
    """Fits a pooled model once for several baselines: it keeps the last one."""

    def __init__(self, fit: Callable[[Sequence[TaskRows]], PooledModel]) -> None:
        self._fit = fit
        self._last: tuple[Sequence[TaskRows], PooledModel] | None = None

    def __call__(self, tasks: Sequence[TaskRows]) -> PooledModel:
        """The model of these tasks."""
        if self._last is None or self._last[0] is not tasks:
            self._last = (tasks, self._fit(tasks))
        return self._last[1]


@dataclass(frozen=True)
class FittedPooled:
    """A pooled model with the offset that the known rows of a task have."""

    model: PooledModel
    variances: OffsetVariances
    offset: OffsetChoice

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        known = len(support_inputs) if self.offset != "none" else 0
        pooled = self.model.predict(np.concatenate([support_inputs[:known], query_inputs]))
        offset = self._offset(support_targets[:known, 0] - pooled[:known])
        mean = pooled[known:] + offset.mean
        return Prediction(mean, np.full(len(mean), self.variances.within + offset.variance))

    def _offset(self, residuals: np.ndarray) -> Offset:
        return self.variances.unshrunk(residuals) if self.offset == "unshrunk" else self.variances.shrunk(residuals)


@dataclass(frozen=True)
class Pooled:
    """A baseline of a pooled model."""

    name: str
    fit_model: Callable[[Sequence[TaskRows]], PooledModel]
    offset: OffsetChoice

    def fit(self, tasks: Sequence[TaskRows]) -> FittedPooled:
        """See `Regressor.fit`."""
        model = self.fit_model(tasks)
        return FittedPooled(model, OffsetVariances.fit(model.residuals), self.offset)


def fold_numbers(tasks: int, folds: int = FOLDS) -> np.ndarray:
    """The fold that holds out each task: 0 to `folds - 1`, or fewer where there are fewer tasks."""
    numbers = np.arange(tasks) % min(folds, tasks)
    return np.random.default_rng(0).permutation(numbers)


class Rows(NamedTuple):
    """The rows of all tasks, one task after another.

    inputs: float64 [row, feature]
    targets: float64 [row]
    task: the index of the task of each row
    """

    inputs: np.ndarray
    targets: np.ndarray
    task: np.ndarray

    @classmethod
    def of(cls, tasks: Sequence[TaskRows]) -> "Rows":
        """Put tasks together."""
        return cls(
            np.concatenate([task.inputs for task in tasks]).astype(np.float64),
            np.concatenate([task.targets[:, 0] for task in tasks]).astype(np.float64),
            np.repeat(np.arange(len(tasks)), [len(task) for task in tasks]),
        )

    def by_task(self, values: np.ndarray) -> list[np.ndarray]:
        """Values of the rows, [row], as one array for each task."""
        return np.split(values, np.flatnonzero(np.diff(self.task)) + 1)
