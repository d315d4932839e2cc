"""Shapes of a state (the common suite tests its other fields)."""

import pytest

from app.encoders.encoder import StateError
from app.encoders.state_checks import MAX_FEATURES, check_shape


@pytest.mark.parametrize("shape", [[1], [28, 28], [MAX_FEATURES], [1, 1, 1, 1]])
def test_a_shape_has_one_to_four_axes(shape: list[int]) -> None:
    assert check_shape({"shape": shape}) == tuple(shape)


@pytest.mark.parametrize("shape", [[], [0], [-1, 2], [1] * 5, [2**12, 2**12 + 1], [10**30], [2.0], [True], ["1"]])
def test_another_shape_is_refused(shape: list[int]) -> None:
    with pytest.raises(StateError, match=r"state\.shape"):
        check_shape({"shape": shape})
