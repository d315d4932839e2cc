"""The pooled model: it predicts a row without knowing its task."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from app.learn.update_rules import Params
from app.training.tables.baselines.boosting import BoostingSettings, fit_out_of_fold, tune_boosting
from app.training.tables.baselines.pooled import Rows, fold_numbers
from app.training.tables.ensemble.sklearn_trees import tree_options, tree_tensors
from app.training.tables.ensemble.training_rows import TrainingRows, others

HIDDEN = (32, 32)
"""The hidden layers of the perceptron."""
BATCH, MAX_EPOCHS, EXAMPLES = 128, 100, 200_000
"""Of training the perceptron: rows a step, the largest number of epochs, and the rows of all epochs together."""
PERCEPTRON_PENALTY = 1e-2
RIDGE = 1.0


class Parts(NamedTuple):
    """The fitted parts of the pooled model. linear: [feature + 1], the constant last"""

    linear: np.ndarray
    perceptron: MLPRegressor
    trees: HistGradientBoostingRegressor


def fit_pooled(
    rows: TrainingRows, seed: int, settings: BoostingSettings | None = None
) -> tuple[Params, np.ndarray, BoostingSettings]:
    """The parameters of `ensemble_network.Pooled`, out-of-fold predictions of POOLED, and the settings of the trees.

    The predictions of a task are those of parts that were fitted to other tasks. The weights of the mixture are not
    negative, and minimise its error on them.

    settings: of the trees; None to choose them by validation
    """
    with threadpool_limits(1):
        plain = Rows(rows.raw.astype(np.float64), rows.targets.astype(np.float64), rows.task)
        boosting = tune_boosting(plain) if settings is None else fit_out_of_fold(plain, settings)
        parts = np.zeros((len(rows.targets), 3), np.float32)
        parts[:, 2] = boosting.out_of_fold
        numbers = fold_numbers(rows.tasks)
        for fold in np.unique(numbers):
            left_out = np.flatnonzero(numbers == fold)
            at, seen = rows.rows_of(left_out), others(rows.tasks, left_out)
            linear, perceptron = _fit_smooth(rows.of_tasks(seen if len(seen) else left_out), seed)
            parts[at, 0] = rows.inputs[at] @ linear[:-1] + linear[-1]
            parts[at, 1] = perceptron.predict(rows.inputs[at])
        weights, constant = _mixture(parts, rows.targets)
        whole = Parts(*_fit_smooth(rows, seed), boosting.model)
    mixture = {"mixture.weight": torch.from_numpy(weights[None]), "mixture.bias": torch.from_numpy(constant)}
    mixed = parts @ weights[:, None] + constant
    return {**_tensors(whole), **mixture}, np.concatenate([mixed, parts], axis=1), boosting.settings


def pooled_options(pooled: Params) -> dict[str, Any]:
    """The options of `EnsembleNetwork` for the parameters of the pooled model."""
    trees, nodes = pooled["trees.first_child"].shape
    return {"pooled_hidden": list(HIDDEN), "trees": {"trees": trees, "nodes": nodes, "depth": _depth(pooled)}}


def _depth(pooled: Params) -> int:
    """The number of steps until no row moves any more."""
    child = pooled["trees.first_child"].flatten().long()
    nodes = torch.arange(0, len(child), pooled["trees.first_child"].shape[1])
    depth = 0
    while (moving := child[nodes] != nodes).any():
        first = child[nodes[moving]]
        nodes, depth = torch.cat([first, first + 1]), depth + 1
    return depth


def _fit_smooth(rows: TrainingRows, seed: int) -> tuple[np.ndarray, MLPRegressor]:
    """The linear model and the perceptron."""
    terms = np.concatenate([rows.inputs, np.ones((len(rows.inputs), 1))], axis=1).astype(np.float64)
    penalty = np.diag([RIDGE] * rows.inputs.shape[1] + [0.0])
    linear = np.linalg.lstsq(terms.T @ terms + penalty, terms.T @ rows.targets, rcond=None)[0]
    perceptron = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        activation="tanh",
        alpha=PERCEPTRON_PENALTY,
        learning_rate_init=3e-3,
        batch_size=min(BATCH, len(rows.targets)),
        random_state=seed,
    )
    for _ in range(min(MAX_EPOCHS, max(1, EXAMPLES // len(rows.targets)))):
        perceptron.partial_fit(rows.inputs, rows.targets)
    return linear, perceptron


def _mixture(parts: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights that are not negative, and the constant, by least squares."""
    centre, mean = parts.mean(0), targets.mean()
    weights, _ = nnls((parts - centre).astype(np.float64), (targets - mean).astype(np.float64))
    return weights.astype(np.float32), np.array([mean - centre @ weights], np.float32)


def _tensors(parts: Parts) -> Params:
    linear, perceptron, trees = parts
    arrays: Mapping[str, np.ndarray] = {
        "linear.weight": linear[None, :-1],
        "linear.bias": linear[-1:],
        **{f"perceptron.{2 * index}.weight": weight.T for index, weight in enumerate(perceptron.coefs_)},
        **{f"perceptron.{2 * index}.bias": bias for index, bias in enumerate(perceptron.intercepts_)},
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}
    return tensors | {f"trees.{name}": value for name, value in tree_tensors(trees, tree_options(trees)).items()}
