"""Prediction intervals: the half widths of the calibration, around each prediction."""

from collections.abc import Sequence

import numpy as np
import torch

from app.learn.calibration_table import Calibration
from app.service.nearest_example import Distances


def intervals(
    predictions: np.ndarray,
    level: float,
    calibration: Calibration,
    size: float,
    distances: Distances | None,
    far: Sequence[bool] | None,
    std: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends, both float32 [query, target]. They are NaN for a query that is `far`.

    predictions: float32 [query, target]
    level: the share of true values that should lie inside, of those that the calibration has
    size: the number of support examples
    distances: how far each query is from the nearest of them; None where the calibration has one width for all
    std: the standard deviation of each prediction, float32 [query, target], where the algorithm gives it
    """
    half_widths = np.array(calibration.widths_for(level, size))
    if calibration.relative:
        assert std is not None, "its algorithm gives standard deviations"
        half_widths = half_widths * std
    if distances is not None:
        stretch = calibration.stretch_for(size, torch.as_tensor(distances, dtype=torch.float64))
        half_widths = half_widths * stretch.numpy()
    if far is not None and True in far:
        half_widths = np.where(np.array(far)[:, None], np.nan, half_widths)
    half_widths = half_widths.astype(np.float32)
    return predictions - half_widths, predictions + half_widths
