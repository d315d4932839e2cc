import numpy as np
import pytest

from app.training.tables.baselines.task_offset import OffsetVariances


def test_variances_of_tasks_of_different_sizes() -> None:
    generator = np.random.default_rng(0)
    residuals = [
        generator.normal() * 2.0 + generator.normal(size=size) * 0.5 for size in generator.integers(2, 30, size=4000)
    ]
    variances = OffsetVariances.fit(residuals)
    assert variances.within == pytest.approx(0.25, rel=0.03)
    assert variances.between == pytest.approx(4.0, rel=0.06)


def test_the_posterior_of_an_offset() -> None:
    variances = OffsetVariances(within=2.0, between=1.0)
    assert variances.shrunk(np.array([3.0, 3.0])) == pytest.approx((1.5, 0.5))
    assert variances.shrunk(np.array([])) == (0.0, 1.0)
    assert variances.unshrunk(np.array([3.0, 3.0])) == (3.0, 1.0)


def test_tasks_that_do_not_differ_have_no_offset() -> None:
    residuals = [np.array([1.0, -1.0]), np.array([-1.0, 1.0])]
    assert OffsetVariances.fit(residuals).shrunk(np.array([5.0])) == (0.0, 0.0)
