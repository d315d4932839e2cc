"""How frequent labels are, and the most frequent one, where a target is the index of a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.pooled import Rows
from app.training.tables.regressor import Prediction

PRIOR_ROWS = 1.0
"""Rows that the labels of all tasks count as, beside the known rows of a task."""


@dataclass(frozen=True)
class LabelShares:
    """How frequent labels are, in all tasks and in the known rows of one.

    shares: of each label in training, [label]
    """

    shares: np.ndarray

    @classmethod
    def fit(cls, rows: Rows) -> "LabelShares":
        """Count the labels."""
        counts = np.bincount(rows.targets.astype(int)).astype(np.float64)
        return cls(counts / counts.sum())

    def of_task(self, known: np.ndarray) -> np.ndarray:
        """[label]: those of the known rows and, with a weight of PRIOR_ROWS, of all tasks. known: labels, [row]"""
        width = max(len(self.shares), int(known.max(initial=0)) + 1)
        counts = np.bincount(known.astype(int), minlength=width) + PRIOR_ROWS * np.pad(
            self.shares, (0, width - len(self.shares))
        )
        return np.asarray(counts / counts.sum())


@dataclass(frozen=True)
class FittedMajority:
    """Predicts the most frequent label."""

    shares: LabelShares

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        label = int(np.argmax(self.shares.of_task(support_targets[:, 0])))
        return Prediction(np.full(len(query_inputs), label), None)


@dataclass(frozen=True)
class MajorityLabel:
    """The most frequent label of the known rows, and of all tasks without any."""

    name: str = "most frequent label of the task"

    def fit(self, tasks: Sequence[TaskRows]) -> FittedMajority:
        """See `Regressor.fit`."""
        return FittedMajority(LabelShares.fit(Rows.of(tasks)))
