"""Scores during training, on tasks that are neither trained nor tested on, to find the best meta-parameters."""

from app.training.evaluation import score_tasks, settings_for
from app.training.on_policy import OnPolicyRun
from app.training.predictor import offline
from app.training.recipes.recipe import Recipe
from app.training.returns import Trial, mean_returns
from app.training.tasks import draw_held_out
from app.training.training_run import Run

SEED = 20190610
"""Of the validation tasks: other tasks than those of the evaluation and of the calibration."""
EARLY = 4
"""At most so many validations come before `validate_every` outer steps, each after twice as many steps as the last."""
FIRST_STEP = 50
"""No early validation comes before this outer step: recipes that validate that often need none."""


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
        return next_validation(self._run.recipe, self._run.step - 1) == self._run.step

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


def next_validation(recipe: Recipe, step: int) -> int | None:
    """The first outer step after `step` that is followed by a validation; None where nothing is validated.

    These are 1/16, 1/8, 1/4 and 1/2 of `validate_every`, as far as they are FIRST_STEP or more, then each multiple of
    `validate_every`, and the last outer step. So a run that is best early is seen near its best.
    """
    every = recipe.validate_every
    if every is None:
        return None
    early = [every >> halvings for halvings in range(1, EARLY + 1) if every >> halvings >= FIRST_STEP]
    later = step - step % every + every
    return min(recipe.outer_steps, later, *(each for each in early if each > step))
