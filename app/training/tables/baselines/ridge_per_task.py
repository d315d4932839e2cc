"""Ridge regression on the known rows of a task alone. Other tasks only tune its penalty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.pooled import PooledModel
from app.training.tables.baselines.ridge import Standardisation, fit_ridge
from app.training.tables.held_out_rows import Protocol
from app.training.tables.regressor import Prediction

PENALTIES = 10.0 ** np.linspace(-3, 3, 13)
SIZES = (2, 3, 5, 10, 20, 40)
"""Known rows that a penalty is tuned for. Others take that of the nearest size."""

MAX_TASKS = 200
"""To tune on."""


@dataclass(frozen=True)
class FittedRidgePerTask:
    """The penalty for each number of known rows, and the pooled ridge for tasks without known rows."""

    standardisation: Standardisation
    penalties: Mapping[int, float]
    pooled: PooledModel

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        if not len(support_inputs):
            return Prediction(self.pooled.predict(query_inputs), None)
        size = min(self.penalties, key=lambda each: abs(np.log(each / len(support_inputs))))
        apply, targets = self.standardisation.apply, support_targets[:, 0].astype(np.float64)
        means = _ridge(apply(support_inputs), targets, apply(query_inputs), np.array([self.penalties[size]]))
        return Prediction(means[0], None)


@dataclass(frozen=True)
class RidgePerTask:
    """A baseline that learns nothing from other tasks but its penalty.

    ordered: whether known rows are the first ones
    """

    ordered: bool = False
    name: str = "ridge per task"

    def fit(self, tasks: Sequence[TaskRows]) -> FittedRidgePerTask:
        """See `Regressor.fit`."""
        standardisation = Standardisation.of(np.concatenate([task.inputs for task in tasks]))
        protocol = Protocol(draws=1, ordered=self.ordered, seed=1)
        errors = {size: _errors(tasks[:MAX_TASKS], size, standardisation, protocol) for size in SIZES}
        penalties = {size: float(PENALTIES[np.argmin(each)]) for size, each in errors.items() if each.any()}
        return FittedRidgePerTask(standardisation, penalties or {1: float(PENALTIES[-1])}, fit_ridge(tasks))


def _errors(tasks: Sequence[TaskRows], size: int, standardisation: Standardisation, protocol: Protocol) -> np.ndarray:
    """The sum of the mean squared errors of all tasks, [penalty]; 0 if all tasks are too small."""
    total = np.zeros(len(PENALTIES))
    for task in tasks:
        inputs, targets = standardisation.apply(task.inputs), task.targets[:, 0].astype(np.float64)
        for support, queries in protocol.known_rows(task, size):
            means = _ridge(inputs[support], targets[support], inputs[queries], PENALTIES)
            total += np.mean((means - targets[queries]) ** 2, axis=1)
    return total


def _ridge(inputs: np.ndarray, targets: np.ndarray, queries: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """The predictions with each penalty, [penalty, query]. The intercept has no penalty."""
    centre, mean = inputs.mean(axis=0), targets.mean()
    centred = inputs - centre
    # by the eigenvalues of the kernel, as there are fewer rows than columns
    values, vectors = np.linalg.eigh(centred @ centred.T)
    projected = vectors.T @ (targets - mean)
    weights = projected / (np.maximum(values, 0.0) + penalties[:, None])
    return np.asarray(mean + weights @ (vectors.T @ centred @ (queries - centre).T))
