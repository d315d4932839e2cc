"""Predictions of a fitted ensemble by the inner loop that serves it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, InnerLoop, Schedule, State, batch_of_one, final_states
from app.learn.losses import KINDS, Loss
from app.learn.networks import build, width
from app.learn.target_scale import with_target_scale
from app.training.tables.ensemble.fit import FittedEnsemble

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(inputs of known rows [row, feature], their targets [row, 1] or [row], inputs of queries) -> the means and the
variances of the queries, [query], in the user's units."""


def inner_loop_of(fitted: FittedEnsemble) -> InnerLoop[State]:
    """The inner loop of a fitted ensemble for one task, as that of its bundle. Targets are in the user's units."""
    network, loss = build(fitted.network.name, fitted.network.options), KINDS["regression"].loss
    outputs = width(network, fitted.network.options["inputs"])

    def make(loss: Loss) -> InnerLoop[State]:
        return ALGORITHMS["ensemble"].inner_loop(network, loss, targets=1, width=outputs)

    return with_target_scale(make, loss, fitted.scale)


def predictor(fitted: FittedEnsemble) -> Predict:
    """What predicts the queries of a task from its known rows, of which there may be none."""
    inner = batch_of_one(inner_loop_of(fitted))
    assert inner.variance is not None
    variance_of = inner.variance

    def predict(inputs: np.ndarray, targets: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            x, y, query = (_batch(each) for each in (inputs, targets.reshape(-1, 1), queries))
            support = Examples(x, y, torch.ones(1, len(inputs), dtype=torch.bool))
            schedule = Schedule(torch.ones(1), torch.ones(1, dtype=torch.long), max_steps=1)
            state = final_states(inner, fitted.meta, support, schedule)
            mean, variance = inner.apply(fitted.meta, state, query), variance_of(fitted.meta, state, query)
        return mean[0, :, 0].numpy(), variance[0, :, 0].numpy()

    return predict


def _batch(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).unsqueeze(0)
