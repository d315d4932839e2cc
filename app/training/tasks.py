"""Drawing tasks from a family, each with a support set and a query set: to train on, to validate and to evaluate on."""

from typing import NamedTuple

import torch

from app.families.family import Family, Split
from app.families.logs import Logged
from app.learn.inner import Examples
from app.learn.outer import Tasks
from app.training.logged_tasks import logged_tasks

TASKS = 600
QUERIES = 100
CLASS_QUERIES = 15
"""Queries of each class, as in the protocols of Omniglot."""
SEED = 20170309
"""Of the evaluation tasks. Recipes count their seeds from 0, so no training run draws the same tasks."""
IMAGE_FEATURES = 100
"""Inputs of at least this many numbers are treated as images, which take about a thousand times as long."""


class Setting(NamedTuple):
    """What a bundle is evaluated at. shots: support examples, per class where there are classes; ways: the classes."""

    shots: int
    ways: int | None = None

    def __str__(self) -> str:
        return f"{self.shots}-shot" if self.ways is None else f"{self.ways}-way {self.shots}-shot"


def draw_tasks(
    family: Family,
    tasks: int,
    shots: tuple[int, int],
    queries: int,
    generator: torch.Generator,
    *,
    ways: tuple[int, int] | None = None,
    split: Split = "training",
) -> Tasks:
    """Draw fresh tasks. Each task draws its own number of support examples from `shots`, both ends included.

    ways: the smallest and the largest number of classes of a task; each task draws its own. Shots and queries are then
        per class. All tasks are as wide as the largest: the columns of classes that a task lacks are padding.
    """
    if isinstance(family, Logged):
        return logged_tasks(family, tasks, shots, queries, generator, split)
    (min_shots, max_shots), (min_ways, max_ways) = shots, ways or (1, 1)
    samples = family.sample(tasks, max_shots + queries, generator, max_ways if ways else None, split)
    counts = torch.randint(min_shots, max_shots + 1, (tasks, 1), generator=generator, device=generator.device)
    place = torch.arange((max_shots + queries) * max_ways, device=generator.device)
    mask = torch.ones(tasks, len(place), dtype=torch.bool, device=generator.device)
    if min_ways < max_ways:
        classes = torch.randint(min_ways, max_ways + 1, (tasks, 1), generator=generator, device=generator.device)
        mask = place % max_ways < classes
    mask = mask & ((place // max_ways < counts) | (place >= max_shots * max_ways))
    support, query = slice(max_shots * max_ways), slice(max_shots * max_ways, None)
    return Tasks(
        *(Examples(samples.inputs[:, part], samples.targets[:, part], mask[:, part]) for part in (support, query))
    )


def draw_held_out(
    family: Family,
    setting: Setting,
    device: torch.device,
    *,
    tasks: int = TASKS,
    queries: int | None = None,
    split: Split = "test",
    seed: int = SEED,
) -> Tasks:
    """Draw the held-out tasks of a setting: the same seed always gives the same tasks.

    queries: of each task, or of each class where there are classes
    """
    generator = torch.Generator(device).manual_seed(seed)
    if queries is None:
        queries = QUERIES if setting.ways is None else CLASS_QUERIES
    ways = None if setting.ways is None else (setting.ways, setting.ways)
    return draw_tasks(family, tasks, (setting.shots,) * 2, queries, generator, ways=ways, split=split)
