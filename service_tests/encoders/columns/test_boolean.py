"""A column of true and false."""

import numpy as np

from app.encoders.columns.boolean import BooleanColumn


def test_true_is_one_and_missing_is_the_share_of_true() -> None:
    column = BooleanColumn.fit("a", [True, False, True, np.True_, None], {})
    np.testing.assert_array_equal(column.features(column.parse([True, False, None])), [[1, 0], [0, 0], [0.75, 1]])
    assert column.canonical(column.parse([np.True_, False, float("nan")])) == [True, False, None]
    assert column.describe() == {"categories": [False, True]}


def test_a_column_that_was_always_true_says_so() -> None:
    column = BooleanColumn.fit("a", [True], {})
    assert column.describe() == {"categories": [True]}
    assert column.example() is True
    assert column.width == 1
