"""What every baseline has to do, on tables whose answer is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from app.families.task_rows import TaskRows
from app.training.tables.baselines import boosting
from app.training.tables.baselines.all_baselines import all_baselines
from app.training.tables.held_out_rows import Protocol, Split
from app.training.tables.regressor import FittedRegressor, Regressor
from app.training.tables.scores import score_tasks
from service_tests.training.tables.made_up_tables import table_of_offsets

BASELINES = [pytest.param(each, id=each.name) for each in all_baselines()]
SPLIT = Split(table_of_offsets(tasks=30, rows=20), table_of_offsets(tasks=20, rows=20, seed=1))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "MAX_ITERATIONS", 25)


def errors(fitted: FittedRegressor, tasks: Sequence[TaskRows]) -> np.ndarray:
    """The mean squared error at 0 and 10 known rows. Noise has 1, offsets have 4, and 2 x has 4."""
    return np.asarray(score_tasks(fitted, tasks, Protocol(sizes=(0, 10)), 1.0).errors.mean(axis=1))


@pytest.mark.parametrize("baseline", BASELINES)
def test_its_error_is_near_what_the_problem_allows(baseline: Regressor) -> None:
    without, with_rows = errors(baseline.fit(SPLIT.training), SPLIT.held_out)
    assert without < (12.0 if baseline.name == "task mean" else 8.0)
    limit = {"task mean": 6.0, "ridge": 8.0, "boosting": 8.0, "boosting with the task": 2.5}.get(baseline.name, 1.7)
    assert with_rows < limit
    assert with_rows > 0.9, "no less than the noise"


@pytest.mark.parametrize("baseline", BASELINES)
def test_one_known_row_and_one_task_of_the_table(baseline: Regressor) -> None:
    (task,) = table_of_offsets(tasks=1, rows=9)
    fitted = baseline.fit([task])
    for known in (0, 1):
        prediction = fitted.predict(task.inputs[:known], task.targets[:known], task.inputs[1:])
        assert prediction.mean.shape == (8,)
        assert np.isfinite(prediction.mean).all()
        if prediction.variance is not None:
            assert np.isfinite(prediction.variance).all()
            assert (prediction.variance >= 0).all()


def in_units(tasks: Sequence[TaskRows], unit: float, origin: float) -> list[TaskRows]:
    """The same tasks with other targets and, by the unit, other inputs."""
    return [
        replace(
            task,
            inputs=(task.inputs * np.array([unit, 1 / unit])).astype(np.float32),
            targets=(task.targets.astype(np.float64) * unit + origin).astype(np.float32),
        )
        for task in tasks
    ]


@pytest.mark.parametrize(("unit", "origin"), [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e3)])
@pytest.mark.parametrize("baseline", [pytest.param(each, id=each.name) for each in all_baselines(ordered=True)])
def test_units_make_no_difference(baseline: Regressor, unit: float, origin: float) -> None:
    """But for rounding: numbers near a thousand have 14 binary digits behind the point in float32."""
    training, task = SPLIT.training[:10], SPLIT.held_out[0]
    (other,) = in_units([task], unit, origin)
    fitted, fitted_in_units = baseline.fit(training), baseline.fit(in_units(training, unit, origin))
    for known in (0, 5):
        plain = fitted.predict(task.inputs[:known], task.targets[:known], task.inputs[5:])
        scaled = fitted_in_units.predict(other.inputs[:known], other.targets[:known], other.inputs[5:])
        np.testing.assert_allclose((scaled.mean - origin) / unit, plain.mean, atol=0.01 if origin else 1e-3)
        assert (plain.variance is None) == (scaled.variance is None)
        if plain.variance is not None and scaled.variance is not None:
            np.testing.assert_allclose(scaled.variance / unit**2, plain.variance, rtol=2e-3 if origin else 1e-3)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_order_of_known_rows_makes_no_difference(baseline: Regressor) -> None:
    fitted = baseline.fit(SPLIT.training[:10])
    task = SPLIT.held_out[0]
    forwards = fitted.predict(task.inputs[:5], task.targets[:5], task.inputs[5:]).mean
    backwards = fitted.predict(task.inputs[4::-1], task.targets[4::-1], task.inputs[5:]).mean
    np.testing.assert_allclose(forwards, backwards, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("baseline", BASELINES)
def test_intervals_cover_what_they_say(baseline: Regressor) -> None:
    scores = score_tasks(baseline.fit(SPLIT.training), SPLIT.held_out, Protocol(sizes=(0, 10)), 1.0)
    if baseline.name in ("ridge per task", "boosting with the task"):
        assert np.isnan(scores.coverage).all()
    else:
        assert np.abs(scores.coverage.mean(axis=1) - 0.9).max() < 0.08
