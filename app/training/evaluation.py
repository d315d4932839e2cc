"""Scores of a bundle on held-out tasks: by support size and by steps, with 95 % intervals over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from app.families.family import Family, Split
from app.learn.losses import KINDS
from app.learn.metrics import SCORES, interval
from app.learn.outer import Tasks
from app.learn.shapes import Bool, Float
from app.training.loop import draw_tasks
from app.training.predictor import Predictor, portions
from app.training.recipes.recipe import Recipe

TASKS = 600
QUERIES = 100
CLASS_QUERIES = 15
"""Of each class, as in the protocols of Omniglot."""
IMAGE = 100
"""Inputs of at least so many numbers are taken for images, or the like of them: what takes a thousand times as long."""
SEED = 20170309
"""Of the evaluation tasks. Recipes count their seeds from 0, so that no training run draws the same tasks."""


class Setting(NamedTuple):
    """What an evaluation is at. shots: support examples, of a classification of each class; ways: its classes."""

    shots: int
    ways: int | None = None

    def __str__(self) -> str:
        return f"{self.shots}-shot" if self.ways is None else f"{self.ways}-way {self.shots}-shot"


@dataclass(frozen=True)
class Curve:
    """Scores after 0, 1, ... steps in one setting.

    mean, half_width: over the tasks, with the half width of the 95 % interval
    refused: the share of tasks that the server would answer 422 (diverged); they count with their initial answers
    """

    mean: list[float]
    half_width: list[float]
    refused: list[float]


def settings_for(recipe: Recipe, family: Family) -> list[Setting]:
    """What a bundle of that recipe is evaluated at."""
    if not KINDS[family.kind].one_hot:
        return [Setting(shots) for shots in recipe.evaluation_shots]
    ways = recipe.evaluation_ways or (family.targets,)
    return [Setting(shots, each) for each in ways for shots in recipe.evaluation_shots]


def draw(
    family: Family,
    setting: Setting,
    device: torch.device,
    *,
    tasks: int = TASKS,
    queries: int | None = None,
    split: Split = "test",
    seed: int = SEED,
) -> Tasks:
    """The held-out tasks of a setting, always the same ones for the same seed.

    queries: of a classification, of each class
    """
    generator = torch.Generator(device).manual_seed(seed)
    if queries is None:
        queries = QUERIES if setting.ways is None else CLASS_QUERIES
    ways = None if setting.ways is None else (setting.ways, setting.ways)
    return draw_tasks(family, tasks, (setting.shots,) * 2, queries, generator, ways=ways, split=split)


class Scored(NamedTuple):
    """What a bundle answered in one setting, by the numbers of steps that were asked for.

    scores: of each task, as SCORES has them; losses: of each task, as the kind's loss
    usable: false where the server would answer 422; such a task counts with its initial answers
    outputs: after the number of steps that is kept; logits of classes
    """

    scores: Float[Tensor, "step task"]
    losses: Float[Tensor, "step task"]
    usable: Bool[Tensor, "step task"]
    outputs: Float[Tensor, "task query target"]


def scored(predictor: Predictor, kind: str, tasks: Tasks, steps: Sequence[int], keep: int = -1) -> Scored:
    """Score the answers to tasks. steps: ascending, from 0 on; keep: the place of the one whose outputs are kept."""
    parts = [_scored(predictor, kind, portion, steps, keep) for portion in portions(tasks)]
    scores, losses, usable = (torch.cat([part[place] for part in parts], dim=1) for place in range(3))
    return Scored(scores, losses, usable, torch.cat([part.outputs for part in parts]))


def _scored(predictor: Predictor, kind: str, tasks: Tasks, steps: Sequence[int], keep: int) -> Scored:
    outputs, usable = predictor(tasks, steps)
    outputs = torch.where(usable[:, :, None, None], outputs, outputs[:1])
    targets = tasks.query.targets.expand(len(outputs), -1, -1, -1)
    scores, losses = SCORES[kind].of(outputs, targets), KINDS[kind].error(outputs, targets)
    return Scored(scores.mean(-1), losses.mean(-1), usable, outputs[keep])


def curve(found: Scored) -> Curve:
    """The scores by steps."""
    means = [interval(row) for row in found.scores]
    return Curve(
        mean=[each.mean for each in means],
        half_width=[each.half_width for each in means],
        refused=(~found.usable).double().mean(1).tolist(),
    )


def seconds_a_task(predictor: Predictor, tasks: Tasks, steps: int) -> float:
    """Seconds to adapt to a task and answer its queries, in as large a batch as fits; the better of two."""
    portion, took = next(portions(tasks)), []
    for _ in range(2):
        started = perf_counter()
        predictor(portion, [steps])
        took.append(perf_counter() - started)
    return min(took) / len(portion.support.mask)
