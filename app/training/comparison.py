"""Several algorithms on one problem: each is trained at the same budget, all are scored on the same tasks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from app.errors import TrainingError, expectation
from app.learn.significance import Interval, interval
from app.training.evaluation import score_tasks, seconds_per_task, settings_for
from app.training.on_policy import OnPolicyRun
from app.training.prediction_kinds import KINDS
from app.training.predictor import offline
from app.training.recipes.recipe import Recipe
from app.training.tasks import SEED, TASKS, Setting, draw_held_out
from app.training.train_to_end import finished
from app.training.training_run import Run
from app.training.validation import next_validation, validation_of


@dataclass(frozen=True)
class Contender:
    """The result of one algorithm.

    scores: by setting, of each test task after the default steps; all contenders have the same tasks
    steps: the default inner steps
    seconds, tasks: what training took without compiling and validating, and the tasks it saw
    ms: to adapt to a task and predict its queries in a batch, in the first setting
    """

    algorithm: str
    kind: str
    scores: Mapping[Setting, Tensor]
    steps: int
    seconds: float
    tasks: int
    ms: float

    @property
    def mean(self) -> float:
        """The mean score over all settings."""
        return torch.cat(list(self.scores.values())).double().mean().item()


def train_and_score(run: Run) -> Contender:
    """Train to the recipe's end, take the best meta-parameters by validation, and score them on the test tasks.

    Raises TrainingError for a run that learns from its own decisions: such runs have returns instead of scores.
    """
    if isinstance(run, OnPolicyRun):
        fix = "if the family has decisions to imitate, compare algorithms that imitate, with --set episodes=null"
        actual = f"{run.recipe.family}, which is trained by acting"
        raise TrainingError(expectation("family", "a family that is trained on examples", actual, fix))
    validation = validation_of(run)
    while not finished(run):
        started = perf_counter()
        run.advance((next_validation(run.recipe, run.step) or run.recipe.outer_steps) - run.step)
        run.seconds += perf_counter() - started
        if validation.due:
            validation.validate()
    run.take_best()
    return score(run)


def score(run: Run) -> Contender:
    """Score a run as it is on the test tasks."""
    bundle, kind = run.as_bundle(initial_loss=math.inf), run.family.kind
    predictor, settings = offline(bundle), settings_for(run.recipe, run.family)
    scores = {}
    for setting in settings:
        tasks = draw_held_out(run.family, setting, run.device)
        scores[setting] = score_tasks(predictor, kind, tasks, [run.adapt_steps]).scores[0]
    ms = seconds_per_task(predictor, draw_held_out(run.family, settings[0], run.device), run.adapt_steps) * 1e3
    tasks_seen = run.step * run.recipe.tasks
    return Contender(run.recipe.algorithm, kind, scores, run.adapt_steps, run.seconds, tasks_seen, ms)


def ranked(contenders: Sequence[Contender]) -> list[Contender]:
    """The contenders, the best first. One whose score is not finite comes last."""
    sign = -1 if contenders and KINDS[contenders[0].kind].score.more_is_better else 1
    return sorted(contenders, key=lambda each: sign * each.mean if math.isfinite(each.mean) else math.inf)


def paired_difference(best: Tensor, other: Tensor) -> Interval:
    """The mean difference of another's scores to the best one's over the same tasks, with its 95 % interval."""
    return interval(other.double() - best.double())


def comparison_protocol(recipe: Recipe) -> str:
    """How algorithms are compared, in words."""
    return (
        f"Each algorithm has {recipe.outer_steps:,} outer steps of {recipe.tasks} tasks. If the recipe sets "
        "`validate_every`, training keeps the parameters with the best validation score, otherwise the last "
        f"parameters. The scores are on the same {TASKS} test tasks (seed {SEED}) after the default steps, with 95 % "
        "intervals. In brackets: the difference to the first algorithm, paired by task. The training time leaves out "
        "compiling and validating"
    )


def comparison_text(contenders: Sequence[Contender]) -> str:
    """A table in Markdown, the best first, with the differences to it, paired by tasks."""
    order = ranked(contenders)
    settings = list(order[0].scores)
    head = ["", *map(str, settings), "inner steps", "trained, s", "tasks seen", "ms per task"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for each in order:
        cells = [_cell(order[0].scores[setting], each.scores[setting], each is order[0]) for setting in settings]
        cost = [f"{each.steps}", f"{each.seconds:,.0f}", f"{each.tasks:,}", f"{each.ms:.3g}"]
        lines.append("| " + " | ".join([each.algorithm, *cells, *cost]) + " |")
    return "\n".join(lines)


def _cell(best: Tensor, scores: Tensor, first: bool) -> str:
    mean, half_width = interval(scores)
    cell = f"{mean:.4g} ± {half_width:.2g}"
    if first:
        return cell
    difference = paired_difference(best, scores)
    return f"{cell} ({difference.mean:+.3g} ± {difference.half_width:.2g})"
