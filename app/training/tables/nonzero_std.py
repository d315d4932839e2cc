"""Standard deviations that tell a column that varies little from one that does not vary."""

import numpy as np

ROUNDING = 1e-12
"""The standard deviation of equal numbers is below this share of the largest. That of float32 numbers that differ is
above it, in any unit."""


def deviations(values: np.ndarray) -> np.ndarray:
    """The standard deviation of each column of [row, column], float64 [column]; 1 for one that does not vary."""
    wide = values.astype(np.float64)
    std = wide.std(axis=0)
    return np.where(std > ROUNDING * np.abs(wide).max(axis=0), std, 1.0)
