"""Errors in units of the ensemble's own standard deviation."""

import numpy as np
import pytest

from app.training.tables.ensemble.predictions import Predictions
from app.training.tables.ensemble.relative_errors import RelativeErrors, interval_widths, variance_scale

ONE = np.ones(1)


def predictions(tasks: int, rng: np.random.Generator, rows: int = 20, deviation: float = 2.0) -> Predictions:
    """One member whose variances say how much rows differ, and are too small by the square of `deviation`.

    Tasks differ in how hard they are.
    """
    variances = rng.exponential(size=tasks * rows)
    hardness = np.repeat(rng.uniform(0.5, 1.5, tasks), rows)
    targets = deviation * hardness * np.sqrt(variances) * rng.normal(size=tasks * rows)
    return Predictions(np.zeros((1, tasks * rows)), variances[None], targets, np.repeat(np.arange(tasks), rows))


def test_the_scale_makes_intervals_cover() -> None:
    rng = np.random.default_rng(0)
    even = predictions(400, rng)
    even = Predictions(even.means, even.variances, 2 * np.sqrt(even.variances[0]) * rng.normal(size=8000), even.task)
    np.testing.assert_allclose(variance_scale(RelativeErrors.of(even, ONE)), 4, rtol=0.1)


@pytest.mark.parametrize("tasks", [10, 40])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_cover_the_rows_of_new_tasks(tasks: int, level: float) -> None:
    rng = np.random.default_rng(tasks)
    shares = []
    for _ in range(60):
        width = interval_widths(RelativeErrors.of(predictions(tasks, rng), ONE), [level])[0]
        new = predictions(100, rng)
        shares.append(np.mean(np.abs(new.targets) <= width * np.sqrt(new.variances[0])))
    print(f"{tasks} tasks, level {level}: {np.mean(shares):.1%}")  # noqa: T201
    assert level - 0.03 < np.mean(shares) < level + 0.03


def test_tasks_count_alike() -> None:
    """One task of many rows with small errors, and nine of a row with larger ones."""
    targets = np.concatenate([np.full(1000, 0.1), np.arange(1.0, 10.0)])
    task = np.concatenate([np.zeros(1000, int), np.arange(1, 10)])
    few = Predictions(np.zeros((1, 1009)), np.ones((1, 1009)), targets, task)
    np.testing.assert_array_equal(RelativeErrors.of(few, ONE).quantiles(np.array([0.05, 0.5])), [0.1, 4.0])


def test_where_tasks_differ_much_the_widths_are_those_of_the_hardest() -> None:
    """Nine of ten tasks are predicted without errors to speak of: one in ten new tasks is not."""
    targets, task = np.repeat([0.01] * 9 + [5.0], 10), np.repeat(np.arange(10), 10)
    split = Predictions(np.zeros((1, 100)), np.ones((1, 100)), targets, task)
    assert interval_widths(RelativeErrors.of(split, ONE), [0.5, 0.95]).tolist() == [0.01, 5.0]
