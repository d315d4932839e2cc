"""A mixed model on linear splines of the columns: what a generalised additive mixed model is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.mixed_model import FittedMixedModel, MixedModel
from app.training.tables.regressor import Prediction

MAX_KNOTS = 4
"""Of a column: quantiles of its values."""

MAX_WIDTH = 60
"""Columns and hinges together, which bounds the time."""

MIN_VALUES = 10
"""Different values of a column that has knots."""


@dataclass(frozen=True)
class Hinges:
    """Columns, and max(column - knot, 0) for each knot.

    knots: by the index of the column
    """

    knots: Mapping[int, np.ndarray]

    @classmethod
    def fit(cls, inputs: np.ndarray) -> "Hinges":
        """Choose the knots of the columns [row, feature]."""
        columns = [index for index, column in enumerate(inputs.T) if len(np.unique(column)) >= MIN_VALUES]
        count = min(MAX_KNOTS, (MAX_WIDTH - inputs.shape[1]) // max(len(columns), 1))
        quantiles = np.arange(1, count + 1) / (count + 1)
        return cls({index: np.unique(np.quantile(inputs[:, index], quantiles)) for index in columns if count > 0})

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """Columns and hinges side by side."""
        hinges = [np.maximum(inputs[:, [index]] - knots, 0.0) for index, knots in self.knots.items()]
        return np.concatenate([inputs, *hinges], axis=1)


@dataclass(frozen=True)
class FittedSplineMixedModel:
    """A mixed model whose inputs are hinges."""

    hinges: Hinges
    model: FittedMixedModel

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        apply = self.hinges.apply
        return self.model.predict(apply(support_inputs), support_targets, apply(query_inputs))


@dataclass(frozen=True)
class SplineMixedModel:
    """`MixedModel` on `Hinges`: each task has its own piecewise linear function of each column."""

    name: str = "mixed model on splines"

    def fit(self, tasks: Sequence[TaskRows]) -> FittedSplineMixedModel:
        """See `Regressor.fit`."""
        hinges = Hinges.fit(np.concatenate([task.inputs for task in tasks]))
        mapped = [TaskRows(task.name, hinges.apply(task.inputs), task.targets) for task in tasks]
        return FittedSplineMixedModel(hinges, MixedModel().fit(mapped))
