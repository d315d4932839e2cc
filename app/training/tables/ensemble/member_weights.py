"""The weights of the members by the number of known rows, from predictions for tasks that they were not fitted to."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from app.learn.ensemble_head import LOG_SCALE, LOG_WEIGHTS, SIZES
from app.learn.update_rules import Params
from app.training.calibration import LEVELS
from app.training.tables.ensemble.predictions import Predictions
from app.training.tables.ensemble.relative_errors import RelativeErrors, interval_widths, variance_scale

RESAMPLES = 40
EVEN = 0.1
"""The share of even weights in the result."""
LEAST_WEIGHT = 1e-6
FEW_TASKS = 10
"""Where fewer tasks are long enough, the variance is scaled as with fewer known rows."""


class Weighed(NamedTuple):
    """The meta-parameters with weights and scales at all SIZES.

    widths: [size][level] the half width of the interval of each of LEVELS, in standard deviations of the prediction
    """

    meta: Params
    widths: Sequence[Sequence[float]]


def simplex_weights(predictions: Predictions, seed: int) -> np.ndarray:
    """[member] weights that minimise the mean over tasks of the squared error of the weighted mean, shrunk.

    The mean of the best weights for tasks drawn with replacement, so that members that hardly differ share; and a part
    of even weights. Breiman 1996, "Stacked Regressions"
    """
    errors = (predictions.means - predictions.targets).astype(np.float64)
    tasks, task = np.unique(predictions.task, return_inverse=True)
    counts = np.bincount(task)
    order = np.argsort(task, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    ordered_errors = errors[:, order]
    products = np.add.reduceat(ordered_errors[:, None] * ordered_errors[None], starts, axis=2) / counts
    rng, members = np.random.default_rng(seed), len(errors)
    total = np.zeros(members)
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(len(tasks), size=len(tasks)), minlength=len(tasks))
        total += _on_simplex(products @ drawn / len(tasks))
    return (1 - EVEN) * total / RESAMPLES + EVEN / members


def _on_simplex(products: np.ndarray) -> np.ndarray:
    """The w >= 0 with sum 1 that minimises w^T products w: non-negative least squares with a heavy row of ones."""
    members = len(products)
    scale = np.trace(products) / members
    root = np.linalg.cholesky(products + 1e-6 * scale * np.eye(members)).T
    heavy = 1e3 * np.sqrt(scale)
    weights, _ = nnls(np.vstack([root, np.full((1, members), heavy)]), np.append(np.zeros(members), heavy))
    normalised: np.ndarray = weights / weights.sum()
    return normalised


def weigh(meta: Params, at: Callable[[int], Predictions | None], seed: int) -> Weighed:
    """Find the weights and scales, and the widths of intervals.

    at: size -> predictions, None where no task is long enough: then those of the size before are used
    """
    log_weights: list[np.ndarray] = []
    log_scale: list[list[float]] = []
    widths: list[Sequence[float]] = []
    most_tasks = 0
    for size in SIZES:
        predictions = at(size)
        if predictions is None:
            log_weights.append(log_weights[-1])
            log_scale.append(log_scale[-1])
            widths.append(widths[-1])
            continue
        weights = simplex_weights(predictions, seed)
        log_weights.append(np.log(np.maximum(weights, LEAST_WEIGHT)))
        relative = RelativeErrors.of(predictions, weights)
        most_tasks = most_tasks or relative.tasks
        if relative.tasks < min(FEW_TASKS, most_tasks):
            log_scale.append(log_scale[-1])
            widths.append(widths[-1])
            continue
        scale = variance_scale(relative)
        log_scale.append([np.log(scale)])
        widths.append((interval_widths(relative, LEVELS) / scale**0.5).tolist())
    tables = {LOG_WEIGHTS: log_weights, LOG_SCALE: log_scale}
    return Weighed(
        meta | {name: torch.tensor(np.array(table), dtype=torch.float32) for name, table in tables.items()}, widths
    )
