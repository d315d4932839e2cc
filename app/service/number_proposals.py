"""Which of the candidates to measure next, for a model of numbers."""

from dataclasses import replace

import numpy as np
import torch

from app.bundles.manifest import Manifest
from app.learn.acquisition import log_expected_improvement
from app.service.commands import Goal, ProposeCommand, bounded
from app.service.job import Result
from app.service.label_proposals import Choice
from app.service.model import Model
from app.service.nearest_example import quick_nearest_distances
from app.service.record import InnerLoopSettings
from app.service.task import Task
from app.service.uncertainty import calibrated_std
from app.service.unlike_queries import Far


class Beliefs:
    """What a model says of the candidates, as if those chosen so far had been measured.

    A choice is believed to have the target that the model predicts for it: the "kriging believer" of Ginsbourger et
    al. 2010, "Kriging Is Well-Suited to Parallelize Optimization". Where the variance of a prediction does not depend
    on the targets, as in Bayesian linear regression, the variance after the choices is exact.

    Candidates that are unlike the inputs of training come after all others, and what the model predicts for them is not
    believed: one in a wrong unit would spoil the choices after it.

    std: the standard deviation of each prediction, float32 [candidate, target]
    """

    def __init__(
        self, command: ProposeCommand, manifest: Manifest, task: Task | None, result: Result, far: Far
    ) -> None:
        """Before any choice.

        task: with features; None for the initialization
        result: of answering the candidates
        far: which candidates are unlike the inputs of training
        """
        assert result.predictions is not None, "they were checked"
        self._command, self._manifest, self._task = command, manifest, task
        self._features = command.predict.queries
        self._left = np.ones(len(self._features), bool)
        self._alike = ~np.array(far) if far is not None else self._left.copy()
        self._distances = np.zeros(len(self._features)) if result.distances is None else np.array(result.distances)
        self._means, self.std = result.predictions, self._std(result.spread)
        usual = self._alike if self._alike.any() else self._left
        self._scale = self.std[usual].mean(0)
        known = self._means[usual] if task is None or not task.rows else task.targets
        self._best = float(self._target_of(known).max())  # without an example, the best prediction stands for one

    @property
    def needs_predictions(self) -> bool:
        """Whether the next choice depends on what the model predicts after those before; else only on distances."""
        return self._command.predict.model.has_spread or self._command.goal is not Goal.learn

    def choose(self) -> Choice:
        """The best of the candidates that are left, and its score. Of equals, the furthest from the examples."""
        scores = self._scores()
        alike = self._left & self._alike
        among = alike if alike.any() else self._left
        best = among & (scores == scores[among].max())
        index = int(np.where(best, self._distances, -1).argmax())
        self._left[index] = False
        return index, float(scores[index])

    def _scores(self) -> np.ndarray:
        """How much each candidate is worth, float64 [candidate].

        To learn: the standard deviation of its number; of several, the root of the mean of their squares, each divided
        by its mean over the candidates. Otherwise: the logarithm of the expected improvement over the best example.
        """
        target = self._command.target
        if self._command.goal is not Goal.learn:
            means, std = self._target_of(self._means), self.std[:, target or 0]
            return log_expected_improvement(torch.tensor(means), torch.tensor(std), self._best).numpy()
        if target is not None or self.std.shape[1] == 1:
            return self.std[:, target or 0].astype(np.float64)
        relative: np.ndarray = np.sqrt(np.square(self.std / self._scale, dtype=np.float64).mean(1))
        return relative

    def trusts(self, index: int) -> bool:
        """Whether to believe the prediction for a candidate."""
        return bool(self._alike[index])

    def believe(self, index: int) -> Task:
        """Believe in the prediction for a candidate. Returns the task with it; `update` takes what the model says then.

        Where the model needs not be asked, the beliefs are complete.
        """
        row, mean = self._features[index : index + 1], self._means[index : index + 1]
        self._best = max(self._best, float(self._target_of(mean)[0]))
        first = self._task is None
        self._task = with_example(self._task, self._command.predict.model, row, mean)
        if self._manifest.calibration.has_distances:
            near = np.array(quick_nearest_distances(self._features, row, self._manifest.ood_reference.input_scale))
            self._distances = near if first else np.minimum(self._distances, near)
        if not self.needs_predictions:
            self.std = self._std(None)
        return self._task

    def update(self, result: Result) -> None:
        """Take over what the model says of the candidates after the last choice, but for those unlike training.

        Where the inner loop diverges on what is believed, the beliefs before stay.
        """
        if result.predictions is not None and np.isfinite(result.predictions[self._alike]).all():
            alike = self._alike[:, None]
            self._means = np.where(alike, result.predictions, self._means)
            self.std = np.where(alike, self._std(result.spread), self.std)

    def _std(self, spread: np.ndarray | None) -> np.ndarray:
        """The standard deviation of each prediction: by the algorithm if it has one, else by the calibration."""
        if spread is not None:
            return spread
        size = 0 if self._task is None else self._task.size
        return calibrated_std(self._manifest.calibration, size, self._distances)

    def _target_of(self, rows: np.ndarray) -> np.ndarray:
        """The number that matters of each row, float64 [row], so that larger is better."""
        column: np.ndarray = rows[:, self._command.target or 0].astype(np.float64)
        return -column if self._command.goal is Goal.minimize else column


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
