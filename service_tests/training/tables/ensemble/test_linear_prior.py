import numpy as np

from app.training.tables.ensemble.linear_prior import fit_prior
from app.training.tables.ensemble.training_rows import TrainingRows


def test_the_prior_of_known_tasks_is_found() -> None:
    rng = np.random.default_rng(0)
    tasks, count = 300, 12
    covariance = np.array([[0.5, 0.2], [0.2, 0.3]])
    weights = rng.multivariate_normal([1.0, -0.5], covariance, size=tasks)
    inputs = rng.normal(size=(tasks * count, 1)).astype(np.float32)
    task = np.repeat(np.arange(tasks), count)
    terms = np.concatenate([inputs, np.ones_like(inputs)], axis=1)
    targets = (terms * weights[task]).sum(1) + 0.5 * rng.normal(size=len(task))
    rows = TrainingRows(inputs, inputs, targets.astype(np.float32), task, np.arange(tasks + 1) * count)
    prior = {name: value.numpy() for name, value in fit_prior(rows, terms, targets).items()}
    noise = np.exp(prior["log_noise"][0])
    np.testing.assert_allclose(noise, 0.25, rtol=0.1)
    np.testing.assert_allclose(prior["mean"], [1.0, -0.5], atol=0.1)
    np.testing.assert_allclose(noise * prior["root"] @ prior["root"].T, covariance, atol=0.08)
