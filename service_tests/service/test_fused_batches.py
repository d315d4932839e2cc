from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.service.fused_batches import MAX_ROWS, MAX_TASKS, fused_batches, pad, padded_ways, row_mask
from app.service.task import Task

sizes = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 100_000)), max_size=600)


@given(sizes)
def test_each_item_is_in_one_fused_call(sizes: list[int]) -> None:
    assert sorted(index for batch in fused_batches(sizes) for index in batch) == list(range(len(sizes)))


@given(sizes)
def test_less_than_a_quarter_is_padding_and_calls_are_bounded(sizes: list[int]) -> None:
    for batch in fused_batches(sizes):
        padded = max(sizes[index] for index in batch) * len(batch)
        assert sum(sizes[index] for index in batch) >= 0.75 * padded
        assert len(batch) <= MAX_TASKS
        assert len(batch) == 1 or padded <= MAX_ROWS


def test_like_sizes_share_a_call() -> None:
    assert [len(batch) for batch in fused_batches([10] * 300)] == [256, 44]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_pad(lengths: list[int]) -> None:
    arrays = [np.full((length, 3), index + 1, np.float32) for index, length in enumerate(lengths)]
    padded = pad(arrays)
    mask = row_mask(lengths, padded)
    assert padded.shape == (max(2, len(lengths)), max(2, *lengths, 2), 3)
    for index, array in enumerate(arrays):
        assert np.array_equal(padded[index, : len(array)], array)
        assert mask[index].sum() == len(array)
    assert padded[~mask].abs().sum() == 0


@given(st.lists(st.text(max_size=3), min_size=1, max_size=20))
def test_classes_are_the_labels_as_they_first_come(labels: list[Any]) -> None:
    task = Task(np.zeros((len(labels), 1), np.float32), np.array(labels, object), 1, 0.1)
    assert sorted(task.classes) == sorted(set(labels))
    assert [labels.index(label) for label in task.classes] == sorted(labels.index(label) for label in task.classes)
    ways = padded_ways(len(task.classes))
    assert ways >= len(task.classes)
    one_hot = task.one_hot(ways)
    assert one_hot.shape == (len(labels), ways)
    assert one_hot.dtype == np.float32
    assert [task.classes[index] for index in one_hot.argmax(1)] == labels
    assert (one_hot.sum(1) == 1).all()


def test_numbers_have_no_classes() -> None:
    assert Task(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32), 1, 0.1).classes == ()


def test_numbers_of_ways_are_powers_of_two() -> None:
    assert [padded_ways(classes) for classes in (1, 2, 3, 4, 5, 8, 9, 20, 423)] == [2, 2, 4, 4, 8, 8, 16, 32, 512]


def test_the_size_of_a_task_is_that_of_its_arrays() -> None:
    assert Task(np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32), 5, 0.01).bytes == 4 * (6 + 3)
