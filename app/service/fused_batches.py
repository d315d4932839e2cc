"""Many tasks in one fused call: which share it, and how they are padded to one size."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from app.service.task import Task

MAX_TASKS = 256
"""Tasks in one fused call. With more the time per task falls no further (`service_tests/benchmarks/inner_loop.py`)."""
MAX_ROWS = 65_536
"""Rows in one fused call, padding included: bounds its memory."""
MIN_USED = 0.75
"""The share of the rows in a fused call that are not padding."""
MIN_WAYS = 2


def padded_ways(classes: int) -> int:
    """The width of the class axis: the next power of two, so that tasks of similar numbers of classes share a batch."""
    return max(MIN_WAYS, 1 << (classes - 1).bit_length())


def fused_batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Divide work into fused calls of items that are similar in size.

    sizes: the rows of each item
    Yields the indices of the items of each call.
    """
    if len(set(sizes)) == 1 and len(sizes) <= MAX_TASKS and len(sizes) * sizes[0] <= MAX_ROWS:
        yield list(range(len(sizes)))  # the common case, in a quarter of the time
        return
    batch: list[int] = []
    used = 0
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        padded = sizes[index] * (len(batch) + 1)
        full = len(batch) == MAX_TASKS or padded > MAX_ROWS or used + sizes[index] < MIN_USED * padded
        if batch and full:
            yield batch
            batch, used = [], 0
        batch.append(index)
        used += sizes[index]
    if batch:
        yield batch


def pad(arrays: Sequence[np.ndarray], min_size: int = 2) -> torch.Tensor:
    """Arrays of [row, width], padded with zeros to float32 [item, row, width].

    min_size: the result has at least this number of items and of rows; compiled code is general in every size but 1
    """
    lengths = set(map(len, arrays))
    items, rows = max(min_size, len(arrays)), max(min_size, *lengths)
    padded = np.zeros((items, rows, arrays[0].shape[1]), np.float32)
    if len(lengths) == 1:  # the common case, in a quarter of the time
        padded[: len(arrays), : len(arrays[0])] = arrays
    else:
        for index, array in enumerate(arrays):
            padded[index, : len(array)] = array
    return torch.from_numpy(padded)


def row_mask(lengths: Sequence[int], padded: torch.Tensor) -> torch.Tensor:
    """The mask [item, row] that is false where `pad` added a row to arrays of these lengths."""
    items, rows = padded.shape[:2]
    return torch.from_numpy(np.arange(rows) < column(lengths, np.int64, items).numpy()[:, None])


def have_weights(tasks: Sequence[Task]) -> bool:
    """Whether the examples of any of the tasks have weights."""
    return bool([True for task in tasks if task.weights is not None])


def padded_weights(tasks: Sequence[Task], padded: torch.Tensor) -> torch.Tensor:
    """The weights of the examples of tasks, [item, row], 1 where a task has none, and 0 where `pad` added a row."""
    weights = np.zeros(padded.shape[:2], np.float32)
    for index, task in enumerate(tasks):
        weights[index, : len(task.inputs)] = 1 if task.weights is None else task.weights
    return torch.from_numpy(weights)


def declared_classes(tasks: Sequence[Task], ways: int, items: int) -> torch.Tensor | tuple[()]:
    """The classes that tasks declare, bool [item, way]; empty where no task declares any."""
    if not any(task.labels for task in tasks):
        return ()
    counts = column([len(task.labels) for task in tasks], np.int64, items)
    return torch.arange(ways) < counts.unsqueeze(1)


def column(values: Sequence[float], dtype: type[np.generic], items: int) -> torch.Tensor:
    """One number an item, [item], and 0 for those that `pad` added."""
    padded = np.zeros(items, dtype)
    padded[: len(values)] = values
    return torch.from_numpy(padded)
