"""Baselines that see standardised targets, so that neither the unit nor the origin of a target changes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.nonzero_std import deviations
from app.training.tables.regressor import FittedRegressor, Prediction, Regressor


@dataclass(frozen=True)
class TargetUnits:
    """The mean and the standard deviation of the targets of training tasks, in the user's units."""

    mean: float
    std: float

    @classmethod
    def of(cls, tasks: Sequence[TaskRows]) -> "TargetUnits":
        """Of all rows."""
        targets = np.concatenate([task.targets for task in tasks])
        return cls(float(targets.mean(dtype=np.float64)), float(deviations(targets)[0]))

    def standardise(self, targets: np.ndarray) -> np.ndarray:
        """float64."""
        return np.asarray((targets.astype(np.float64) - self.mean) / self.std)

    def restore(self, prediction: Prediction) -> Prediction:
        """From standardised targets to the user's units."""
        variance = None if prediction.variance is None else prediction.variance * self.std**2
        return Prediction(prediction.mean * self.std + self.mean, variance)


class StandardTasks:
    """Standardises the targets of training tasks once for several baselines: it keeps the last ones."""

    def __init__(self) -> None:
        self._last: tuple[Sequence[TaskRows], Sequence[TaskRows], TargetUnits] | None = None

    def __call__(self, tasks: Sequence[TaskRows]) -> tuple[Sequence[TaskRows], TargetUnits]:
        """The tasks with float64 targets of mean 0 and variance 1, and the units that they had."""
        if self._last is None or self._last[0] is not tasks:
            units = TargetUnits.of(tasks)
            standard = [replace(task, targets=units.standardise(task.targets)) for task in tasks]
            self._last = (tasks, standard, units)
        return self._last[1:]


@dataclass(frozen=True)
class FittedOnStandardTargets:
    """A fitted baseline with the units of its targets."""

    fitted: FittedRegressor
    units: TargetUnits

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        known = self.units.standardise(support_targets)
        return self.units.restore(self.fitted.predict(support_inputs, known, query_inputs))


@dataclass(frozen=True)
class OnStandardTargets:
    """A baseline whose constants, such as the variance of a prior, are in units of the variance of the targets."""

    regressor: Regressor
    standard_tasks: StandardTasks

    @property
    def name(self) -> str:
        """That of the baseline."""
        return self.regressor.name

    def fit(self, tasks: Sequence[TaskRows]) -> FittedOnStandardTargets:
        """See `Regressor.fit`."""
        standard, units = self.standard_tasks(tasks)
        return FittedOnStandardTargets(self.regressor.fit(standard), units)
