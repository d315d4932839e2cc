"""The range that new tasks seldom leave."""

from collections.abc import Sequence

import numpy as np
import pytest

from app.training.new_task_range import excess_over_others, margin_of, new_task_range

COLUMNS = (1, 1, 1, 1, 3)
"""Time within tasks, three columns that are constant within tasks, and a category of two values."""


def patients(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    tasks = []
    for _ in range(count):
        rows = np.zeros((20, sum(COLUMNS)), np.float32)
        rows[:, 0] = rng.random(20)
        rows[:, 1:4] = [*rng.normal(size=2), rng.exponential()]
        rows[:, 4 + rng.integers(2)] = 1
        tasks.append(rows)
    return tasks


def leaving(tasks: Sequence[np.ndarray], low: np.ndarray, high: np.ndarray) -> float:
    """The share of tasks with a row outside."""
    return float(np.mean([((task < low) | (task > high)).any() for task in tasks]))


@pytest.mark.parametrize("count", [15, 45, 150])
def test_few_new_tasks_leave_it_but_more_leave_that_of_training(count: int) -> None:
    rng = np.random.default_rng(count)
    old, new = [], []
    for _ in range(40):
        training, fresh = patients(count, rng), patients(50, rng)
        rows = np.concatenate(training)
        old.append(leaving(fresh, rows.min(0), rows.max(0)))
        new.append(leaving(fresh, *new_task_range(training, COLUMNS)))
    print(f"{count} tasks: {np.mean(old):.1%} leave the range of training, {np.mean(new):.1%} the new one")  # noqa: T201
    assert np.mean(old) > 2 * np.mean(new)
    assert np.mean(new) < 0.045


def test_a_number_far_outside_leaves_it() -> None:
    rng = np.random.default_rng(0)
    low, high = new_task_range(patients(45, rng), COLUMNS)
    for feature in range(4):
        far = patients(1, rng)[0]
        far[0, feature] = 30.0
        assert leaving([far], low, high) == 1


def test_where_tasks_do_not_differ_it_is_the_range_of_training() -> None:
    rows = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    low, high = new_task_range([rows, rows, rows], (1, 1))
    np.testing.assert_array_equal(low, rows.min(0))
    np.testing.assert_array_equal(high, rows.max(0))


def test_excess_is_measured_from_the_other_tasks() -> None:
    low, high = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]), np.array([[4.0, 5.0], [5.0, 5.0], [9.0, 6.0]])
    expected = np.array([[1 / 8, 0], [0, 0], [4 / 5, np.inf]])
    np.testing.assert_allclose(excess_over_others(low, high), expected)


def test_the_margin_grows_with_the_excess_and_is_zero_where_few_tasks_leave() -> None:
    few, many = np.zeros((200, 1)), np.zeros((50, 1))
    few[:3], many[:10] = 0.1, 0.1
    assert margin_of(few) == 0
    # the Lomax distribution of 10 excesses of 0.1, where 2 of 20 in a hundred are to be above
    assert margin_of(many) == pytest.approx(10 * 0.1 * (10 ** (1 / 10) - 1))
    assert margin_of(2 * many) == pytest.approx(2 * margin_of(many))


@pytest.mark.parametrize("own", [False, True])
def test_an_unseen_category_is_inside_where_tasks_have_categories_of_their_own(own: bool) -> None:
    tasks = [np.zeros((4, 31), np.float32) for _ in range(30)]
    for index, task in enumerate(tasks):
        task[:, index if own else index % 2] = 1
    _, high = new_task_range(tasks, (31,))
    assert high[30] == (1 if own else 0)
