"""How regressors on tables are compared: which tasks are held out, and which of their rows are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np

from app.errors import TrainingError, expectation
from app.families.task_rows import TaskRows

SIZES = (0, 3, 5, 10, 20)
"""Known rows of a held-out task."""


MAX_TRAINING_TASKS = 1_000
MAX_SCORED_TASKS = 300
MAX_TASK_ROWS = 500
"""Of a training task. More are no help where at most 20 rows are known."""


class Split(NamedTuple):
    """Training tasks and held-out tasks. Their inputs are encoded alike.

    validation: tasks to choose a baseline by; without them, the choice is by cross-validation over training tasks
    """

    training: Sequence[TaskRows]
    held_out: Sequence[TaskRows]
    validation: Sequence[TaskRows] = ()

    def limited(self) -> "Split":
        """The first tasks and rows, which bounds the time of a comparison."""
        training = [_first_rows(task) for task in self.training[:MAX_TRAINING_TASKS]]
        return Split(training, self.held_out[:MAX_SCORED_TASKS], self.validation[:MAX_SCORED_TASKS])


class KnownRows(NamedTuple):
    """The rows of a task that are known and those to predict, by their index."""

    support: np.ndarray
    queries: np.ndarray


@dataclass(frozen=True)
class Protocol:
    """Which rows of a held-out task are known, and which are to be predicted.

    sizes: how many rows are known
    draws: how often known rows are drawn at random; with `ordered` there is one choice only
    ordered: the first rows are known and later ones are predicted, in the order that the tasks have
    labels: whether a target is the index of a label, and the error is the share of wrong ones
    max_queries: rows to predict per task and draw; the rest is left out
    """

    sizes: Sequence[int] = SIZES
    draws: int = 3
    ordered: bool = False
    labels: bool = False
    max_queries: int = 500
    seed: int = 0

    def known_rows(self, task: TaskRows, size: int) -> Iterator[KnownRows]:
        """The choices of known rows: none if no row would be left to predict.

        Draws of a task are nested: the rows of a smaller size are among those of a larger one.
        """
        if len(task) <= size:
            return
        for draw in range(1 if self.ordered else self.draws):
            rows = np.arange(len(task)) if self.ordered else self._generator(task, draw).permutation(len(task))
            yield KnownRows(rows[:size], rows[size : size + self.max_queries])

    def _generator(self, task: TaskRows, draw: int) -> np.random.Generator:
        """Does not depend on the other tasks, so that all regressors see the same rows."""
        return np.random.default_rng([self.seed, draw, crc32(task.name.encode())])


def folds(tasks: Sequence[TaskRows], count: int, seed: int = 0) -> list[Split]:
    """Cross-validation over tasks: each task is held out once.

    Raises TrainingError if there are fewer tasks than folds.
    """
    if len(tasks) < count or count < 2:
        raise TrainingError(expectation("the table", f"at least {max(count, 2)} tasks", len(tasks)))
    order = np.random.default_rng(seed).permutation(len(tasks))
    parts = [set(part.tolist()) for part in np.array_split(order, count)]
    return [
        Split([task for row, task in enumerate(tasks) if row not in part], [tasks[row] for row in sorted(part)])
        for part in parts
    ]


def _first_rows(task: TaskRows) -> TaskRows:
    if len(task) <= MAX_TASK_ROWS:
        return task
    return TaskRows(task.name, task.inputs[:MAX_TASK_ROWS], task.targets[:MAX_TASK_ROWS])
