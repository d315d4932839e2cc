"""The rows of one task of a table, as everything that learns from tables takes them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class TaskRows:
    """The rows of one task.

    name: as text
    inputs: float32 [row, feature], encoded by the table encoder
    targets: float32 [row, 1], in the user's units; in the order of `--order`, where it is given. Baselines see them
        standardised, in float64
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)
