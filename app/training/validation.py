"""Scores while training, on tasks that are neither trained nor tested on: which meta-parameters are the best."""

import torch

from app.learn.inner import adapt, batched
from app.learn.metrics import SCORES
from app.learn.outer import Tasks
from app.training.evaluation import evaluation_tasks
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
        """The mean score after the bundle's default steps; the run keeps its meta-parameters if it is the best."""
        mean = torch.cat([self._scores(tasks) for tasks in self._tasks]).double().mean().item()
        score = self._run.processes.agree(mean, self._run.device)
        self._run.keep_if_best(score)
        return score

    @torch.no_grad()
    def _scores(self, tasks: Tasks) -> torch.Tensor:
        """Of each query of each task."""
        run, inner = self._run, batched(self._run.inner)
        rate = torch.full((len(tasks.support.mask),), run.recipe.inner_rate, device=run.device)
        steps = torch.full_like(rate, run.adapt_steps, dtype=torch.int64)
        states, _ = adapt(inner, run.meta, tasks.support, rate, steps, run.adapt_steps)
        outputs = inner.apply(run.meta, states, tasks.query.inputs)
        return SCORES[run.family.kind].of(outputs, tasks.query.targets)
