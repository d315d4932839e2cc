from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from app.families.task_rows import TaskRows
from app.training.tables.comparison import best_baselines, compare, cross_validate
from app.training.tables.held_out_rows import Protocol, Split, folds
from app.training.tables.regressor import Prediction
from app.training.tables.scores import interval_score, score_tasks
from service_tests.training.tables.made_up_tables import table_of_offsets

PROTOCOL = Protocol(sizes=(0, 3), draws=2)


@dataclass(frozen=True)
class Constant:
    """Predicts a number, or the mean of the known rows if there are any."""

    name: str
    value: float = 0.0
    adapts: bool = False
    variance: float | None = None

    def fit(self, tasks: Sequence[TaskRows]) -> "Constant":
        return self

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        value = support_targets.mean() if self.adapts and len(support_targets) else self.value
        count = len(query_inputs)
        return Prediction(np.full(count, value), None if self.variance is None else np.full(count, self.variance))


def test_errors_are_in_units_of_the_variance() -> None:
    task = TaskRows("a", np.zeros((4, 1), np.float32), np.array([[1.0], [3.0], [1.0], [3.0]], np.float32))
    scores = score_tasks(Constant("zero"), [task], Protocol(sizes=(0,)), variance=10.0)
    assert scores.errors.tolist() == [[pytest.approx(0.5)]]
    assert np.isnan(scores.coverage).all()


def test_coverage_and_interval_score() -> None:
    targets = np.array([[0.0], [0.0], [0.0], [3.0]], np.float32)
    task = TaskRows("a", np.zeros((4, 1), np.float32), targets)
    scores = score_tasks(Constant("zero", variance=1.0), [task], Protocol(sizes=(0,), draws=1), variance=4.0)
    assert scores.coverage.tolist() == [[0.75]]
    wide = 2 * 1.6449
    assert scores.interval_scores[0, 0] == pytest.approx((wide + 20 * (3 - 1.6449) / 4) / 2, abs=1e-3)


def test_interval_score_is_smallest_for_the_quantiles() -> None:
    targets = np.random.default_rng(0).normal(size=100_000)
    means = [interval_score(np.full(1, -half), np.full(1, half), targets).mean() for half in (1.2, 1.645, 2.1)]
    assert np.argmin(means) == 1


def test_a_task_with_too_few_rows_has_no_score() -> None:
    tasks = [*table_of_offsets(tasks=1, rows=3), *table_of_offsets(tasks=1, rows=8)]
    scores = score_tasks(Constant("zero"), tasks, PROTOCOL, 1.0)
    assert np.isnan(scores.errors).tolist() == [[False, False], [True, False]]


def test_validation_chooses_a_baseline_for_each_size() -> None:
    tasks = table_of_offsets(between=25.0)
    mean = float(np.mean([task.targets.mean() for task in tasks]))
    baselines = [Constant("bad", 100.0), Constant("far", mean + 1.0, adapts=True), Constant("near", mean)]
    assert best_baselines(baselines, cross_validate(baselines, tasks, PROTOCOL)) == ["near", "far"]


def test_validation_tasks_choose_where_a_split_has_them() -> None:
    tasks = table_of_offsets(between=25.0)
    near = [Constant(f"{value}", value) for value in (-9.0, float(np.mean(tasks[0].targets)), 9.0)]
    result = compare(Constant("model"), near, [Split(tasks[2:], tasks[1:2], tasks[:1])], PROTOCOL)
    assert [result.best_baseline(size) for size in PROTOCOL.sizes] == [near[1].name] * 2


def test_differences_are_paired_by_task_against_the_chosen_baseline() -> None:
    tasks = table_of_offsets(between=25.0)
    result = compare(Constant("model", 1.0), [Constant("zero"), Constant("ten", 10.0)], folds(tasks, 4), PROTOCOL)
    errors = result.scores["model"].errors - result.scores["zero"].errors
    assert result.best_baseline(3) == "zero"
    assert result.difference(3).mean == pytest.approx(errors[1].mean())
    assert result.difference(3).half_width == pytest.approx(1.96 * errors[1].std(ddof=1) / 40**0.5)
    assert result.difference(3).half_width < result.error("model", 3).half_width
    assert result.difference(3, "ten").mean < 0
    assert sorted(result.tasks) == sorted(task.name for task in tasks)
