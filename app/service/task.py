"""A task to adapt to, and many of them padded into one batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

MOST_TASKS = 256
"""In one fused call: more cost as much a task (`service_tests/benchmarks/inner_loop.py`)."""
MOST_ROWS = 65_536
"""In one fused call, padding included: bounds its memory."""
LEAST_USED = 0.75
"""Of the rows in a fused call, so that less than a quarter of the work is padding."""


@dataclass(frozen=True)
class Task:
    """A support set with its inner-loop settings.

    inputs: float32 [shot, feature]
    targets: float32 [shot, target]
    """

    inputs: np.ndarray
    targets: np.ndarray
    steps: int
    learning_rate: float


def fused(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Divide work into fused calls: indices into `sizes` (rows of each item), alike in size and bounded."""
    if len(sizes) == 1:
        yield [0]
        return
    batch: list[int] = []
    used = 0
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        padded = sizes[index] * (len(batch) + 1)
        full = len(batch) == MOST_TASKS or padded > MOST_ROWS or used + sizes[index] < LEAST_USED * padded
        if batch and full:
            yield batch
            batch, used = [], 0
        batch.append(index)
        used += sizes[index]
    if batch:
        yield batch


def pad(arrays: Sequence[np.ndarray], least: int = 2) -> torch.Tensor:
    """Arrays of [row, width], padded with zeros to [item, row, width].

    least: items and rows that there are at least; a compiled step is general in every size but 1
    """
    lengths = set(map(len, arrays))
    items, rows = max(least, len(arrays)), max(least, *lengths)
    padded = np.zeros((items, rows, arrays[0].shape[1]), np.float32)
    if len(lengths) == 1:  # the common case, a fourth of the time
        padded[: len(arrays), : len(arrays[0])] = arrays
    else:
        for index, array in enumerate(arrays):
            padded[index, : len(array)] = array
    return torch.from_numpy(padded)


def real_rows(lengths: Sequence[int], padded: torch.Tensor) -> torch.Tensor:
    """The mask [item, row] of what `pad` did not add to arrays of these lengths."""
    items, rows = padded.shape[:2]
    return torch.from_numpy(np.arange(rows) < column(lengths, np.int64, items).numpy()[:, None])


def column(values: Sequence[float], kind: type[np.generic], items: int) -> torch.Tensor:
    """A number of each item, and 0 for each that `pad` has added."""
    padded = np.zeros(items, kind)
    padded[: len(values)] = values
    return torch.from_numpy(padded)
