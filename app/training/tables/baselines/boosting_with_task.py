"""Gradient boosting with the task as a category, by target encoding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.boosting import TunedBoosting, tune_boosting
from app.training.tables.baselines.pooled import Rows
from app.training.tables.baselines.task_offset import OffsetVariances
from app.training.tables.held_out_rows import Protocol
from app.training.tables.regressor import Prediction

SIZES = (0, 1, 3, 5, 10, 20)
"""Known rows in training."""

MAX_ROWS = 12_000
"""That the trees are fitted to."""


@dataclass(frozen=True)
class TargetEncoding:
    """What trees see of a task: the shrunk mean of its known targets, and how many there are."""

    mean: float
    variances: OffsetVariances

    @classmethod
    def fit(cls, tasks: Sequence[TaskRows]) -> "TargetEncoding":
        """Learn how much the means of tasks differ."""
        targets = [task.targets[:, 0].astype(np.float64) for task in tasks]
        mean = float(np.mean([each.mean() for each in targets]))
        return cls(mean, OffsetVariances.fit([each - mean for each in targets]))

    def columns(self, known: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Inputs with two columns more.

        known: the targets of the known rows, [row]
        """
        encoded = [self.variances.shrunk(known - self.mean).mean, np.log1p(len(known))]
        return np.concatenate([inputs, np.tile(encoded, (len(inputs), 1))], axis=1)


@dataclass(frozen=True)
class FittedBoostingWithTask:
    """The trees, and the columns that they see of a task."""

    encoding: TargetEncoding
    boosting: TunedBoosting

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        columns = self.encoding.columns(support_targets[:, 0].astype(np.float64), query_inputs)
        return Prediction(self.boosting.model.predict(columns), None)


@dataclass(frozen=True)
class BoostingWithTask:
    """A baseline that learns from training tasks of which it knows a few rows, and predicts their other rows.

    The category itself would need all trees fitted again for a new task, and scikit-learn takes at most 255 categories.
    ordered: whether known rows are the first ones
    """

    ordered: bool = False
    name: str = "boosting with the task"

    def fit(self, tasks: Sequence[TaskRows]) -> FittedBoostingWithTask:
        """See `Regressor.fit`."""
        encoding = TargetEncoding.fit(tasks)
        return FittedBoostingWithTask(encoding, tune_boosting(self._rows(tasks, encoding)))

    def _rows(self, tasks: Sequence[TaskRows], encoding: TargetEncoding) -> Rows:
        """Queries of all tasks after different numbers of known rows."""
        per_choice = max(MAX_ROWS // (len(tasks) * len(SIZES)), 1)
        protocol = Protocol(draws=1, ordered=self.ordered, max_queries=per_choice, seed=2)
        examples = []
        for task in tasks:
            parts = []
            for size in SIZES:
                for support, queries in protocol.known_rows(task, size):
                    columns = encoding.columns(task.targets[support, 0].astype(np.float64), task.inputs[queries])
                    parts.append((columns, task.targets[queries]))
            inputs, targets = (np.concatenate(each) for each in zip(*parts, strict=True))
            examples.append(TaskRows(task.name, inputs, targets))
        return Rows.of(examples)
