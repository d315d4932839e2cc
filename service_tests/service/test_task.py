import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.service.task import MOST_ROWS, MOST_TASKS, fused, pad, real_rows

sizes = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 100_000)), max_size=600)


@given(sizes)
def test_each_item_is_in_one_fused_call(sizes: list[int]) -> None:
    assert sorted(index for batch in fused(sizes) for index in batch) == list(range(len(sizes)))


@given(sizes)
def test_less_than_a_quarter_is_padding_and_calls_are_bounded(sizes: list[int]) -> None:
    for batch in fused(sizes):
        padded = max(sizes[index] for index in batch) * len(batch)
        assert sum(sizes[index] for index in batch) >= 0.75 * padded
        assert len(batch) <= MOST_TASKS
        assert len(batch) == 1 or padded <= MOST_ROWS


def test_like_sizes_share_a_call() -> None:
    assert [len(batch) for batch in fused([10] * 300)] == [256, 44]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_pad(lengths: list[int]) -> None:
    arrays = [np.full((length, 3), index + 1, np.float32) for index, length in enumerate(lengths)]
    padded = pad(arrays)
    mask = real_rows(lengths, padded)
    assert padded.shape == (max(2, len(lengths)), max(2, *lengths, 2), 3)
    for index, array in enumerate(arrays):
        assert np.array_equal(padded[index, : len(array)], array)
        assert mask[index].sum() == len(array)
    assert padded[~mask].abs().sum() == 0
