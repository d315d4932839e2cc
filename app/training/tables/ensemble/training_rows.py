"""The rows of training tasks, standardised and side by side, as the members are fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.families.task_rows import TaskRows
from app.learn.target_scale import TargetScale
from app.training.tables.nonzero_std import deviations

MAX_ROWS = 20_000
"""At most so many rows are used; of a larger table, tasks and rows are drawn at random."""
MAX_TASK_ROWS = 200
"""At most so many rows of a task are used; with an order, the first quarter of these are its first rows."""


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The rows of all tasks, those of a task one after the other.

    raw, inputs: [row, feature] float32, encoded; and standardised
    targets: [row] float32, standardised
    task: [row] the index of its task
    starts: [task + 1] where the rows of each task start
    """

    raw: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    task: np.ndarray
    starts: np.ndarray

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(self.starts) - 1

    def of_tasks(self, chosen: np.ndarray) -> "TrainingRows":
        """The rows of some tasks, by their indices."""
        rows = self.rows_of(chosen)
        starts = np.concatenate([[0], np.cumsum(np.diff(self.starts)[chosen])])
        task = np.repeat(np.arange(len(chosen)), np.diff(starts))
        return replace(
            self, raw=self.raw[rows], inputs=self.inputs[rows], targets=self.targets[rows], task=task, starts=starts
        )

    def rows_of(self, chosen: np.ndarray) -> np.ndarray:
        """The indices of the rows of some tasks."""
        return np.concatenate([np.arange(self.starts[each], self.starts[each + 1]) for each in chosen])


@dataclass(frozen=True, eq=False)
class Scales:
    """How rows are standardised. input_mean, input_std: [feature]"""

    input_mean: np.ndarray
    input_std: np.ndarray
    target: TargetScale


def bounded(tasks: Sequence[TaskRows], ordered: bool, seed: int) -> list[TaskRows]:
    """At most MAX_TASK_ROWS rows of a task and MAX_ROWS in all, drawn at random. Tasks of a single row are left out."""
    rng = np.random.default_rng(seed)
    usable = [task for task in tasks if len(task) > 1]
    kept: list[tuple[int, TaskRows]] = []
    rows = 0
    for index in rng.permutation(len(usable)):
        task = _at_most(usable[index], MAX_TASK_ROWS, ordered, rng)
        if kept and rows + len(task) > MAX_ROWS:
            break
        kept.append((index, task))
        rows += len(task)
    return [task for _, task in sorted(kept, key=lambda pair: pair[0])]


def _at_most(task: TaskRows, count: int, ordered: bool, rng: np.random.Generator) -> TaskRows:
    if len(task) <= count:
        return task
    first = count // 4 if ordered else 0
    others = first + rng.choice(len(task) - first, count - first, replace=False)
    rows = np.concatenate([np.arange(first), np.sort(others)])
    return replace(task, inputs=task.inputs[rows], targets=task.targets[rows])


def scales_of(tasks: Sequence[TaskRows]) -> Scales:
    """The means and standard deviations over all rows of training tasks; 1 for a column that does not vary."""
    inputs, targets = (
        np.concatenate([getattr(task, name) for task in tasks]).astype(np.float64) for name in ("inputs", "targets")
    )
    target = TargetScale((float(targets.mean()),), (float(deviations(targets)[0]),))
    return Scales(inputs.mean(0).astype(np.float32), deviations(inputs).astype(np.float32), target)


def standardised(tasks: Sequence[TaskRows], scales: Scales) -> TrainingRows:
    """The rows of tasks."""
    raw = np.concatenate([task.inputs for task in tasks]).astype(np.float32)
    targets = np.concatenate([task.targets[:, 0] for task in tasks]).astype(np.float64)
    targets = (targets - scales.target.mean[0]) / scales.target.std[0]
    starts = np.concatenate([[0], np.cumsum([len(task) for task in tasks])])
    return TrainingRows(
        raw,
        (raw - scales.input_mean) / scales.input_std,
        targets.astype(np.float32),
        np.repeat(np.arange(len(tasks)), np.diff(starts)),
        starts,
    )


def folds(tasks: int, count: int, seed: int) -> list[np.ndarray]:
    """The indices of the tasks that each fold leaves out. There are at most as many folds as tasks."""
    order = np.random.default_rng(seed).permutation(tasks)
    return [np.sort(order[index::count]) for index in range(min(count, tasks))]


def others(tasks: int, left_out: np.ndarray) -> np.ndarray:
    """The indices of all other tasks."""
    return np.setdiff1d(np.arange(tasks), left_out)
