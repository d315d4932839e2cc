"""Gradient boosting on the rows of all tasks, by scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.pooled import PooledModel, Rows, fold_numbers

MAX_ITERATIONS = 300
LEAVES = (5, 15)
"""Of a tree: validation chooses."""

LEARNING_RATE = 0.08


@dataclass(frozen=True)
class BoostingSettings:
    """What validation on tasks that a model has not seen chooses."""

    leaves: int
    iterations: int

    def model(self) -> Any:
        """An unfitted `HistGradientBoostingRegressor`."""
        # scikit-learn takes a second to import, and serving does not need it
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            max_iter=self.iterations,
            max_leaf_nodes=self.leaves,
            learning_rate=LEARNING_RATE,
            l2_regularization=1.0,
            early_stopping=False,  # it would hold out rows of tasks that it has seen
            random_state=0,
        )


@dataclass(frozen=True, eq=False)
class TunedBoosting:
    """Boosting with the settings that predict unseen tasks best.

    out_of_fold: the prediction of each training row by a model that has not seen its task, [row]
    """

    settings: BoostingSettings
    model: Any
    out_of_fold: np.ndarray


def tune_boosting(rows: Rows) -> TunedBoosting:
    """Choose leaves and iterations by cross-validation over tasks, and fit to all rows."""
    folds = fold_numbers(rows.task[-1] + 1)[rows.task]
    best: tuple[float, BoostingSettings, np.ndarray] | None = None
    for leaves in LEAVES:
        staged = _out_of_fold_stages(rows, folds, leaves)
        errors = np.mean((staged - rows.targets) ** 2, axis=1)
        stage = int(np.argmin(errors))
        if best is None or errors[stage] < best[0]:
            best = (float(errors[stage]), BoostingSettings(leaves, stage + 1), staged[stage])
    assert best is not None
    _, settings, out_of_fold = best
    return TunedBoosting(settings, settings.model().fit(rows.inputs, rows.targets), out_of_fold)


def fit_out_of_fold(rows: Rows, settings: BoostingSettings) -> TunedBoosting:
    """Boosting with given settings, as `tune_boosting` returns it."""
    folds = fold_numbers(rows.task[-1] + 1)[rows.task]
    out_of_fold = np.empty(len(rows.targets))
    for fold in range(folds.max() + 1):
        held_out = folds == fold
        seen = ~held_out if folds.max() else held_out
        model = settings.model().fit(rows.inputs[seen], rows.targets[seen])
        out_of_fold[held_out] = model.predict(rows.inputs[held_out])
    return TunedBoosting(settings, settings.model().fit(rows.inputs, rows.targets), out_of_fold)


def fit_boosting(tasks: Sequence[TaskRows]) -> PooledModel:
    """The pooled model of `tune_boosting`."""
    rows = Rows.of(tasks)
    tuned = tune_boosting(rows)
    return PooledModel(tuned.model.predict, rows.by_task(rows.targets - tuned.out_of_fold))


def _out_of_fold_stages(rows: Rows, folds: np.ndarray, leaves: int) -> np.ndarray:
    """The predictions of unseen tasks after each iteration, [iteration, row]."""
    staged = np.empty((MAX_ITERATIONS, len(rows.targets)))
    for fold in range(folds.max() + 1):
        held_out = folds == fold
        seen = ~held_out if folds.max() else held_out
        model = BoostingSettings(leaves, MAX_ITERATIONS).model().fit(rows.inputs[seen], rows.targets[seen])
        for stage, prediction in enumerate(model.staged_predict(rows.inputs[held_out])):
            staged[stage, held_out] = prediction
    return staged
