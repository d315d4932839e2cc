"""A column of numbers: scaled, imputed, flagged."""

import numpy as np
import pytest

from app.encoders.columns.number import NumberColumn

VALUES = [1.0, 2, None, 9]


def test_missing_numbers_are_the_mean_or_the_median_and_flagged() -> None:
    mean = NumberColumn.fit("a", VALUES, {})
    assert mean.may_be_missing
    features = mean.features(mean.parse(VALUES))
    np.testing.assert_array_equal(features[:, 1], [0, 0, 1, 0])
    assert features[2, 0] == 0
    assert features[[0, 1, 3], 0].mean() == pytest.approx(0, abs=1e-6)
    assert features[[0, 1, 3], 0].std() == pytest.approx(1)
    median = NumberColumn.fit("a", VALUES, {"impute": "median"})
    features = median.features(median.parse(VALUES))
    assert features[2, 0] == features[1, 0]


def test_without_scaling_the_numbers_pass() -> None:
    column = NumberColumn.fit("a", [1, 2.5], {"scale": False})
    np.testing.assert_array_equal(column.features(column.parse([0.1, 7])), np.array([[0.1], [7]], np.float32))


def test_a_column_may_be_missing_though_it_never_was() -> None:
    column = NumberColumn.fit("a", [1, 3], {"may_be_missing": True})
    np.testing.assert_array_equal(column.features(column.parse([None])), [[0, 1]])


def test_a_column_without_values_is_zero() -> None:
    column = NumberColumn.fit("a", [None, None], {})
    np.testing.assert_array_equal(column.features(column.parse([None, 2])), [[0, 1], [2, 0]])
