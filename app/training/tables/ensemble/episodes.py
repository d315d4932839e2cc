"""Draws of known rows and queries from training tasks."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.training.tables.ensemble.training_rows import TrainingRows


class Episodes(NamedTuple):
    """Known rows and queries of some tasks, padded.

    support, query: [task, row] indices of rows of `TrainingRows`
    support_mask, query_mask: [task, row] which of them are rows and not padding
    """

    support: np.ndarray
    support_mask: np.ndarray
    query: np.ndarray
    query_mask: np.ndarray

    def tensors(self, values: np.ndarray) -> tuple[Tensor, Tensor]:
        """The values of the known rows and of the queries."""
        return torch.from_numpy(values[self.support]), torch.from_numpy(values[self.query])

    def masks(self) -> tuple[Tensor, Tensor]:
        """The masks as tensors."""
        return torch.from_numpy(self.support_mask), torch.from_numpy(self.query_mask)


def draw(
    rows: TrainingRows, tasks: np.ndarray, sizes: np.ndarray, queries: int, ordered: bool, rng: np.random.Generator
) -> Episodes:
    """For each task as many known rows as `sizes` says, and up to `queries` of its other rows.

    sizes: [task]; a task with fewer rows keeps at least one query
    ordered: whether the known rows are the first of the task and the queries later ones; otherwise both are random
    """
    lengths = np.diff(rows.starts)[tasks]
    sizes = np.minimum(sizes, lengths - 1)
    support, most = int(sizes.max(initial=0)), int(lengths.max())
    position = np.arange(most)
    keys = rng.random((len(tasks), most))
    if ordered:
        keys = np.where(position < sizes[:, None], position / most - 1, keys)
    keys[position >= lengths[:, None]] = np.inf
    order = np.argsort(keys, axis=1)
    columns = np.arange(support + queries)
    known = columns[:support] < sizes[:, None]
    place = np.concatenate([np.where(known, columns[:support], 0), sizes[:, None] + columns[:queries]], axis=1)
    real = np.concatenate([known, place[:, support:] < lengths[:, None]], axis=1)
    chosen = np.take_along_axis(order, np.where(real, place, 0), axis=1) + rows.starts[tasks][:, None]
    return Episodes(chosen[:, :support], real[:, :support], chosen[:, support:], real[:, support:])
