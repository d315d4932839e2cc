"""Scores while training, on tasks that are neither trained nor tested on: which meta-parameters are the best."""

from app.training.evaluation import draw, scored, settings_for
from app.training.loop import Run
from app.training.on_policy import OnPolicy
from app.training.predictor import offline
from app.training.returns import Trial, intervals

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
        score = run.processes.agree(self._score(), run.device)
        run.keep_if_best(score)
        return score

    def _score(self) -> float:
        run = self._run
        predictor = offline(run.as_bundle(initial_loss=float("inf")))
        scores = [
            scored(predictor, run.family.kind, tasks, [run.adapt_steps]).scores.double().mean().item()
            for tasks in self._tasks
        ]
        return sum(scores) / len(scores)


class ReturnValidation(Validation):
    """The validation worlds of a run that acts, always the same ones: the score is the mean return after the stages."""

    def __init__(self, run: OnPolicy) -> None:
        self._run: OnPolicy = run
        recipe = run.recipe
        self._trial = Trial(recipe.validation_tasks, run.episodes, recipe.stages, SEED, "validation")

    def _score(self) -> float:
        found = intervals(self._trial.of_bundle(self._run.worlds, self._run.as_bundle()))
        return sum(each.mean for each in found[1:]) / self._trial.stages


def validation_of(run: Run) -> Validation:
    """What a run is validated by: returns where it acts, else samples."""
    return ReturnValidation(run) if isinstance(run, OnPolicy) else Validation(run)
