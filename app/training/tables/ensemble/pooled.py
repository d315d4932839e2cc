"""The pooled model: it predicts a row without knowing its task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from app.learn.update_rules import Params
from app.training.tables.ensemble.sklearn_trees import tree_options, tree_tensors
from app.training.tables.ensemble.training_rows import TrainingRows, folds, others

FOLDS = 3
HIDDEN = (32, 32)
"""The hidden layers of the perceptron."""
TREES = {"trees": 100, "nodes": 61, "depth": 30}
"""The largest trees that `HistGradientBoostingRegressor` makes by default: 100 of at most 31 leaves."""
PERCEPTRON_PENALTY = 1e-2
RIDGE = 1.0


def fit_pooled(rows: TrainingRows, seed: int) -> tuple[Params, np.ndarray]:
    """The parameters of `ensemble_network.Pooled`, and out-of-fold predictions of POOLED for the rows.

    The predictions of a task are those of parts that were fitted to other tasks. The weights of the mixture are not
    negative, and minimise its error on them.
    """
    with threadpool_limits(1):
        parts = np.zeros((len(rows.targets), 3), np.float32)
        for left_out in folds(rows.tasks, FOLDS, seed):
            at = rows.rows_of(left_out)
            part = _fit_parts(rows.of_tasks(others(rows.tasks, left_out)), seed)
            parts[at] = _predict_parts(part, rows.raw[at], rows.inputs[at])
        weights, constant = _mixture(parts, rows.targets)
        whole = _fit_parts(rows, seed)
    mixture = {"mixture.weight": torch.from_numpy(weights[None]), "mixture.bias": torch.from_numpy(constant)}
    mixed = parts @ weights[:, None] + constant
    return {**_tensors(whole), **mixture}, np.concatenate([mixed, parts], axis=1)


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


def _fit_parts(rows: TrainingRows, seed: int) -> tuple[np.ndarray, MLPRegressor, HistGradientBoostingRegressor]:
    terms = np.concatenate([rows.inputs, np.ones((len(rows.inputs), 1))], axis=1).astype(np.float64)
    penalty = np.diag([RIDGE] * rows.inputs.shape[1] + [0.0])
    linear = np.linalg.lstsq(terms.T @ terms + penalty, terms.T @ rows.targets, rcond=None)[0]
    perceptron = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        activation="tanh",
        alpha=PERCEPTRON_PENALTY,
        learning_rate_init=3e-3,
        batch_size=min(256, len(rows.targets)),
        max_iter=60,
        early_stopping=True,
        n_iter_no_change=8,
        random_state=seed,
    )
    trees = HistGradientBoostingRegressor(random_state=seed)
    return linear, perceptron.fit(rows.inputs, rows.targets), trees.fit(rows.raw, rows.targets)


def _predict_parts(
    parts: tuple[np.ndarray, MLPRegressor, HistGradientBoostingRegressor], raw: np.ndarray, inputs: np.ndarray
) -> np.ndarray:
    linear, perceptron, trees = parts
    return np.stack([inputs @ linear[:-1] + linear[-1], perceptron.predict(inputs), trees.predict(raw)], axis=1)


def _mixture(parts: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights that are not negative, and the constant, by least squares."""
    centre, mean = parts.mean(0), targets.mean()
    weights, _ = nnls((parts - centre).astype(np.float64), (targets - mean).astype(np.float64))
    return weights.astype(np.float32), np.array([mean - centre @ weights], np.float32)


def _tensors(parts: tuple[np.ndarray, MLPRegressor, HistGradientBoostingRegressor]) -> Params:
    linear, perceptron, trees = parts
    arrays: Mapping[str, np.ndarray] = {
        "linear.weight": linear[None, :-1],
        "linear.bias": linear[-1:],
        **{f"perceptron.{2 * index}.weight": weight.T for index, weight in enumerate(perceptron.coefs_)},
        **{f"perceptron.{2 * index}.bias": bias for index, bias in enumerate(perceptron.intercepts_)},
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}
    return tensors | {f"trees.{name}": value for name, value in tree_tensors(trees, tree_options(trees)).items()}
