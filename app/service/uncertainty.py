"""How sure a model of numbers is: by its algorithm, or else by the calibration of its bundle."""

import math
from statistics import NormalDist

import numpy as np
import torch

from app.learn.calibration_table import Calibration
from app.service.nearest_example import Distances

ONE_SIGMA = math.erf(1 / math.sqrt(2))
"""The share of a normal distribution within one standard deviation."""


def calibrated_std(calibration: Calibration, size: float, distances: Distances) -> np.ndarray:
    """The standard deviation of each number of each prediction, float32 [query, target].

    It is half the width of the calibrated interval that covers `ONE_SIGMA` of the true values. Where the calibration
    has no such level, it is that of the nearest level, divided by the width that the level has in a standard normal
    distribution. Beyond the distances of the calibration it is that of the largest distance.

    calibration: one that has intervals
    size: the number of support examples
    distances: how far each query is from the nearest of them; not used where the calibration has one width for all
    """
    level = min(max(ONE_SIGMA, calibration.levels[0]), calibration.levels[-1])
    std = np.array(calibration.widths_for(level, size)) / NormalDist().inv_cdf((1 + level) / 2)
    if not calibration.has_distances:
        return np.tile(std.astype(np.float32), (len(distances), 1))
    stretch = calibration.stretch_for(size, torch.as_tensor(distances, dtype=torch.float64))
    stretched: np.ndarray = (std * stretch.numpy()).astype(np.float32)
    return stretched
