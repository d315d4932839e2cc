"""Scores while training, on tasks that are neither trained nor tested on: which meta-parameters are the best."""

import torch

from app.learn.outer import Tasks
from app.training.evaluation import evaluation_tasks, task_scores
from app.training.loop import Run

SEED = 20190610
"""Of the validation tasks: neither those of the evaluation nor those of the calibration."""


class Validation:
    """The validation tasks of a run, always the same ones."""

    def __init__(self, run: Run) -> None:
        self._run = run
        count = run.recipe.validation_tasks
        self._tasks: list[Tasks] = [
            evaluation_tasks(run.family, shots, run.device, tasks=count, seed=SEED)
            for shots in run.recipe.evaluation_shots
        ]

    @property
    def due(self) -> bool:
        """Whether the run is to be validated after the outer step that it has just taken."""
        every = self._run.recipe.validate_every
        return every is not None and (self._run.step % every == 0 or self._run.step == self._run.recipe.outer_steps)

    def validate(self) -> float:
        """The mean query error after the bundle's default steps; the run keeps its meta-parameters if it is the lowest.

        An error that is not finite is infinite.
        """
        run = self._run
        rate, steps = run.recipe.inner_rate, run.recipe.adapt_steps
        scores = [task_scores(run.inner, run.loss, run.meta, each, rate, steps)[1][-1] for each in self._tasks]
        mean = torch.cat(scores).double().nan_to_num(nan=torch.inf).mean().item()
        error = run.processes.agree(mean, run.device)
        run.keep_if_best(error)
        return error
