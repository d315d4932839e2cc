"""Shape checks of functions that one definition makes again and again."""

from collections.abc import Callable

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from service_tests.shape_checks import shaped


def times(factor: float, columns: int = 2) -> Callable[[Tensor], Tensor]:
    def multiplied(values: Float[Tensor, "rows 2"]) -> Float[Tensor, "rows 2"]:
        return values[:, :columns] * factor

    made: Callable[[Tensor], Tensor] = shaped(multiplied, typechecker=beartype)
    return made


def test_each_function_is_its_own() -> None:
    twice, thrice = times(2), times(3)
    assert twice(thrice(torch.ones(1, 2))).tolist() == [[6.0, 6.0]]
    assert thrice(torch.ones(1, 2)).tolist() == [[3.0, 3.0]]
    assert (twice.__name__, twice.__module__) == ("multiplied", __name__)


def test_each_function_is_checked() -> None:
    for factor in (2, 3):
        with pytest.raises(TypeCheckError, match="values"):
            times(factor)(torch.ones(1, 3))
        with pytest.raises(TypeCheckError, match="return value"):
            times(factor, columns=1)(torch.ones(1, 2))
        assert times(factor)(torch.ones(1, 2)).tolist() == [[factor, factor]]


def test_functions_call_themselves() -> None:
    def make(step: int) -> Callable[[int], int]:
        def down(number: int) -> int:
            return number if number < step else downward(number - step)

        downward: Callable[[int], int] = shaped(down, typechecker=beartype)
        return downward

    assert [make(step)(20) for step in (3, 7)] == [2, 6]


def test_another_default_is_another_definition() -> None:
    def make(default: int) -> Callable[[], int]:
        def answer(number: int = default) -> int:
            return number

        made: Callable[[], int] = shaped(answer, typechecker=beartype)
        return made

    assert [make(1)(), make(2)()] == [1, 2]
