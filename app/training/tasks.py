"""Drawing tasks from a family, each with a support set and a query set: to train on, to validate and to evaluate on."""

from typing import NamedTuple

import torch
from torch import Tensor

from app.errors import TrainingError, expectation
from app.families.decision_log import Logged
from app.families.family import Family, HasTaskCounts, NamedSamples, PaddedSamples, Samples, Split
from app.learn import losses
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.learn.shape_annotations import Int
from app.plugins import user_code
from app.training.logged_tasks import logged_tasks

TASKS = 600
QUERIES = 100
CLASS_QUERIES = 15
"""Queries of each class, as in the protocols of Omniglot."""
SEED = 20170309
"""Of the evaluation tasks. Recipes count their seeds from 0, so no training run draws the same tasks."""
IMAGE_FEATURES = 100
"""Inputs of at least this many numbers are treated as images, which take about a thousand times as long."""

DRAWS, MIN_TASKS = 3, 60
"""Of the same few tasks, more draws say little more: the tasks differ more than the draws of one."""
NAMED_SHARE = 0.5
"""Of the training tasks whose classes have names, those where the names count."""
UNEQUAL = "put tasks of different sizes together with `app.families.family.stack_tasks`"
"""What to do where a family stacks tasks that cannot be stacked."""


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
    samples = sample(family, tasks, max_shots + queries, generator, ways=max_ways if ways else None, split=split)
    counts = torch.randint(min_shots, max_shots + 1, (tasks, 1), generator=generator, device=generator.device)
    if isinstance(samples, PaddedSamples):
        return _split(samples, family, counts, max_shots, queries)
    place = torch.arange((max_shots + queries) * max_ways, device=generator.device)
    mask = torch.ones(tasks, len(place), dtype=torch.bool, device=generator.device)
    if min_ways < max_ways:
        classes = torch.randint(min_ways, max_ways + 1, (tasks, 1), generator=generator, device=generator.device)
        mask = place % max_ways < classes
    mask = mask & ((place // max_ways < counts) | (place >= max_shots * max_ways))
    support, query = slice(max_shots * max_ways), slice(max_shots * max_ways, None)
    tasks_drawn = Tasks(
        *(Examples(samples.inputs[:, part], samples.targets[:, part], mask[:, part]) for part in (support, query))
    )
    if not isinstance(samples, NamedSamples):
        return tasks_drawn
    return _with_names(tasks_drawn, samples, mask[:, -max_ways:], generator if split == "training" else None)


def _with_names(tasks: Tasks, samples: NamedSamples, present: Tensor, generator: torch.Generator | None) -> Tasks:
    """The tasks with the names of their classes as one more example of each.

    present: which classes a task has
    generator: draws which half of the tasks have no names, as requests may go without; None where all have them
    """
    mask = samples.has_name & present
    if generator is not None:
        mask &= torch.rand((len(mask), 1), generator=generator, device=generator.device) < NAMED_SHARE
    names = Examples(samples.names, torch.eye(mask.shape[1], device=mask.device).expand(*mask.shape, -1), mask)
    support = tasks.support
    inputs, targets, both = (torch.cat(pair, 1) for pair in zip(support[:3], names[:3], strict=True))
    return tasks._replace(support=Examples(inputs, targets, both))


def sample(
    family: Family,
    tasks: int,
    examples: int,
    generator: torch.Generator,
    *,
    ways: int | None = None,
    split: Split = "training",
) -> Samples:
    """Sample from a family, as `Family.sample` does. Samples with fewer examples than that come as `PaddedSamples`.

    Raises TrainingError that names the family where it raises, or where its samples have another form.
    """
    name = f"the family {type(family).__name__}"
    with user_code(name, hints={"equal size": UNEQUAL}):
        samples = family.sample(tasks, examples, generator, ways, split)
    classes = losses.KINDS[family.kind].one_hot
    rows = examples * (ways or family.targets) if classes else examples
    if samples.inputs.shape[:2] == samples.targets.shape[:2] == (tasks, rows):
        return samples
    (count, given), *others = {each.shape[:2] for each in samples}
    if others or count != tasks or given > rows or classes:
        actual = " and ".join(str(list(each.shape)) for each in samples)
        expected = f"{tasks} tasks of {rows} examples in inputs and targets"
        raise TrainingError(expectation(name, expected, f"the shapes {actual}", "" if classes else UNEQUAL))
    return PaddedSamples(*samples)


def _split(samples: PaddedSamples, family: Family, counts: Tensor, max_shots: int, queries: int) -> Tasks:
    """Support and query sets of tasks of different sizes. counts: the support examples that each task is to have."""
    sizes = sizes_of(samples)[:, None]
    if (smallest := int(sizes.min())) < 2:
        name = f"the family {type(family).__name__}"
        raise TrainingError(expectation(name, "at least 2 examples in each task", smallest, "leave smaller tasks out"))
    place, first = torch.arange(max_shots, device=sizes.device), (sizes - 1).clamp(max=max_shots)
    support = torch.minimum(place, first - 1)  # padding repeats an example, so that it is no nearer to a query
    query = first + torch.arange(queries, device=sizes.device) % (sizes - first)
    return Tasks(
        _examples_at(samples, support, place < torch.minimum(counts, first)),
        _examples_at(samples, query, torch.ones_like(query, dtype=torch.bool)),
    )


def _examples_at(samples: Samples, rows: Tensor, mask: Tensor) -> Examples:
    inputs, targets = (part.take_along_dim(rows[..., None], 1) for part in samples)
    return Examples(inputs, targets, mask)


def sizes_of(samples: Samples) -> Int[Tensor, " task"]:
    """How many examples each task has."""
    return (~samples.targets.isnan().any(-1)).sum(1)


def limit_draws(family: Family, tasks: int, split: Split, draws: int = DRAWS) -> int:
    """How many tasks to draw: as many as asked for, but at most `draws` times as many as the family has."""
    if not isinstance(family, HasTaskCounts):
        return tasks
    return min(tasks, max(MIN_TASKS, draws * family.task_counts[split]))


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
