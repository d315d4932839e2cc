"""Did adapting help? Errors on examples that were left out, in the same fused batch as the adaptation itself."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from app.errors import Invalid
from app.service.engine import UNTOUCHED, Job, Result
from app.service.model import Model
from app.service.task import Task

FOLDS, MOST_LEFT_OUT_ALONE = 10, 64
"""Above so many examples they are left out in so many folds instead of one by one."""


class Method(Enum):
    """How an adaptation is assessed."""

    leave_one_out = "leave_one_out"
    k_fold = "k_fold"


class Assessment:
    """The jobs that assess one task, and what their results say."""

    def __init__(self, model: Model, task: Task, method: Method) -> None:
        """Raises Invalid where there are not two examples."""
        size = len(task.inputs)
        if size < 2:
            raise Invalid("assessing takes 2 examples at least: one to leave out, one to adapt from", "support")
        folds = FOLDS if method is Method.k_fold or size > MOST_LEFT_OUT_ALONE else size
        self._task = task
        self._fold = np.arange(size) % min(folds, size)
        self.jobs = [Job(model, UNTOUCHED, None, task.inputs)]
        for fold in range(min(folds, size)):
            out = self._fold == fold
            rest = Task(task.inputs[~out], task.targets[~out], task.steps, task.learning_rate)
            self.jobs.append(Job(model, object(), rest, task.inputs[out], keep=False))

    def quality(self, results: Sequence[Result]) -> dict[str, Any]:
        """What came of them."""
        untouched, *folds = results
        assert untouched.predictions is not None
        left_out = np.full_like(self._task.targets, np.nan)
        for fold, result in enumerate(folds):
            if result.predictions is not None:
                left_out[self._fold == fold] = result.predictions
        error = np.square(left_out - self._task.targets).mean(axis=1)
        before = np.square(untouched.predictions - self._task.targets).mean(axis=1)
        return {
            "folds": len(folds),
            "error": float(error.mean()),
            "untouched_error": float(before.mean()),
            "errors": [float(each) for each in error],
        }
