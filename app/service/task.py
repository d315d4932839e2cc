"""A task to adapt to, and many of them padded into one batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

MAX_TASKS = 256
"""In one fused call: more cost as much a task (`service_tests/benchmarks/inner_loop.py`)."""
MAX_ROWS = 65_536
"""In one fused call, padding included: bounds its memory."""
MIN_USED = 0.75
"""Of the rows in a fused call, so that less than a quarter of the work is padding."""


@dataclass(frozen=True)
class Task:
    """A support set with its inner-loop settings.

    inputs: float32 [shot, feature]
    targets: float32 [shot, target], or labels: strings, [shot] of objects, or decisions (`app.service.decisions`)
    episodes: of decisions, the number of the episode that each is of, int32 [shot], ascending
    before: of decisions, the stage before, whose weights this one begins with
    """

    inputs: np.ndarray
    targets: np.ndarray
    steps: int
    learning_rate: float
    episodes: np.ndarray | None = None
    before: "Task | None" = None

    @property
    def stages(self) -> "list[Task]":
        """The stages before and this one, the first one first."""
        found, stage = [self], self.before
        while stage is not None:
            found.append(stage)
            stage = stage.before
        return found[::-1]

    @cached_property
    def bytes(self) -> int:
        """Of its arrays."""
        own = self.inputs.nbytes + self.targets.nbytes
        return own if self.before is None else sum(each.inputs.nbytes + each.targets.nbytes for each in self.stages)

    @cached_property
    def rows(self) -> int:
        """Of examples in all stages."""
        return len(self.inputs) if self.before is None else sum(len(each.inputs) for each in self.stages)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels as they first come; none where targets are numbers."""
        return classes_of(self.targets)

    @property
    def indices(self) -> np.ndarray:
        """The class of each example, int64 [shot], by its place in `classes`."""
        places = {label: place for place, label in enumerate(self.classes)}
        return np.array([places[label] for label in self.targets.tolist()], np.int64)

    def one_hot(self, ways: int) -> np.ndarray:
        """The classes of the examples, float32 [shot, way], 1 for its own and 0 for others."""
        hot: np.ndarray = np.eye(ways, dtype=np.float32)[self.indices]
        return hot


def classes_of(targets: np.ndarray) -> tuple[str, ...]:
    """The labels among targets as they first come; none where these are numbers."""
    return tuple(dict.fromkeys(targets.tolist())) if targets.dtype == object else ()


MIN_WAYS = 2


def ways_of(classes: int) -> int:
    """The width of the class axis for so many: the next power of two, so that tasks of about as many share a batch."""
    return max(MIN_WAYS, 1 << (classes - 1).bit_length())


def fused(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Divide work into fused calls: indices into `sizes` (rows of each item), alike in size and bounded."""
    if len(set(sizes)) == 1 and len(sizes) <= MAX_TASKS and len(sizes) * sizes[0] <= MAX_ROWS:
        yield list(range(len(sizes)))  # the common case, a fourth of the time
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
