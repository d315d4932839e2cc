"""Scores while training, on tasks that are neither trained nor tested on: which meta-parameters are the best."""

from app.training.bundling import bundle_of
from app.training.evaluation import draw, scored, settings_for
from app.training.loop import Run
from app.training.predictor import offline

SEED = 20190610
"""Of the validation tasks: neither those of the evaluation nor those of the calibration."""


class Validation:
    """The validation tasks of a run, always the same ones."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tasks = [
            draw(run.family, setting, run.device, tasks=run.recipe.validation_tasks, split="validation", seed=SEED)
            for setting in settings_for(run.recipe, run.family)
        ]

    @property
    def due(self) -> bool:
        """Whether the run is to be validated after the outer step that it has just taken."""
        every = self._run.recipe.validate_every
        return every is not None and (self._run.step % every == 0 or self._run.step == self._run.recipe.outer_steps)

    def validate(self) -> float:
        """The mean score after the bundle's default steps; the run keeps its meta-parameters if it is the best."""
        run = self._run
        predictor = offline(bundle_of(run, untouched_loss=float("inf")))
        scores = [
            scored(predictor, run.family.kind, tasks, [run.adapt_steps]).scores.double().mean().item()
            for tasks in self._tasks
        ]
        score = run.processes.agree(sum(scores) / len(scores), run.device)
        run.keep_if_best(score)
        return score
