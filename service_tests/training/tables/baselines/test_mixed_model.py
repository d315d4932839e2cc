import numpy as np
import pytest

from app.families.task_rows import TaskRows
from app.training.tables.baselines.mixed_model import MixedModel
from app.training.tables.baselines.splines import Hinges, SplineMixedModel


def random_slopes(tasks: int, rows: int, seed: int = 0) -> list[TaskRows]:
    """y = (1 + a) + (3 + b) x + noise of variance 0.25; a and b have the covariance [[1, 0.6], [0.6, 1]]."""
    generator = np.random.default_rng(seed)
    coefficients = generator.multivariate_normal([1.0, 3.0], [[1.0, 0.6], [0.6, 1.0]], size=tasks)
    table = []
    for offset, slope in coefficients:
        inputs = generator.normal(size=(rows, 1))
        targets = offset + slope * inputs + 0.5 * generator.normal(size=(rows, 1))
        table.append(TaskRows(f"{offset}", inputs.astype(np.float32), targets.astype(np.float32)))
    return table


def test_recovers_the_distribution_of_coefficients() -> None:
    fitted = MixedModel().fit(random_slopes(tasks=1500, rows=8))
    assert fitted.noise == pytest.approx(0.25, rel=0.05)
    np.testing.assert_allclose(fitted.mean, [1.0, 3.0], atol=0.1)
    np.testing.assert_allclose(fitted.covariance, [[1.0, 0.6], [0.6, 1.0]], atol=0.1)


def test_the_prediction_is_the_conditional_of_the_joint_normal() -> None:
    """Of known and unknown targets, by its density at three points on a line."""
    fitted = MixedModel().fit(random_slopes(tasks=30, rows=6))
    known, query = random_slopes(tasks=2, rows=3, seed=5)
    prediction = fitted.predict(known.inputs, known.targets, query.inputs[:1])
    inputs = fitted.standardisation.apply(np.concatenate([known.inputs, query.inputs[:1]]))
    design = np.concatenate([np.ones((4, 1)), inputs], axis=1)
    covariance = design @ (fitted.covariance + fitted.uncertainty) @ design.T + fitted.noise * np.eye(4)
    precision = np.linalg.inv(covariance)

    def log_density(value: float) -> float:
        deviation = np.array([*known.targets[:, 0], value]) - design @ fitted.mean
        return float(-0.5 * deviation @ precision @ deviation)

    assert prediction.variance is not None
    mean, std = prediction.mean[0], prediction.variance[0] ** 0.5
    low, middle, high = (log_density(value) for value in (mean - std, mean, mean + std))
    assert low - middle == pytest.approx(-0.5, abs=1e-6)
    assert high - middle == pytest.approx(-0.5, abs=1e-6)


def test_splines_fit_a_bend_that_differs_between_tasks() -> None:
    generator = np.random.default_rng(0)
    tasks = []
    for number in range(60):
        inputs = generator.uniform(-1, 1, size=(25, 1)).astype(np.float32)
        bend = (2.0 + generator.normal()) * np.abs(inputs)
        tasks.append(TaskRows(f"{number}", inputs, bend.astype(np.float32)))
    *training, task = tasks
    support, queries = np.arange(10), np.arange(10, 25)
    means = [
        model.fit(training).predict(task.inputs[support], task.targets[support], task.inputs[queries]).mean
        for model in (MixedModel(), SplineMixedModel())
    ]
    straight, bent = (np.mean((mean - task.targets[queries, 0]) ** 2) for mean in means)
    assert bent < straight / 10


def test_hinges() -> None:
    inputs = np.stack([np.linspace(0, 1, 101), np.arange(101) % 2], axis=1)
    hinges = Hinges.fit(inputs)
    assert list(hinges.knots) == [0], "a column of two values has no knots"
    np.testing.assert_allclose(hinges.knots[0], [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(hinges.apply(np.array([[0.5, 1.0]])), [[0.5, 1.0, 0.3, 0.1, 0.0, 0.0]])


def test_many_columns_have_fewer_knots() -> None:
    inputs = np.random.default_rng(0).normal(size=(50, 25))
    assert Hinges.fit(inputs).apply(inputs).shape == (50, 50)
    assert not Hinges.fit(np.tile(inputs, 3)).knots
