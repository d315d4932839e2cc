"""What numbers were like in training, and standardising by it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from app.encoders.encoder import ArraysError
from app.encoders.error_places import place
from app.encoders.finite_numbers import FLOAT32_MAX
from app.errors import Invalid

MIN_STD = 1e-60
"""Below that of any two numbers of float32."""


class Ranges(NamedTuple):
    """Mean, median, standard deviation, smallest and largest of the training rows, each float64 [column].

    The standard deviation of a column that was constant in training is 1, so that scaling only centres it.
    """

    mean: np.ndarray
    median: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """The ranges of float64 [row, column] with at least one row, where NaN is a missing value.

        A column without a value has the mean 0 and the standard deviation 1.
        """
        columns = [column[~np.isnan(column)] for column in values.T]
        rows = [cls._of_column(column if len(column) else np.zeros(1)) for column in columns]
        return cls(*np.array(rows, np.float64).reshape(-1, len(cls._fields)).T)

    @staticmethod
    def _of_column(values: np.ndarray) -> tuple[Any, ...]:
        low, high = values.min(), values.max()
        mean = np.clip(values.mean(), low, high)  # the sum may round out of the range
        std = values.std()
        return mean, np.median(values), 1.0 if low == high or std < MIN_STD else std, low, high

    def checked(self) -> Self:
        """The same, or ArraysError where mean or median is not between low and high, or a deviation is too small."""
        inside = (self.low <= self.mean) & (self.mean <= self.high)
        inside &= (self.low <= self.median) & (self.median <= self.high) & (self.std >= MIN_STD)
        if not inside.all():
            raise ArraysError(f"ranges: column {int(np.argmin(inside))} has no mean, median or deviation of its range")
        return self

    def scale(self, values: np.ndarray) -> np.ndarray:
        """(x - mean) / std, float64 [row, column], finite for all numbers of float32."""
        scaled: np.ndarray = (values - self.mean) / self.std
        return scaled

    def typical(self) -> np.ndarray:
        """A round number near the median of each column and in its range, float64 [column]."""
        rounded = np.array([float(f"{value:.3g}") for value in self.median])
        typical: np.ndarray = np.clip(rounded, self.low, self.high)
        return typical

    def limits(self, column: int) -> dict[str, float]:
        """The range of a column, for `describe`."""
        return {"min": float(self.low[column]), "max": float(self.high[column])}


def check_scaled(scaled: np.ndarray, values: np.ndarray, ranges: Ranges, names: Sequence[str] = ()) -> np.ndarray:
    """Scaled numbers as float32. Raises Invalid where one is too far from the training rows for that."""
    if not (inside := np.abs(scaled) <= FLOAT32_MAX).all():
        row, column = map(int, np.argwhere(~inside)[0])
        low, high = ranges.low[column], ranges.high[column]
        where = place(row, names[column] if names else column)
        fix = "check its unit"
        raise Invalid(where, f"a number like those of training, {low:g} to {high:g}", f"{values[row, column]:g}", fix)
    return scaled.astype(np.float32)
