"""The weights of the members by the number of known rows, from predictions for tasks that they were not fitted to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch.func import functional_call, vmap

from app.learn.ensemble_head import LOG_SCALE, LOG_WEIGHTS, SIZES, ensemble, member_predictions
from app.learn.networks import NetworkSpec, build
from app.learn.update_rules import Params
from app.training.tables.ensemble.episodes import draw
from app.training.tables.ensemble.training_rows import TrainingRows

DRAWS, QUERIES = 4, 40
"""The draws of known rows of each task and size, and the queries of each."""
MAX_TASKS = 200
"""At most so many left-out tasks of a fold are used."""
RESAMPLES = 40
EVEN = 0.1
"""The share of even weights in the result."""
LEAST_WEIGHT = 1e-6
COVERED, NORMAL_QUANTILE = 0.9, 1.6449
"""The variance is scaled so that intervals of 90 % of a normal distribution cover as much."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of all members for queries of left-out tasks, given some number of known rows.

    means, variances: [member, query]
    targets: [query]
    task: [query] the index of its task
    """

    means: np.ndarray
    variances: np.ndarray
    targets: np.ndarray
    task: np.ndarray


def predictions_at(
    size: int, spec: NetworkSpec, meta: Params, rows: TrainingRows, ordered: bool, seed: int
) -> Predictions | None:
    """Of tasks with more than `size` rows; None where there are none."""
    rng = np.random.default_rng((seed, size))
    long_enough = np.flatnonzero(np.diff(rows.starts) > size)
    if not len(long_enough):
        return None
    tasks = rng.permutation(long_enough)[:MAX_TASKS]
    network = build(spec.name, spec.options)
    own = {name: value for name, value in meta.items() if not name.startswith("inner/")}
    with torch.no_grad():
        embeddings = functional_call(network, own, (torch.from_numpy(rows.raw),)).numpy()
    columns = embeddings.shape[1], len(spec.options["members"])
    head, parts = ensemble(1, *columns), []
    for _ in range(1 if ordered or size == 0 else DRAWS):
        episodes = draw(rows, tasks, np.full(len(tasks), size), QUERIES, ordered, rng)
        (x, x_query), (known, asked) = episodes.tensors(embeddings), episodes.masks()
        y, y_query = (each.unsqueeze(-1) for each in episodes.tensors(rows.targets))
        with torch.no_grad():
            solutions = vmap(head.solve, in_dims=(None, 0, 0, 0))(meta, x, y, known)
            means, variances = vmap(member_predictions, in_dims=(None, 0, 0))(meta, solutions, x_query)
        real = asked.numpy()
        parts.append(
            (
                means[..., 0].movedim(1, 0).numpy()[:, real],
                variances[..., 0].movedim(1, 0).numpy()[:, real],
                y_query[..., 0].numpy()[real],
                np.broadcast_to(tasks[:, None], real.shape)[real],
            )
        )
    return Predictions(*(np.concatenate(each, axis=-1) for each in zip(*parts, strict=True)))


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several folds, whose tasks differ."""
    counts = np.cumsum([0, *(1 + int(part.task.max()) for part in parts)])
    return Predictions(
        np.concatenate([part.means for part in parts], 1),
        np.concatenate([part.variances for part in parts], 1),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.task + start for part, start in zip(parts, counts, strict=False)]),
    )


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


def variance_scale(predictions: Predictions, weights: np.ndarray) -> float:
    """What the variance of the mixture is multiplied by so that 90 % of its intervals cover the target."""
    mean = weights @ predictions.means
    variance = weights @ (predictions.variances + (predictions.means - mean) ** 2)
    tasks, task = np.unique(predictions.task, return_inverse=True)
    share = 1 / np.bincount(task)[task] / len(tasks)
    away = np.abs(predictions.targets - mean) / np.sqrt(variance)
    order = np.argsort(away)
    reached = np.searchsorted(np.cumsum(share[order]), COVERED)
    return float((away[order][min(reached, len(order) - 1)] / NORMAL_QUANTILE) ** 2)


def weigh(meta: Params, at: Callable[[int], Predictions | None], seed: int) -> Params:
    """The meta-parameters with weights and scales at all SIZES.

    at: size -> predictions, None where no task is long enough: then those of the size before are used
    """
    log_weights: list[np.ndarray] = []
    log_scale: list[list[float]] = []
    for size in SIZES:
        predictions = at(size)
        if predictions is None:
            log_weights.append(log_weights[-1])
            log_scale.append(log_scale[-1])
            continue
        weights = simplex_weights(predictions, seed)
        log_weights.append(np.log(np.maximum(weights, LEAST_WEIGHT)))
        log_scale.append([np.log(variance_scale(predictions, weights))])
    tables = {LOG_WEIGHTS: log_weights, LOG_SCALE: log_scale}
    return meta | {name: torch.tensor(np.array(table), dtype=torch.float32) for name, table in tables.items()}
