"""An ensemble beside the baselines where there are too few tasks for one split: by cross-validation over all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.families.table import Table
from app.families.task_rows import TaskRows
from app.training.tables.baselines.all_baselines import all_baselines
from app.training.tables.comparison import Comparison, Progress, compare
from app.training.tables.ensemble.fit import fit
from app.training.tables.ensemble.predictor import Predict, predictor
from app.training.tables.held_out_rows import Protocol, folds
from app.training.tables.regressor import Prediction, Regressor

FOLDS = 5


@dataclass(frozen=True)
class EnsembleRegressor:
    """An ensemble among the regressors, fitted anew in each fold. Its intervals are those of its own variance."""

    name: str
    support: Sequence[int]
    ordered: bool
    seed: int

    def fit(self, tasks: Sequence[TaskRows]) -> "FittedRegressor":
        """See `Regressor.fit`."""
        fitted = fit(tasks, support_sizes=self.support, ordered=self.ordered, seed=self.seed)
        return FittedRegressor(predictor(fitted))


@dataclass(frozen=True)
class FittedRegressor:
    """See `app.training.tables.regressor.FittedRegressor`."""

    predict_rows: Predict

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        return Prediction(*self.predict_rows(support_inputs, support_targets, query_inputs))


def compare_few_tasks(table: Table, model: Regressor, support: Sequence[int], progress: Progress) -> Comparison:
    """Each task is held out once. support: the numbers of known rows, besides 0"""
    tasks, ordered = table.prepared.tasks(), bool(table.order)
    protocol = Protocol(sorted({0, *support}), ordered=ordered)
    return compare(model, all_baselines(ordered=ordered), folds(tasks, min(FOLDS, len(tasks))), protocol, progress)
