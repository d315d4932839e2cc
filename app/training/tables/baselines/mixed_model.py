"""A mixed model: a linear regression for each task, whose coefficients come from one normal distribution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.ridge import Standardisation
from app.training.tables.regressor import Prediction

ITERATIONS = 200
PRIOR_ROWS = 2.0
"""Tasks that the prior of the covariance counts as."""

PRIOR_VARIANCE = 1e-3
"""Of a coefficient in that prior, as a share of the variance of the targets."""

MEAN_PENALTY = 3.0
"""The prior precision of a mean coefficient, times the variance of the targets."""


LEAST_VARIANCE = 1e-12
"""Of targets and noise. Targets are standardised, so that it is a share of their variance."""


class _Sums(NamedTuple):
    """What the likelihood needs of each task, with Z its inputs and y its targets.

    gram: Z'Z, [task, feature, feature]
    moment: Z'y, [task, feature]
    squares: y'y, [task]
    rows: over all tasks
    """

    gram: np.ndarray
    moment: np.ndarray
    squares: np.ndarray
    rows: int


@dataclass(frozen=True)
class FittedMixedModel:
    """y = z'w + noise with w ~ N(mean, covariance) for each task, and z a 1 before the standardised columns.

    uncertainty: the covariance of the estimate of `mean`
    """

    standardisation: Standardisation
    mean: np.ndarray
    covariance: np.ndarray
    uncertainty: np.ndarray
    noise: float

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """The posterior of the coefficients, given the known rows; see `FittedRegressor.predict`."""
        known, queries = (_design(self.standardisation.apply(each)) for each in (support_inputs, query_inputs))
        prior = self.covariance + self.uncertainty
        gain = prior @ known.T
        inverse = np.linalg.inv(known @ gain + self.noise * np.eye(len(known)))
        weights = self.mean + gain @ inverse @ (support_targets[:, 0] - known @ self.mean)
        posterior = prior - gain @ inverse @ gain.T
        variance = np.einsum("qi,ij,qj->q", queries, posterior, queries)
        return Prediction(queries @ weights, np.maximum(variance, 0.0) + self.noise)


@dataclass(frozen=True)
class MixedModel:
    """Hierarchical Bayesian linear regression with a full covariance, fitted by expectation maximisation.

    Laird and Ware 1982. In each step, the mean of the coefficients is that of generalised least squares. All
    coefficients are shrunk to 0, the constant too, so targets should be standardised.
    """

    name: str = "mixed model"

    def fit(self, tasks: Sequence[TaskRows]) -> FittedMixedModel:
        """See `Regressor.fit`."""
        standardisation = Standardisation.of(np.concatenate([task.inputs for task in tasks]))
        sums = _sums(tasks, standardisation)
        total = sums.squares.sum() / sums.rows - (sums.moment[:, 0].sum() / sums.rows) ** 2
        total = max(float(total), LEAST_VARIANCE)
        width = sums.moment.shape[1]
        prior = PRIOR_VARIANCE * total * np.eye(width)
        covariance, noise = 0.3 * total * np.eye(width), 0.5 * total
        for _ in range(ITERATIONS):
            posterior = _posterior_covariances(sums, covariance, noise)
            mean, uncertainty = _generalised_least_squares(sums, posterior, noise, total)
            covariance, noise = _maximise(sums, mean, posterior, noise, prior)
        return FittedMixedModel(standardisation, mean, covariance, uncertainty, noise)


def _design(standardised: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(standardised), 1)), standardised], axis=1)


def _sums(tasks: Sequence[TaskRows], standardisation: Standardisation) -> _Sums:
    designs = [_design(standardisation.apply(task.inputs)) for task in tasks]
    targets = [task.targets[:, 0].astype(np.float64) for task in tasks]
    pairs = list(zip(designs, targets, strict=True))
    return _Sums(
        np.stack([design.T @ design for design in designs]),
        np.stack([design.T @ y for design, y in pairs]),
        np.array([y @ y for y in targets]),
        sum(map(len, targets)),
    )


def _generalised_least_squares(
    sums: _Sums, posterior: np.ndarray, noise: float, total: float
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the coefficients, and the covariance of this estimate."""
    identity = np.eye(posterior.shape[1])
    shrink = identity - sums.gram @ posterior / noise
    precision = (shrink @ sums.gram).sum(axis=0) / noise
    moment = np.einsum("tij,tj->i", shrink, sums.moment) / noise
    uncertainty = np.linalg.inv(precision + MEAN_PENALTY / total * identity)
    return uncertainty @ moment, uncertainty


def _maximise(
    sums: _Sums, mean: np.ndarray, posterior: np.ndarray, noise: float, prior: np.ndarray
) -> tuple[np.ndarray, float]:
    """The covariance of the coefficients and the variance of the noise that fit the posteriors best."""
    weights = mean + np.einsum("tij,tj->ti", posterior, sums.moment - sums.gram @ mean) / noise
    deviations = weights - mean
    scatter = posterior.sum(axis=0) + deviations.T @ deviations
    fitted = np.einsum("ti,tij,tj->t", weights, sums.gram, weights)
    residual = sums.squares - 2 * np.einsum("ti,ti->t", weights, sums.moment) + fitted
    spread = np.einsum("tij,tij->", sums.gram, posterior)
    noise = max(float(residual.sum() + spread) / sums.rows, LEAST_VARIANCE)
    return (scatter + PRIOR_ROWS * prior) / (len(weights) + PRIOR_ROWS), noise


def _posterior_covariances(sums: _Sums, covariance: np.ndarray, noise: float) -> np.ndarray:
    """Of the coefficients of each task, [task, feature, feature]."""
    return np.linalg.inv(np.linalg.inv(covariance) + sums.gram / noise)
