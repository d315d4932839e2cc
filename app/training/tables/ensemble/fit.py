"""Fits an ensemble to the tasks of a table: its members, and their weights by the number of known rows."""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass

import torch

from app.errors import TrainingError
from app.families.task_rows import TaskRows
from app.learn.networks import NetworkSpec
from app.learn.target_scale import TargetScale
from app.learn.update_rules import Params
from app.training.tables.baselines.boosting import BoostingSettings
from app.training.tables.ensemble.member_weights import weigh
from app.training.tables.ensemble.members import MemberKind, assemble, fit_member, kinds_of
from app.training.tables.ensemble.pooled import fit_pooled
from app.training.tables.ensemble.predictions import Predictions, joined, predictions_at
from app.training.tables.ensemble.stages import Progress, Stages
from app.training.tables.ensemble.training_rows import (
    MAX_ROWS,
    MAX_TASK_ROWS,
    Scales,
    TrainingRows,
    bounded,
    folds,
    others,
    scales_of,
    standardised,
)

ALL = "all tasks"
FOLDS = 3
"""The parts that the tasks are split into to weigh the members."""
LEARNED_WORK = 20.0
"""The work of a member that learns its features, in that of one that does not."""


@dataclass(frozen=True, eq=False)
class FittedEnsemble:
    """What a bundle of an ensemble holds: its network, its meta-parameters, and how targets are standardised.

    widths: those of intervals by the number of known rows, as in `member_weights.Weighed`
    tasks: how many it was fitted to
    """

    network: NetworkSpec
    meta: Params
    scale: TargetScale
    widths: Sequence[Sequence[float]]
    tasks: int


def fit(
    tasks: Sequence[TaskRows],
    *,
    support_sizes: Sequence[int] = (3, 5, 10, 20),
    ordered: bool = False,
    seed: int = 0,
    progress: Callable[[Progress], None] = lambda progress: None,
    kept: MutableMapping[str, Params] | None = None,
    kinds: Sequence[MemberKind] | None = None,
) -> FittedEnsemble:
    """Fit an ensemble on one thread. The seed decides the result.

    tasks: at least 2 with 2 rows or more. At most MAX_ROWS rows are used, and MAX_TASK_ROWS of a task; `progress` says
        so where there are more. Neither the unit nor the origin of their targets changes a prediction, but for rounding
    support_sizes: the numbers of known rows that it should be good at; 0 always is one
    ordered: whether the known rows are the first of a task; then their order makes a difference
    kept: the results of stages, by name; give the same mapping again to go on with an interrupted fit of the same tasks
    kinds: of members; by default all (`members.kinds_of`)

    Raises TrainingError where targets are so small or so large that float32 does not hold the squares of their errors.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        chosen = kinds_of(ordered) if kinds is None else kinds
        return _fit(tasks, max(support_sizes), ordered, seed, progress, {} if kept is None else kept, chosen)
    finally:
        torch.set_num_threads(threads)


def _fit(
    tasks: Sequence[TaskRows],
    max_support: int,
    ordered: bool,
    seed: int,
    progress: Callable[[Progress], None],
    kept: MutableMapping[str, Params],
    kinds: Sequence[MemberKind],
) -> FittedEnsemble:
    used = bounded(tasks, ordered, seed)
    if (count := sum(map(len, used))) < sum(map(len, tasks)):
        text = f"uses {count:,} rows of {len(used):,} tasks: at most {MAX_ROWS:,}, and {MAX_TASK_ROWS} of a task"
        progress(Progress(text, 0.0))
    scales = scales_of(used)
    for reason in scales.target.errors(1):
        raise TrainingError(f"{reason}; write the target in another unit")
    rows = standardised(used, scales)
    splits = folds(rows.tasks, FOLDS, seed)
    work = sum(LEARNED_WORK if kind.learned else 1.0 for kind in kinds) + LEARNED_WORK
    stages = Stages(progress, kept, work * (len(splits) + 1))
    every = _pooled(stages, ALL, rows, seed)
    settings = BoostingSettings(*(int(number) for number in every["settings"]))
    parts: list[tuple[NetworkSpec, Params, TrainingRows]] = []
    for index, left_out in enumerate(splits):
        name, seen = f"fold {index + 1} of {len(splits)}", rows.of_tasks(others(rows.tasks, left_out))
        pooled = _pooled(stages, name, seen, seed, settings)
        spec, meta = _fit_members(stages, name, seen, pooled, scales, max_support, ordered, seed, kinds)
        parts.append((spec, meta, rows.of_tasks(left_out)))
    spec, meta = _fit_members(stages, ALL, rows, every, scales, max_support, ordered, seed, kinds)

    def at(size: int) -> Predictions | None:
        held_out = [predictions_at(size, *part, ordered, seed) for part in parts]
        present = [each for each in held_out if each is not None]
        return joined(present) if present else None

    weighed = weigh(meta, at, seed)
    return FittedEnsemble(spec, weighed.meta, scales.target, weighed.widths, rows.tasks)


def _pooled(
    stages: Stages, name: str, rows: TrainingRows, seed: int, settings: BoostingSettings | None = None
) -> Params:
    """The pooled model of some tasks, with its out-of-fold predictions and the settings of its trees."""

    def run(report: Callable[[float], None]) -> Params:
        params, predictions, used = fit_pooled(rows, seed, settings)
        numbers = torch.tensor([used.leaves, used.iterations])
        return params | {"predictions": torch.from_numpy(predictions), "settings": numbers}

    return stages.run(f"{name}: pooled model", LEARNED_WORK, run)


def _fit_members(
    stages: Stages,
    name: str,
    rows: TrainingRows,
    pooled: Params,
    scales: Scales,
    max_support: int,
    ordered: bool,
    seed: int,
    kinds: Sequence[MemberKind],
) -> tuple[NetworkSpec, Params]:
    """The ensemble of some tasks, with even weights."""
    predictions = pooled["predictions"].numpy()
    members = []
    for index, kind in enumerate(kinds):

        def one(report: Callable[[float], None], kind: MemberKind = kind, index: int = index) -> Params:
            return fit_member(kind, rows, predictions, max_support, ordered, seed + index, report)

        members.append(stages.run(f"{name}: {kind.name}", LEARNED_WORK if kind.learned else 1.0, one))
    network = {key: value for key, value in pooled.items() if key not in ("predictions", "settings")}
    return assemble(kinds, members, network, scales)
