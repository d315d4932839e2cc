"""How much the examples count where the last ones count most."""

import numpy as np
import pytest
import torch

from app.learn.recency_weights import discount_factors

DISCOUNTS = (0.0, 0.5, 0.9, 1.0)


def counts(weights: list[float], discount: float) -> list[float]:
    """The weight of each example, times its factor."""
    mask = torch.tensor(weights, dtype=torch.float64)
    counted: list[float] = (discount_factors(mask, [discount])[0] * mask).tolist()
    return counted


def test_an_example_counts_less_the_more_are_behind_it() -> None:
    factors = discount_factors(torch.tensor([True, True, True, False]), DISCOUNTS)
    expected = np.array([[0, 0, 1, 0], [0.25, 0.5, 1, 0], [0.81, 0.9, 1, 0], [1, 1, 1, 0]])
    np.testing.assert_allclose(factors.numpy(), expected, rtol=1e-15)


def test_padding_between_examples_is_not_behind_them() -> None:
    factors = discount_factors(torch.tensor([False, True, False, True]), [0.5])
    assert factors.tolist() == [[0, 0.5, 0, 1]]


def test_weights_of_1_change_no_bit() -> None:
    mask = torch.tensor([True, True, False, True, True, True, False])
    assert torch.equal(discount_factors(mask, DISCOUNTS), discount_factors(mask.double(), DISCOUNTS))


@pytest.mark.parametrize("discount", DISCOUNTS)
def test_an_example_of_weight_3_counts_as_three(discount: float) -> None:
    one, copies = counts([1, 3, 0, 2], discount), counts([1, 1, 1, 1, 1, 1], discount)
    expected = [copies[0], sum(copies[1:4]), 0, sum(copies[4:])]
    np.testing.assert_allclose(one, expected, rtol=1e-14)


@pytest.mark.parametrize("discount", DISCOUNTS)
def test_parts_of_an_example_count_as_the_whole(discount: float) -> None:
    parts = counts([0.7, 0.3, 0.25, 1.5, 0.25], discount)
    np.testing.assert_allclose(sum(parts), sum(counts([1, 1, 1], discount)), rtol=1e-14)
    smooth = counts([1.0, 1e-9], discount)
    np.testing.assert_allclose(smooth, [1.0, 0.0], atol=1e-8)
