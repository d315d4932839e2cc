"""A model and the baselines on the same held-out tasks and rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from app.families.task_rows import TaskRows
from app.learn.significance import Interval, interval
from app.training.tables.held_out_rows import Protocol, Split, folds
from app.training.tables.regressor import Regressor
from app.training.tables.scores import TaskScores, score_tasks, target_variance

INNER_FOLDS = 3
"""Of the cross-validation over training tasks that chooses a baseline."""

Progress = Callable[[str], None]


class Scored(NamedTuple):
    """The scores of a regressor that was fitted to the training tasks of a split.

    held_out, validation: on these tasks of the split
    seconds: what fitting and predicting took
    """

    held_out: TaskScores
    validation: TaskScores
    seconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """The scores of regressors on the same tasks and rows.

    model, baselines: names; a model is not among the baselines
    tasks: the names of the held-out tasks, in the order of the scores
    scores: by the name of the regressor
    chosen: the baseline that validation chose, [size][task]: with cross-validation, each fold chooses its own
    seconds: what fitting and predicting took, by name, all folds together
    """

    model: str
    baselines: Sequence[str]
    protocol: Protocol
    tasks: Sequence[str]
    scores: Mapping[str, TaskScores]
    chosen: Sequence[Sequence[str]]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def errors_of(self, name: str, size: int) -> np.ndarray:
        """The standardised squared error of each task, [task]; NaN where it has too few rows."""
        return np.asarray(self.scores[name].errors[self._row(size)])

    def error(self, name: str, size: int) -> Interval:
        """The mean standardised squared error over tasks, with its 95 % interval."""
        return _interval(self.errors_of(name, size))

    def coverage(self, name: str, size: int) -> Interval:
        """The share of queries inside their 90 % interval, mean over tasks; NaN without intervals."""
        return _interval(self.scores[name].coverage[self._row(size)])

    def interval_score(self, name: str, size: int) -> Interval:
        """The mean interval score over tasks; NaN without intervals."""
        return _interval(self.scores[name].interval_scores[self._row(size)])

    def best_baseline(self, size: int) -> str:
        """The baseline that validation chooses; with cross-validation, that of most tasks."""
        return Counter(self.chosen[self._row(size)]).most_common(1)[0][0]

    def chosen_error(self, size: int) -> Interval:
        """Of the baseline that validation chooses."""
        return _interval(self._chosen_errors(size))

    def difference(self, size: int, name: str | None = None) -> Interval:
        """The error of the model minus that of a baseline, paired by task: below 0 if the model is better.

        name: of the baseline; None for the one that validation chooses
        """
        others = self._chosen_errors(size) if name is None else self.errors_of(name, size)
        return _interval(self.errors_of(self.model, size) - others)

    def _chosen_errors(self, size: int) -> np.ndarray:
        row = self._row(size)
        errors = [self.scores[name].errors[row, task] for task, name in enumerate(self.chosen[row])]
        return np.array(errors)

    def _row(self, size: int) -> int:
        return list(self.protocol.sizes).index(size)


def fit_and_score(regressor: Regressor, split: Split, protocol: Protocol) -> Scored:
    """Fit a regressor once, and score it on the held-out tasks of a split and on those for validation."""
    started = perf_counter()
    fitted, variance = regressor.fit(split.training), target_variance(split.training)
    held_out, validation = (
        score_tasks(fitted, tasks, protocol, variance) for tasks in (split.held_out, split.validation)
    )
    return Scored(held_out, validation, perf_counter() - started)


Score = Callable[[Regressor, Split, Protocol], Scored]
"""`fit_and_score`, or what keeps its results."""


def compare(
    model: Regressor,
    baselines: Sequence[Regressor],
    splits: Sequence[Split],
    protocol: Protocol,
    progress: Progress = lambda text: None,
    score: Score = fit_and_score,
) -> Comparison:
    """Fit everything on the training tasks of each split, and score it on the held-out ones.

    splits: `folds`, or a single one; of large ones only a part (`Split.limited`)
    progress: told in words what comes next
    score: `fit_and_score`, or what keeps its results
    """
    regressors = (model, *baselines)
    parts: dict[str, list[TaskScores]] = {each.name: [] for each in regressors}
    seconds = dict.fromkeys(parts, 0.0)
    chosen: list[list[str]] = [[] for _ in protocol.sizes]
    limited = [split.limited() for split in splits]
    for number, split in enumerate(limited, 1):
        of_baselines: list[TaskScores] = []
        for regressor in regressors:
            progress(f"{regressor.name}, split {number} of {len(limited)}")
            scored = score(regressor, split, protocol)
            seconds[regressor.name] += scored.seconds
            parts[regressor.name].append(scored.held_out)
            of_baselines += [scored.validation] if regressor is not model else []
        if not split.validation:
            progress(f"choosing the baseline, split {number} of {len(limited)}")
            of_baselines = cross_validate(baselines, split.training, protocol, score)
        for names, name in zip(chosen, best_baselines(baselines, of_baselines), strict=True):
            names.extend([name] * len(split.held_out))
    names = [task.name for split in limited for task in split.held_out]
    scores = {name: TaskScores.joined(each) for name, each in parts.items()}
    return Comparison(model.name, [each.name for each in baselines], protocol, names, scores, chosen, seconds)


def cross_validate(
    regressors: Sequence[Regressor], tasks: Sequence[TaskRows], protocol: Protocol, score: Score = fit_and_score
) -> list[TaskScores]:
    """The scores of each regressor on training tasks that it was not fitted to."""
    splits = folds(tasks, min(INNER_FOLDS, len(tasks)), seed=protocol.seed + 1)
    # all regressors on one split before the next, as some share a fit
    scores = [[score(each, split, protocol).held_out for each in regressors] for split in splits]
    return [TaskScores.joined(parts) for parts in zip(*scores, strict=True)]


def best_baselines(baselines: Sequence[Regressor], scores: Sequence[TaskScores]) -> list[str]:
    """The name of the baseline with the smallest error for each size.

    scores: of each baseline, not on held-out tasks
    """
    means = [[_mean(errors) for errors in each.errors] for each in scores]
    return [baselines[best].name for best in np.argmin(np.array(means), axis=0)]


def _interval(values: np.ndarray) -> Interval:
    """Over the tasks that have a score."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return Interval(float(finite.mean()) if len(finite) else np.nan, np.nan)
    return interval(torch.from_numpy(finite))


def _mean(values: np.ndarray) -> float:
    """Infinite where no task has a score."""
    finite = values[~np.isnan(values)]
    return float(finite.mean()) if len(finite) else np.inf
