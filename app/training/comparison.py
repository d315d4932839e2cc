"""Several algorithms on one problem: each trained at the same budget, all scored on the same tasks."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from app.learn.metrics import SCORES, Interval, interval
from app.training.evaluation import SEED, TASKS, Setting, draw, scored, seconds_a_task, settings_for
from app.training.loop import Run
from app.training.predictor import offline
from app.training.recipes.recipe import Recipe
from app.training.validation import Validation


@dataclass(frozen=True)
class Contender:
    """What came of one algorithm.

    scores: of each test task after the default steps, by setting; the tasks are the same for all
    steps: inner steps, the default ones
    seconds, tasks: what training took, without compiling and validating, and the tasks that it saw
    ms: to adapt to a task and answer its queries in a batch, in the first setting
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
        """Of all settings."""
        return torch.cat(list(self.scores.values())).double().mean().item()


def contend(run: Run, advanced: Callable[[int], None] = lambda step: None) -> Contender:
    """Train to the recipe's end, take the best meta-parameters by validation, and score them on the test tasks.

    advanced: is told how many outer steps are taken
    """
    validation, every = Validation(run), run.recipe.validate_every or run.recipe.outer_steps
    while not run.finished:
        started = perf_counter()
        run.advance(min(run.recipe.outer_steps, run.step - run.step % every + every) - run.step)
        run.seconds += perf_counter() - started
        if validation.due:
            validation.validate()
        advanced(run.step)
    run.take_best()
    return score(run)


def score(run: Run) -> Contender:
    """Score a run as it is on the test tasks."""
    bundle, kind = run.as_bundle(initial_loss=math.inf), run.family.kind
    predictor, settings = offline(bundle), settings_for(run.recipe, run.family)
    scores = {}
    for setting in settings:
        tasks = draw(run.family, setting, run.device)
        scores[setting] = scored(predictor, kind, tasks, [run.adapt_steps]).scores[0]
    ms = seconds_a_task(predictor, draw(run.family, settings[0], run.device), run.adapt_steps) * 1e3
    tasks_seen = run.step * run.recipe.tasks
    return Contender(run.recipe.algorithm, kind, scores, run.adapt_steps, run.seconds, tasks_seen, ms)


def ranked(contenders: Sequence[Contender]) -> list[Contender]:
    """The best first; one whose score is not finite comes last."""
    sign = -1 if contenders and SCORES[contenders[0].kind].more_is_better else 1
    return sorted(contenders, key=lambda each: sign * each.mean if math.isfinite(each.mean) else math.inf)


def behind(best: Tensor, other: Tensor) -> Interval:
    """How far another's scores are from the best one's, over the same tasks: the mean with its 95 % interval."""
    return interval(other.double() - best.double())


def comparison_protocol(recipe: Recipe) -> str:
    """How algorithms are compared, in a sentence."""
    return (
        f"{recipe.outer_steps:,} outer steps of {recipe.tasks} tasks each, the best of them by validation tasks; "
        f"scores of the same {TASKS} test tasks (seed {SEED}) after the default steps, with 95 % intervals, and in "
        "brackets the difference to the first, paired by tasks; trained without the time of compiling and validating"
    )


def comparison_text(contenders: Sequence[Contender]) -> str:
    """The table in Markdown, the best first, with the differences to it, which are paired by tasks."""
    order = ranked(contenders)
    settings = list(order[0].scores)
    head = ["", *map(str, settings), "inner steps", "trained, s", "tasks seen", "ms a task"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for each in order:
        cells = [_cell(order[0].scores[setting], each.scores[setting], each is order[0]) for setting in settings]
        cost = [f"{each.steps}", f"{each.seconds:,.0f}", f"{each.tasks:,}", f"{each.ms:.3g}"]
        lines.append("| " + " | ".join([each.algorithm, *cells, *cost]) + " |")
    return "\n".join(lines)


def _cell(best: Tensor, own: Tensor, first: bool) -> str:
    found = interval(own)
    shown = f"{found.mean:.4g} ± {found.half_width:.2g}"
    if first:
        return shown
    difference = behind(best, own)
    return f"{shown} ({difference.mean:+.3g} ± {difference.half_width:.2g})"
