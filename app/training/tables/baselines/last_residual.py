"""For forecasts: a pooled model, corrected by the residual of the last known row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.pooled import PooledModel
from app.training.tables.regressor import Prediction

LEAST_SQUARES = 1e-12
"""A sum of squares that avoids a division by 0; targets are standardised."""
SIZES = (1, 3, 5, 10, 20)
"""Known rows that the weight is fitted for."""


@dataclass(frozen=True)
class FittedLastResidual:
    """weight: of the last residual, 0 to 1"""

    model: PooledModel
    weight: float

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        pooled = self.model.predict(np.concatenate([support_inputs[-1:], query_inputs]))
        if not len(support_inputs):
            return Prediction(pooled, None)
        return Prediction(pooled[1:] + self.weight * (float(support_targets[-1, 0]) - pooled[0]), None)


@dataclass(frozen=True)
class LastResidual:
    """A baseline for rows in an order. With the mean as the pooled model, it predicts the shrunk last value."""

    name: str
    fit_model: Callable[[Sequence[TaskRows]], PooledModel]

    def fit(self, tasks: Sequence[TaskRows]) -> FittedLastResidual:
        """Least squares of later residuals on the last known one; see `Regressor.fit`."""
        model = self.fit_model(tasks)
        products, squares = 0.0, LEAST_SQUARES
        for residuals in model.residuals:
            for size in SIZES:
                if size < len(residuals):
                    products += float(residuals[size - 1] * residuals[size:].mean())
                    squares += float(residuals[size - 1] ** 2)
        return FittedLastResidual(model, float(np.clip(products / squares, 0.0, 1.0)))
