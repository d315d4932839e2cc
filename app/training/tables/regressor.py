"""What learns from the rows of training tasks and predicts rows of a new task: baselines and models alike."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from app.families.task_rows import TaskRows


class Prediction(NamedTuple):
    """Of the queries of one task, in the user's units.

    mean: [query]; for labels, the index of the predicted one
    variance: of the target itself, noise included, [query]; None if the regressor does not know how sure it is
    """

    mean: np.ndarray
    variance: np.ndarray | None


class FittedRegressor(Protocol):
    """A regressor that has seen the training tasks."""

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """Predict rows of a new task from the rows of it that are known, which may be none.

        support_inputs: [row, feature]
        support_targets: [row, 1], in the user's units
        query_inputs: [query, feature]
        """


class Regressor(Protocol):
    """A way to learn from tasks."""

    @property
    def name(self) -> str:
        """In tables and sentences, such as `mixed model`."""

    def fit(self, tasks: Sequence[TaskRows]) -> FittedRegressor:
        """Learn from all rows of the training tasks. The same tasks give the same result."""
