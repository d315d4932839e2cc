"""Ratios of figures that were measured one right after the other: their median, with an interval.

The interval contains the true median with 95 % confidence or more, whatever the distribution: it reaches from one order
statistic to another (binomial; for 10 ratios the second least and the second largest, 97.9 %).
"""

from collections.abc import Mapping, Sequence
from math import comb
from statistics import median
from typing import Any, NamedTuple

MIN_ROUNDS = 6
"""With fewer, not even the least and the largest ratio contain the median with 95 % confidence."""


class MedianInterval(NamedTuple):
    """A median of a sample, with the order statistics around it that contain the true median. confidence: exactly."""

    median: float
    low: float
    high: float
    confidence: float


def median_interval(values: Sequence[float], confidence: float = 0.95) -> MedianInterval:
    """The narrowest symmetric pair of order statistics with at least this confidence.

    The true median lies outside with probability 2 P(B < k), B ~ Binomial(n, 1/2), for the k-th least and the k-th
    largest of n values. Raises ValueError if there are too few values.
    """
    ordered, count = sorted(values), len(values)
    outside, k = 0.0, 0
    while k < count // 2 and outside + comb(count, k) / 2 ** (count - 1) <= 1 - confidence:
        outside += comb(count, k) / 2 ** (count - 1)
        k += 1
    if k == 0:
        raise ValueError(f"{count} values are too few for {confidence:.0%} confidence")
    return MedianInterval(median(ordered), ordered[k - 1], ordered[-k], 1 - outside)


def with_interval(name: str, values: Sequence[float], digits: int = 4) -> Mapping[str, Any]:
    """The fields of a row: the median, and its interval where there are enough values for one."""
    if len(values) < MIN_ROUNDS:
        return {name: round(median(values), digits)}
    interval = median_interval(values)
    return {
        name: round(interval.median, digits),
        f"{name}_95": [round(interval.low, digits), round(interval.high, digits)],
    }


def ratios(name: str, values: Sequence[float]) -> Mapping[str, Any]:
    """The fields of a row about the ratios of all pairs, with every one of them."""
    return {**with_interval(f"{name}_ratio", values), f"{name}_ratios": [round(each, 4) for each in values]}
