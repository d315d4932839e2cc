"""A column of categories: one-hot, told apart by type, with a place for unseen and for missing ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encoders.columns.category import CategoryColumn
from app.errors import Invalid, TrainingError

MIXED: list[Any] = ["1", 1, True, "b", None]


def onehot(column: CategoryColumn, value: Any) -> int:
    features = column.features(column.parse([value]))[0]
    assert features.sum() == 1
    return int(features.argmax())


def test_categories_are_told_apart_by_type() -> None:
    column = CategoryColumn.fit("a", MIXED, {})
    assert column.categories == (True, 1, "1", "b")
    assert [onehot(column, value) for value in MIXED] == [2, 1, 0, 3, 5]
    assert onehot(column, False) == onehot(column, 2) == onehot(column, "c") == 4
    assert repr(column.canonical(column.parse([1.0, True, "1", float("nan")]))) == "[1, True, '1', None]"


def test_a_type_that_training_never_had_is_refused() -> None:
    column = CategoryColumn.fit("a", [1, 2.5], {})
    with pytest.raises(Invalid, match=r'^\[0\]\.a: expected a number, got "1": the categories are 1, 2\.5$'):
        column.parse(["1"])


def test_the_most_frequent_ones_are_kept() -> None:
    column = CategoryColumn.fit("a", ["z", "z", "y", "y", "x"], {"max_categories": 2})
    assert column.categories == ("y", "z")
    assert onehot(column, "x") == 2
    with pytest.raises(TrainingError, match="max_categories: expected at least 1, got 0"):
        CategoryColumn.fit("a", ["z"], {"max_categories": 0})


SCALARS = st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e18, 1e18))


@given(st.lists(SCALARS, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_training_does_not_matter(values: list[Any], random: Any) -> None:
    column = CategoryColumn.fit("a", values, {})
    shuffled = random.sample(values, len(values))
    assert repr(CategoryColumn.fit("a", shuffled, {}).categories) == repr(column.categories)
    kept = column.canonical(column.parse(values))
    assert repr(column.canonical(column.parse(kept))) == repr(kept)
    features = column.features(column.parse(values))
    np.testing.assert_array_equal(column.features(column.parse(kept)), features)
    assert not features[:, len(column.categories) :].any()
