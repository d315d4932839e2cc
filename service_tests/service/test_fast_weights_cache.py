import pytest
import torch

from app.service.fast_weights_cache import FastWeights


def states(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1).expand(-1, 3).contiguous()


def cache(capacity: int) -> FastWeights:
    return FastWeights(torch.zeros(3), size_bytes=0, min_capacity=capacity)


def test_what_is_put_is_gathered_in_any_order() -> None:
    fast = cache(4)
    fast.put(["a", "b"], [0, 2], states(1, 2, 3))
    assert fast.gather(["b", "a", "b"])[:, 0].tolist() == [3, 1, 3]


def test_the_least_recently_used_is_given_up() -> None:
    fast = cache(2)
    fast.put(["a", "b"], [0, 1], states(1, 2))
    assert fast.touch("a")
    fast.put(["c"], [0], states(3))
    assert "b" not in fast
    assert fast.gather(["a", "c"])[:, 0].tolist() == [1, 3]
    assert not fast.touch("b")
    with pytest.raises(KeyError):
        fast.gather(["b"])


def test_a_key_put_again_is_replaced_and_a_dropped_slot_is_used_again() -> None:
    fast = cache(2)
    fast.put(["a", "b"], [0, 1], states(1, 2))
    fast.put(["a"], [0], states(5))
    fast.drop("b")
    fast.drop("never there")
    fast.put(["c"], [0], states(6))
    assert fast.gather(["a", "c"])[:, 0].tolist() == [5, 6]


def test_its_size_is_in_bytes() -> None:
    assert FastWeights(torch.zeros(100), size_bytes=656_000, min_capacity=2).capacity == 1000


def test_a_key_put_again_takes_no_second_slot() -> None:
    fast = cache(3)
    fast.put(["a", "b"], [0, 1], states(1, 2))
    fast.put(["a"], [0], states(5))
    fast.put(["c"], [0], states(6))
    assert fast.gather(["a", "b", "c"])[:, 0].tolist() == [5, 2, 6]
