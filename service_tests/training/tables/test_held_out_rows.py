import numpy as np
import pytest

from app.errors import TrainingError
from app.training.tables import held_out_rows
from app.training.tables.held_out_rows import Protocol, Split, folds
from service_tests.training.tables.made_up_tables import table_of_offsets


def test_each_task_is_held_out_once() -> None:
    tasks = table_of_offsets(tasks=13)
    splits = folds(tasks, 5)
    assert sorted(task.name for split in splits for task in split.held_out) == sorted(task.name for task in tasks)
    for split in splits:
        assert {task.name for task in split.training}.isdisjoint(task.name for task in split.held_out)


def test_fewer_tasks_than_folds() -> None:
    with pytest.raises(TrainingError, match="the table: expected at least 5 tasks, got 3"):
        folds(table_of_offsets(tasks=3), 5)


def test_known_rows_of_smaller_sizes_are_among_those_of_larger_ones() -> None:
    (task,) = table_of_offsets(tasks=1, rows=12)
    few, many = (list(Protocol().known_rows(task, size)) for size in (3, 10))
    assert len(few) == len(many) == 3
    for small, large in zip(few, many, strict=True):
        assert set(small.support) < set(large.support)
        assert sorted([*large.support, *large.queries]) == list(range(12))
    assert not np.array_equal(few[0].support, few[1].support)


def test_forecasts_know_the_first_rows() -> None:
    (task,) = table_of_offsets(tasks=1, rows=6)
    (rows,) = Protocol(ordered=True).known_rows(task, 2)
    assert rows.support.tolist() == [0, 1]
    assert rows.queries.tolist() == [2, 3, 4, 5]


def test_large_splits_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out_rows, "MAX_TRAINING_TASKS", 5)
    monkeypatch.setattr(held_out_rows, "MAX_SCORED_TASKS", 2)
    monkeypatch.setattr(held_out_rows, "MAX_TASK_ROWS", 7)
    tasks = table_of_offsets(tasks=12, rows=9)
    limited = Split(tasks[:6], tasks[6:9], tasks[9:]).limited()
    assert [len(part) for part in limited] == [5, 2, 2]
    assert {len(task) for task in limited.training} == {7}
    assert {len(task) for task in limited.held_out} == {9}


def test_a_task_without_a_row_left_to_predict_is_left_out() -> None:
    (task,) = table_of_offsets(tasks=1, rows=5)
    assert not list(Protocol().known_rows(task, 5))
