"""Which of the candidates to measure next, for a model of numbers."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import torch

from app.bundles.manifest import Manifest
from app.learn.acquisition import log_expected_improvement
from app.service.commands import Goal, ProposeCommand, bounded
from app.service.engine import Result
from app.service.model import Model
from app.service.nearest_example import quick_nearest_distances
from app.service.record import InnerLoopSettings
from app.service.task import Task
from app.service.uncertainty import calibrated_std

Adapt = Callable[[Task], Awaitable[Result]]
"""Adapts to a task, and predicts the candidates."""


class Beliefs:
    """What a model says of the candidates, as if those proposed so far had been measured.

    A proposal is believed to have the target that the model predicts for it: the "kriging believer" of Ginsbourger et
    al. 2010, "Kriging Is Well-Suited to Parallelize Optimization". Where the variance of a prediction does not depend
    on the targets, as in Bayesian linear regression, the variance after the proposals is exact.

    means, std: float32 [candidate, target]
    """

    def __init__(
        self, command: ProposeCommand, manifest: Manifest, task: Task | None, result: Result, adapt: Adapt
    ) -> None:
        """task: with features; None for the initialization. result: the predictions of the candidates before"""
        assert result.predictions is not None, "they were checked"
        self._command, self._manifest, self._task, self._adapt = command, manifest, task, adapt
        self._features = command.question.queries
        self._distances = np.zeros(len(self._features)) if result.distances is None else np.array(result.distances)
        self.means, self.std = result.predictions, self._std(result)
        self._scale = self.std.mean(0)
        self._best = self._best_known()

    def _std(self, result: Result) -> np.ndarray:
        """The standard deviation of each prediction: by the algorithm if it has one, else by the calibration."""
        if result.spread is not None:
            return result.spread
        return calibrated_std(self._manifest.calibration, 0 if self._task is None else self._task.size, self._distances)

    @property
    def _sign(self) -> int:
        return -1 if self._command.goal is Goal.minimize else 1

    def _target_of(self, rows: np.ndarray) -> np.ndarray:
        """The number that matters of each row, float64 [row], so that larger is better."""
        column: np.ndarray = rows[:, self._command.target or 0].astype(np.float64)
        return self._sign * column

    def _best_known(self) -> float:
        """The best target of an example; of the predictions, where there is no example."""
        known = self.means if self._task is None or not self._task.rows else self._task.targets
        return float(self._target_of(known).max())

    def scores(self) -> np.ndarray:
        """How much each candidate is worth, float64 [candidate].

        To learn: the standard deviation of its number; of several, the root of the mean of their squares, each divided
        by its mean over the candidates. Otherwise: the logarithm of the expected improvement over the best known row.
        """
        target = self._command.target
        if self._command.goal is not Goal.learn:
            means, std = self._target_of(self.means), self.std[:, target or 0]
            return log_expected_improvement(torch.tensor(means), torch.tensor(std), self._best).numpy()
        if target is not None or self.std.shape[1] == 1:
            return self.std[:, target or 0].astype(np.float64)
        relative: np.ndarray = np.sqrt(np.square(self.std / self._scale, dtype=np.float64).mean(1))
        return relative

    def best_of(self, left: np.ndarray, scores: np.ndarray) -> int:
        """The best of the candidates that are `left`, bool [candidate]; of equals that furthest from the examples."""
        best = left & (scores == scores[left].max())
        return int(np.where(best, self._distances, -1).argmax())

    async def add(self, index: int) -> None:
        """Believe in the prediction of one more candidate."""
        self._best = max(self._best, float(self._target_of(self.means[index : index + 1])[0]))
        model, row = self._command.question.model, self._features[index : index + 1]
        self._task = with_example(self._task, model, row, self.means[index : index + 1])
        if self._manifest.calibration.has_distances:
            near = quick_nearest_distances(self._features, row, self._manifest.ood_reference.input_scale)
            self._distances = np.minimum(self._distances, near) if self._task.rows > 1 else np.array(near)
        if model.has_spread or self._command.goal is not Goal.learn:
            result = await self._adapt(self._task)
            if result.predictions is None or not np.isfinite(result.predictions).all():
                return  # the inner loop diverges on what it believes, so the beliefs before stay
            self.means, self.std = result.predictions, self._std(result)
        else:
            self.std = self._std(Result(None, None, None))


def with_example(task: Task | None, model: Model, row: np.ndarray, target: np.ndarray) -> Task:
    """A task with one more example, of features [1, feature]. task: None for one that had none"""
    if task is None:
        return Task(row, target, *bounded(InnerLoopSettings(None, None), model))
    return replace(
        task,
        inputs=np.concatenate([task.inputs, row]),
        targets=np.concatenate([task.targets, target]),
        weights=None if task.weights is None else np.append(task.weights, np.float32(1)),
        kept_by=None,
    )
