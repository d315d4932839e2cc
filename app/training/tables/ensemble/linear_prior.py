"""The prior of a linear regression whose weights differ by task: the mixed model, fitted by likelihood."""

import numpy as np
import torch

from app.learn.update_rules import Params
from app.training.tables.ensemble.training_rows import TrainingRows

ITERATIONS = 100
SHRINKAGE = 3.0
"""The prior of the covariance counts as so many tasks."""
START = 0.1
"""The variance of each weight before the first iteration, and of the prior of the covariance."""


def fit_prior(rows: TrainingRows, terms: np.ndarray, targets: np.ndarray) -> Params:
    """`mean` [term], `root` [term, term] and `log_noise` of `y = x^T w + noise`, w ~ N(mean, noise * root root^T).

    By expectation maximisation over the weights of the tasks; the covariance is shrunk to START times the identity.
    Dempster, Laird and Rubin 1977; Laird and Ware 1982, "Random-Effects Models for Longitudinal Data"

    terms: [row, term]
    targets: [row] what the regression predicts
    """
    x, y = terms.astype(np.float64), targets.astype(np.float64)
    gram = np.add.reduceat(x[:, :, None] * x[:, None], rows.starts[:-1])
    moment = np.add.reduceat(x * y[:, None], rows.starts[:-1])
    size = x.shape[1]
    mean = np.linalg.lstsq(gram.sum(0) + np.eye(size), moment.sum(0), rcond=None)[0]
    covariance, noise = START * np.eye(size), float(np.mean((y - x @ mean) ** 2)) + 1e-6
    prior = START * np.eye(size)
    for _ in range(ITERATIONS):
        precision = np.linalg.inv(covariance)
        posterior = np.linalg.inv(gram / noise + precision)
        weights = (posterior @ (moment / noise + precision @ mean)[:, :, None])[:, :, 0]
        mean = weights.mean(0)
        away = weights - mean
        spread = (posterior.sum(0) + away.T @ away + SHRINKAGE * prior) / (rows.tasks + SHRINKAGE)
        covariance = (spread + spread.T) / 2
        residual = y - (x * weights[rows.task]).sum(1)
        noise = float((residual @ residual + (gram * posterior).sum()) / len(y)) + 1e-9
    root = np.linalg.cholesky(covariance / noise)
    arrays = {"mean": mean, "root": root, "log_noise": np.log([noise])}
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
