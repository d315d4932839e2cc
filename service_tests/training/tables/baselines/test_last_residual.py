import numpy as np
import pytest

from app.families.task_rows import TaskRows
from app.training.tables.baselines.last_residual import LastResidual
from app.training.tables.baselines.task_mean import fit_mean


def walks(tasks: int, seed: int = 0) -> list[TaskRows]:
    """Random walks without inputs."""
    generator = np.random.default_rng(seed)
    targets = generator.normal(size=(tasks, 30, 1)).cumsum(axis=1).astype(np.float32)
    return [TaskRows(f"{number}", np.zeros((30, 1), np.float32), each) for number, each in enumerate(targets)]


def test_the_last_value_of_a_walk_is_the_best_guess_of_the_next() -> None:
    fitted = LastResidual("last value", fit_mean).fit(walks(300))
    assert fitted.weight == pytest.approx(1.0, abs=0.15)
    known = np.array([[5.0], [1.0]], np.float32)
    inputs = np.zeros((2, 1), np.float32)
    without, with_rows = (fitted.predict(inputs[:size], known[:size], inputs).mean for size in (0, 2))
    np.testing.assert_allclose(without, fitted.model.predict(inputs))
    np.testing.assert_allclose(with_rows, without + fitted.weight * (1.0 - without))


def test_residuals_that_say_nothing_about_later_ones_have_no_weight() -> None:
    generator = np.random.default_rng(1)
    noise = generator.normal(size=(300, 30, 1)).astype(np.float32)
    tasks = [TaskRows(f"{number}", np.zeros((30, 1), np.float32), each) for number, each in enumerate(noise)]
    assert LastResidual("last value", fit_mean).fit(tasks).weight < 0.05
