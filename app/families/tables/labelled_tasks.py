"""Tasks whose targets are labels: the rows of each label, and how they are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.errors import DataError, expectation
from app.families.task_rows import TaskRows

MIN_ROWS = 2
"""Of a label in a task: one known and one to predict."""
QUANTILE = 0.25
"""Labels with fewer rows in a task than this share of all have are left out there."""
MOST = 0.5
"""Of the tasks have as many labels as a training task gets."""


@dataclass(frozen=True, eq=False)
class LabelledTasks:
    """The tasks that have enough labels with enough rows.

    ways: the labels of a task
    min_rows: of a label that counts in a task
    rows: of each task, the features of each of its labels, float32 [row, feature]
    """

    ways: int
    min_rows: int
    rows: Sequence[Sequence[Tensor]]

    @property
    def max_shots(self) -> int:
        """The largest number of known rows of a label that leaves others to predict."""
        return _known(self.min_rows)

    def draw(self, ways: int, examples: int, generator: torch.Generator) -> Tensor:
        """The features of rows of some labels of a task, float32 [way, example, feature]."""
        able = [task for task in self.rows if len(task) >= ways]
        if not able:
            raise DataError(expectation("ways", f"at most {self.ways} labels in a task", ways))
        task = able[_below(len(able), generator)]
        labels = torch.randperm(len(task), generator=generator, device=generator.device)[:ways].tolist()
        return torch.stack([_draw_rows(task[label], examples, generator) for label in labels])


def labelled_tasks(tasks: Sequence[TaskRows], ways: int, min_rows: int) -> LabelledTasks:
    """The tasks with at least that many labels that have at least so many rows."""
    rows = [_by_label(task, min_rows) for task in tasks]
    return LabelledTasks(ways, min_rows, [each for each in rows if len(each) >= ways])


def label_sizes(tasks: Sequence[TaskRows], column: str) -> tuple[int, int]:
    """How many labels a task has, and how many rows a label has in it at least.

    Raises DataError where most tasks have a single label.
    """
    sizes = [np.unique(task.targets, return_counts=True)[1] for task in tasks]
    counts = np.concatenate([size[size >= MIN_ROWS] for size in sizes])
    min_rows = max(MIN_ROWS, int(np.quantile(counts, QUANTILE))) if len(counts) else MIN_ROWS
    for fewest in (min_rows, MIN_ROWS):
        labels = np.sort([(size >= fewest).sum() for size in sizes])[::-1]
        ways = int(labels[int(MOST * (len(labels) - 1))])
        if ways >= 2:
            return ways, fewest
    expected = f"at least 2 labels with {MIN_ROWS} rows or more in most tasks"
    fix = "use --kind regression if they are amounts, or choose another task"
    raise DataError(expectation(f"--target {column}", expected, "one label in most tasks", fix))


def _by_label(task: TaskRows, min_rows: int) -> list[Tensor]:
    labels = task.targets[:, 0]
    parts = [task.inputs[labels == label] for label in np.unique(labels)]
    return [torch.from_numpy(part) for part in parts if len(part) >= min_rows]


def _draw_rows(rows: Tensor, examples: int, generator: torch.Generator) -> Tensor:
    """Rows of a label in random order. Where there are too few, the last ones repeat, and none of the first."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device).cpu()
    known = _known(len(rows))
    more = known + torch.arange(max(0, examples - len(rows))) % (len(rows) - known)
    return rows[order[torch.cat([torch.arange(min(examples, len(rows))), more])]].to(generator.device)


def _known(rows: int) -> int:
    """Of so many rows, those that never repeat."""
    return rows - max(1, rows // 4)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator, device=generator.device))
