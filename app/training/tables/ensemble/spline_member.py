"""The member that is the baseline "mixed model on splines": its basis and its prior as tensors."""

import numpy as np
import torch

from app.families.task_rows import TaskRows
from app.learn.update_rules import Params
from app.training.tables.baselines.mixed_model import FittedMixedModel
from app.training.tables.baselines.splines import FittedSplineMixedModel, SplineMixedModel
from app.training.tables.ensemble.training_rows import TrainingRows

MAX_TASKS = 300
"""At most so many tasks are used, spread evenly: the time is proportional to them."""


def fit_splines(rows: TrainingRows, targets: np.ndarray) -> tuple[Params, Params]:
    """The parameters of `ensemble_network.Splines`, and the prior as `linear_prior.fit_prior` returns it.

    targets: [row] what the member predicts
    """
    every = [
        TaskRows(str(index), rows.inputs[start:end], targets[start:end, None])
        for index, (start, end) in enumerate(zip(rows.starts[:-1], rows.starts[1:], strict=True))
    ]
    chosen = np.linspace(0, len(every) - 1, min(len(every), MAX_TASKS)).round().astype(int)
    fitted = SplineMixedModel().fit([every[index] for index in chosen])
    return _tensors(_basis(fitted, rows.inputs.shape[1])), _tensors(_prior(fitted.model))


def _basis(fitted: FittedSplineMixedModel, inputs: int) -> dict[str, np.ndarray]:
    """Of hinges in the order of `Hinges.apply`."""
    columns = [index for index, knots in fitted.hinges.knots.items() for _ in knots]
    standardisation = fitted.model.standardisation
    return {
        "select": np.eye(inputs)[np.array(columns, int)],
        "knots": np.concatenate([np.zeros(0), *fitted.hinges.knots.values()]),
        "standardise.mean": standardisation.mean,
        "standardise.std": standardisation.std,
    }


def _prior(model: FittedMixedModel) -> dict[str, np.ndarray]:
    """Of the coefficients with the constant last."""
    covariance = np.roll(model.covariance + model.uncertainty, (-1, -1), (0, 1))
    root = np.linalg.cholesky(covariance / model.noise)
    return {"mean": np.roll(model.mean, -1), "root": root, "log_noise": np.log([model.noise])}


def _tensors(arrays: dict[str, np.ndarray]) -> Params:
    return {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}
