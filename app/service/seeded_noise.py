"""The random numbers that actions are drawn with: each query's own, by the seed of the request."""

import numpy as np


def noise(rows: int, each: int, seed: int | None) -> np.ndarray:
    """Numbers from U(0, 1), float64 [row, each]; those of row i depend on the seed and on i alone.

    Philox is a counter: number i of its stream is the same however many are drawn. Salmon et al. 2011, "Parallel
    random numbers: as easy as 1, 2, 3"
    """
    unit = np.random.Generator(np.random.Philox(seed)).random((rows, each))
    return unit.clip(2.0**-54, 1 - 2.0**-53)  # neither 0 nor 1, where a normal number is not finite
