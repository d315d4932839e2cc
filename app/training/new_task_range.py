"""The range of each feature that a new task seldom leaves, from all rows of a limited number of training tasks.

With n tasks, a new one leaves the range of a column that is constant within tasks with a probability of 2 / (n + 1): of
45 patients, a fifth of new ones leave that of age, height, weight or dose. So the range is widened.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FALSE_ALARM_RATE = 0.02
"""The share of new tasks that leave the widened range, as far as the training tasks tell."""


class FeatureRange(NamedTuple):
    """The smallest and the largest value of each feature, float64 [feature]."""

    low: np.ndarray
    high: np.ndarray


def new_task_range(tasks: Sequence[np.ndarray], column_widths: Sequence[int]) -> FeatureRange:
    """The range of the rows of all tasks, widened so that FALSE_ALARM_RATE of new tasks leave it in any feature.

    tasks: at least 2, each [row, feature]
    column_widths: how many features each column has
    """
    low, high = (np.array([each(task, 0) for task in tasks], np.float64) for each in (np.min, np.max))
    excess = excess_over_others(low, high)
    ends = FeatureRange(low.min(0), high.max(0))
    margin = margin_of(excess) * (ends.high - ends.low)
    return _with_new_categories(FeatureRange(ends.low - margin, ends.high + margin), ends, excess, column_widths)


def excess_over_others(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far each task leaves the range of all other tasks, in parts of that range, [task, feature].

    It is 0 for a task that stays inside, and infinite where the other tasks have a single value.

    low, high: the smallest and the largest value of each task, [task, feature]
    """
    others_low = np.where(low == low.min(0), np.partition(low, 1, 0)[1], low.min(0))
    others_high = np.where(high == high.max(0), np.partition(high, -2, 0)[-2], high.max(0))
    beyond = np.maximum(np.maximum(others_low - low, high - others_high), 0.0)
    spread = others_high - others_low
    parts = np.divide(beyond, spread, out=np.zeros_like(beyond), where=spread > 0)
    return np.where((beyond > 0) & (spread <= 0), np.inf, parts)


def margin_of(excess: np.ndarray) -> float:
    """By which part of its range each feature's range is widened at both ends.

    The excess of a task is that of the feature that it leaves furthest. Tasks that leave the range of the others have
    excesses like those of an exponential distribution. Its mean is known from few tasks only, so that of a new task is
    a Lomax distribution: with k tasks of the mean excess m, it is above k m (x^(-1/k) - 1) with probability x.
    Geisser 1993, "Predictive Inference", section 3.2

    excess: that of `excess_over_others`; features with an infinite one are left out
    """
    finite = excess[:, np.isfinite(excess).all(0)]
    furthest = finite.max(1, initial=0.0)
    leaving = furthest[furthest > 0]
    rarer = len(leaving) / len(furthest) / FALSE_ALARM_RATE
    if rarer <= 1:
        return 0.0
    count = len(leaving)
    return float(count * leaving.mean() * (rarer ** (1 / count) - 1))


def _with_new_categories(
    widened: FeatureRange, ends: FeatureRange, excess: np.ndarray, column_widths: Sequence[int]
) -> FeatureRange:
    """The same range, in which a column may have a category that is unseen in training, if new tasks often have one.

    As many new tasks have one as training tasks have one that no other task has: Good 1953, "The Population
    Frequencies of Species and the Estimation of Population Parameters".

    ends: the range of training
    """
    features = np.arange(len(ends.low))
    unseen, columns = np.isinf(excess), np.split(features, np.cumsum(column_widths)[:-1])
    flags = (ends.low >= 0) & (ends.high <= 1)
    new = [each for each in columns if len(each) > 1 and flags[each].all() and unseen[:, each].any()]
    if not new or unseen[:, np.concatenate(new)].any(1).mean() <= FALSE_ALARM_RATE:
        return widened
    opened = np.isin(features, np.concatenate(new))
    return FeatureRange(
        np.where(opened, np.minimum(widened.low, 0.0), widened.low),
        np.where(opened, np.maximum(widened.high, 1.0), widened.high),
    )
