"""Members that move a prediction by the residuals of the last known rows: what is chosen, and its error."""

import numpy as np
import pytest

from app.families.task_rows import TaskRows
from app.training.tables.ensemble.recent_offset import CHOSEN, LAST, RecentOffset
from app.training.tables.ensemble.training_rows import TrainingRows, scales_of, standardised

LENGTHS = (2, 4, 9, 12)


def rows_of(residuals: list[np.ndarray]) -> TrainingRows:
    """Tasks whose targets are residuals, not standardised."""
    tasks = [TaskRows(str(index), np.ones((len(y), 1), np.float32), y[:, None]) for index, y in enumerate(residuals)]
    return standardised(tasks, scales_of(tasks))


def walks(step: float, noise: float, tasks: int = 300, rows: int = 30) -> list[np.ndarray]:
    """Residuals that walk at random from an offset of variance 1."""
    rng = np.random.default_rng(0)
    moves = rng.normal(size=(tasks, rows)) * step
    moves[:, 0] = rng.normal(size=tasks)
    return list(moves.cumsum(1) + rng.normal(size=(tasks, rows)) * noise)


def fitted(residuals: list[np.ndarray], choice: RecentOffset = CHOSEN, max_support: int = 20) -> tuple[float, float]:
    """The discount, and the variance of the offset in that of the noise."""
    discount, prior = choice.fit(rows_of(residuals), np.concatenate(residuals), max_support)
    return discount, float(prior["root"][0, 0]) ** 2


def test_of_a_random_walk_the_last_residual_counts_alone() -> None:
    discount, variance = fitted(walks(step=1.0, noise=0.0))
    assert discount == 0
    assert variance > 5


def test_of_an_offset_with_noise_all_residuals_count_alike() -> None:
    discount, variance = fitted(walks(step=0.0, noise=1.0))
    assert discount == 1
    assert 0.5 < variance < 2


def test_in_between_the_last_residuals_count_most() -> None:
    assert 0 < fitted(walks(step=0.3, noise=1.0))[0] < 1


def test_nothing_is_carried_forward_of_noise_alone() -> None:
    rng = np.random.default_rng(0)
    assert fitted(list(rng.normal(size=(60, 30))))[1] < 0.05


@pytest.mark.parametrize("max_support", [1, 5])
def test_the_choice_has_the_smallest_error_of_forecasts_written_out(max_support: int) -> None:
    rng = np.random.default_rng(1)
    residuals = [rng.normal(size=length) + rng.normal() for length in LENGTHS]
    choice = RecentOffset((0.0, 0.5, 1.0), (0.1, 1.0, 10.0))
    mean = float(np.mean([each.mean() for each in residuals]))

    def forecast(known: np.ndarray, discount: float, variance: float) -> float:
        weights = np.array([discount**age for age in range(len(known))][::-1])
        return float(mean + (weights @ (known - mean)) / (weights.sum() + 1 / variance))

    def error(size: int, discount: float, variance: float) -> float:
        longer = [each for each in residuals if len(each) > size]
        squares = [(each[size:] - forecast(each[:size], discount, variance)) ** 2 for each in longer]
        return float(np.mean([each.mean() for each in squares]))

    sizes = [size for size in (1, 2, 3, 5) if size <= max_support]
    errors = {
        (discount, variance): np.mean([error(size, discount, variance) for size in sizes])
        for discount in choice.discounts
        for variance in choice.variances
    }
    discount, variance = fitted(residuals, choice, max_support)
    assert (discount, round(variance, 5)) == min(errors, key=errors.__getitem__)


def test_the_noise_is_that_of_the_errors() -> None:
    """Of white noise of variance 4 around a known mean, forecasts are off by as much."""
    rng = np.random.default_rng(0)
    residuals = list(2 * rng.normal(size=(200, 30)))
    _, prior = CHOSEN.fit(rows_of(residuals), np.concatenate(residuals), 20)
    np.testing.assert_allclose(np.exp(prior["log_noise"].item()), 4, rtol=0.05)


def test_four_fifths_of_the_last_residual_is_the_one_choice_of_another_member() -> None:
    discount, variance = fitted(walks(step=0.0, noise=1.0), LAST)
    assert discount == 0
    np.testing.assert_allclose(variance / (1 + variance), 0.8, rtol=1e-6)
