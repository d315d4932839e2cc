"""Scores of a bundle on held-out tasks: by support size and by steps, with 95 % intervals over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from app.families.family import Family
from app.learn import losses
from app.learn.outer_directions import Tasks
from app.learn.shape_annotations import Bool, Float
from app.learn.significance import interval
from app.training.prediction_kinds import KINDS
from app.training.predictor import Predictor, portions
from app.training.recipes.recipe import Recipe
from app.training.tasks import Setting


@dataclass(frozen=True)
class Curve:
    """The scores in one setting by number of steps.

    mean, half_width: over the tasks, with the half width of the 95 % interval
    refused: the share of tasks that the server would answer 422 (diverged); they count with their initial predictions
    """

    mean: list[float]
    half_width: list[float]
    refused: list[float]


def settings_for(recipe: Recipe, family: Family) -> list[Setting]:
    """The settings that bundles of that recipe are evaluated at."""
    ways = KINDS[family.kind].evaluation_ways(recipe, family)
    return [Setting(shots, each) for each in ways for shots in recipe.evaluation_shots]


class TaskScores(NamedTuple):
    """How well a bundle predicts the query sets of tasks, by number of steps.

    scores: of each task (`app.training.prediction_kinds.Score`)
    losses: of each task, the mean of the kind's errors
    usable: false where the server would answer 422; such a task counts with its initial predictions
    outputs: after one of the numbers of steps; logits where there are classes
    """

    scores: Float[Tensor, "step task"]
    losses: Float[Tensor, "step task"]
    usable: Bool[Tensor, "step task"]
    outputs: Float[Tensor, "task query target"]


def score_tasks(predictor: Predictor, kind: str, tasks: Tasks, steps: Sequence[int], keep: int = -1) -> TaskScores:
    """Score the predictions on tasks.

    steps: ascending, from 0 on
    keep: the index in `steps` whose outputs are returned
    """
    parts = [_score_portion(predictor, kind, portion, steps, keep) for portion in portions(tasks)]
    scores, loss, usable = (torch.cat([part[index] for part in parts], dim=1) for index in range(3))
    return TaskScores(scores, loss, usable, torch.cat([part.outputs for part in parts]))


def _score_portion(predictor: Predictor, kind: str, tasks: Tasks, steps: Sequence[int], keep: int) -> TaskScores:
    outputs, usable = predictor(tasks, steps)
    outputs = torch.where(usable[:, :, None, None], outputs, outputs[:1])
    targets = tasks.query.targets.expand(len(outputs), -1, -1, -1)
    scores, errors = KINDS[kind].score.per_example(outputs, targets), losses.KINDS[kind].error(outputs, targets)
    return TaskScores(scores.mean(-1), errors.mean(-1), usable, outputs[keep])


def curve(scores: TaskScores) -> Curve:
    """The mean scores by number of steps, with their intervals."""
    means = [interval(row) for row in scores.scores]
    return Curve(
        mean=[each.mean for each in means],
        half_width=[each.half_width for each in means],
        refused=(~scores.usable).double().mean(1).tolist(),
    )


def seconds_per_task(predictor: Predictor, tasks: Tasks, steps: int) -> float:
    """Seconds to adapt to a task and predict its queries, in as large a batch as fits; the better of two trials."""
    portion, seconds = next(portions(tasks)), []
    for _ in range(2):
        started = perf_counter()
        predictor(portion, [steps])
        seconds.append(perf_counter() - started)
    return min(seconds) / len(portion.support.mask)
