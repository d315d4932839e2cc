"""Scores during training, on tasks that are neither trained nor tested on, to find the best meta-parameters."""

from app.training.evaluation import score_tasks, settings_for
from app.training.on_policy import OnPolicyRun
from app.training.predictor import offline
from app.training.returns import Trial, mean_returns
from app.training.run import Run
from app.training.tasks import draw_held_out

SEED = 20190610
"""Of the validation tasks: other tasks than those of the evaluation and of the calibration."""


class Validation:
    """The validation of a run on tasks that are always the same."""

    def __init__(self, run: Run) -> None:
        self._run = run
        tasks = run.recipe.validation_tasks
        self._tasks = [
            draw_held_out(run.family, setting, run.device, tasks=tasks, split="validation", seed=SEED)
            for setting in settings_for(run.recipe, run.family)
        ]

    @property
    def due(self) -> bool:
        """Whether the run is to be validated after its latest outer step."""
        every = self._run.recipe.validate_every
        return every is not None and (self._run.step % every == 0 or self._run.step == self._run.recipe.outer_steps)

    def validate(self) -> float:
        """The mean score after the bundle's default steps. The run keeps its meta-parameters if it is the best yet."""
        run = self._run
        score = run.processes.agree(self._score(), run.device)
        run.keep_if_best(score)
        return score

    def _score(self) -> float:
        run = self._run
        predictor = offline(run.as_bundle(initial_loss=float("inf")))
        scores = [
            score_tasks(predictor, run.family.kind, tasks, [run.adapt_steps]).scores.double().mean().item()
            for tasks in self._tasks
        ]
        return sum(scores) / len(scores)


class ReturnValidation(Validation):
    """The validation of an on-policy run in worlds that are always the same: the mean return after the stages."""

    def __init__(self, run: OnPolicyRun) -> None:
        self._run: OnPolicyRun = run
        recipe = run.recipe
        self._trial = Trial(recipe.validation_tasks, run.episodes, recipe.stages, SEED, "validation")

    def _score(self) -> float:
        returns = mean_returns(self._trial.run_bundle(self._run.worlds, self._run.as_bundle()))
        return sum(each.mean for each in returns[1:]) / self._trial.stages


def validation_of(run: Run) -> Validation:
    """The validation that fits a run: by returns if it is on-policy, else by scores on tasks."""
    return ReturnValidation(run) if isinstance(run, OnPolicyRun) else Validation(run)


def out_of_patience(run: Run) -> bool:
    """Whether `patience` validations in a row found nothing better."""
    recipe = run.recipe
    if run.best is None or recipe.patience is None or recipe.validate_every is None:
        return False
    return run.step - run.best.step >= recipe.patience * recipe.validate_every
