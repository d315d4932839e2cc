"""Ridge regression on the rows of all tasks, and within-task regression (fixed effects)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.pooled import PooledModel, Rows, fold_numbers
from app.training.tables.nonzero_std import deviations

PENALTIES = 10.0 ** np.arange(-6, 2)
"""As a share of the number of rows, for standardised columns: validation chooses."""


@dataclass(frozen=True)
class Standardisation:
    """The mean and the standard deviation of each column; 1 for one that does not vary."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray) -> "Standardisation":
        """Of rows [row, feature]."""
        return cls(inputs.mean(axis=0, dtype=np.float64), deviations(inputs))

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """Standardised columns, float64 [row, feature]."""
        return np.asarray((inputs.astype(np.float64) - self.mean) / self.std)


@dataclass(frozen=True)
class LinearModel:
    """slopes @ standardised columns + intercept."""

    standardisation: Standardisation
    slopes: np.ndarray
    intercept: float

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """See `PooledModel.predict`."""
        return np.asarray(self.standardisation.apply(inputs) @ self.slopes + self.intercept)


def fit_ridge(tasks: Sequence[TaskRows]) -> PooledModel:
    """Ridge regression; the penalty predicts unseen tasks best."""
    return _fit(Rows.of(tasks), within=False)


def fit_within_tasks(tasks: Sequence[TaskRows]) -> PooledModel:
    """Slopes from the differences of rows to the mean of their task: the fixed-effects estimator of econometrics.

    A column that does not vary within tasks has no slope.
    """
    return _fit(Rows.of(tasks), within=True)


def task_means(values: np.ndarray, task: np.ndarray) -> np.ndarray:
    """The mean over the rows of its task, for each row.

    values: [row] or [row, feature]
    task: the index of the task of each row, all of 0 ... present
    """
    sums = np.zeros((task.max() + 1, *values.shape[1:]))
    np.add.at(sums, task, values)
    counts = np.bincount(task).astype(np.float64)
    return np.asarray((sums.T / counts).T[task])


def _fit(rows: Rows, *, within: bool) -> PooledModel:
    standardisation = Standardisation.of(rows.inputs)
    inputs, targets = standardisation.apply(rows.inputs), rows.targets
    # of slopes alone, for which each task (or the table) has its own centre
    centre = np.concatenate([inputs, targets[:, None]], axis=1)
    centre = task_means(centre, rows.task) if within else centre.mean(axis=0, keepdims=True)
    x, y = inputs - centre[:, :-1], targets - centre[:, -1]
    folds = fold_numbers(rows.task[-1] + 1)[rows.task]
    penalty = _best_penalty(x, y, folds)
    out_of_fold = np.empty(len(targets))
    for fold, (seen, held_out) in enumerate(_seen_and_held_out(folds)):
        model = _solve(standardisation, x, y, inputs, targets, seen, penalty)
        out_of_fold[folds == fold] = inputs[held_out] @ model.slopes + model.intercept
    everything = np.ones(len(targets), dtype=bool)
    model = _solve(standardisation, x, y, inputs, targets, everything, penalty)
    return PooledModel(model.predict, rows.by_task(targets - out_of_fold))


def _best_penalty(x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float:
    errors = np.zeros(len(PENALTIES))
    for seen, held_out in _seen_and_held_out(folds):
        for index, penalty in enumerate(PENALTIES):
            errors[index] += ((y[held_out] - x[held_out] @ _slopes(x[seen], y[seen], penalty)) ** 2).sum()
    return float(PENALTIES[np.argmin(errors)])


def _seen_and_held_out(folds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks of rows. With one fold, both are all rows."""
    if not folds.max():
        return [(folds == 0, folds == 0)]
    return [(folds != fold, folds == fold) for fold in range(folds.max() + 1)]


def _slopes(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    return np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ y)


def _solve(
    standardisation: Standardisation,
    x: np.ndarray,
    y: np.ndarray,
    inputs: np.ndarray,
    targets: np.ndarray,
    seen: np.ndarray,
    penalty: float,
) -> LinearModel:
    slopes = _slopes(x[seen], y[seen], penalty)
    return LinearModel(standardisation, slopes, float(np.mean(targets[seen] - inputs[seen] @ slopes)))
