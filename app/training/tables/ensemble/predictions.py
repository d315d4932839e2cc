"""What the members of an ensemble predict for tasks that they were not fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.func import functional_call, vmap

from app.learn.ensemble_head import discounts_of, ensemble, member_predictions
from app.learn.networks import NetworkSpec, build
from app.learn.update_rules import Params
from app.training.tables.ensemble.episodes import draw
from app.training.tables.ensemble.training_rows import TrainingRows

DRAWS, QUERIES = 4, 40
"""The draws of known rows of each task and size, and the queries of each."""
MAX_TASKS = 200
"""At most so many left-out tasks of a fold are used."""


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
    head, parts = ensemble(1, embeddings.shape[1], discounts_of(network)), []
    for _ in range(1 if ordered or size == 0 else DRAWS):
        episodes = draw(rows, tasks, np.full(len(tasks), size), QUERIES, ordered, rng)
        (x, x_query), (known, queried) = episodes.tensors(embeddings), episodes.masks()
        y, y_query = (each.unsqueeze(-1) for each in episodes.tensors(rows.targets))
        with torch.no_grad():
            solutions = vmap(head.solve, in_dims=(None, 0, 0, 0))(meta, x, y, known)
            means, variances = vmap(member_predictions, in_dims=(None, 0, 0))(meta, solutions, x_query)
        real = queried.numpy()
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
