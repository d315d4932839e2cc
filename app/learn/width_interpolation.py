"""The widths of intervals between those that a calibration has measured."""

from collections.abc import Sequence
from math import exp, log

import torch
from torch import Tensor

from app.learn.shape_annotations import Float


def interpolate_width(first: float, second: float, fraction: float) -> float:
    """Between two widths: linear in their logarithms, or in the widths themselves if one of them is 0."""
    if fraction == 0 or min(first, second) <= 0:
        return (1 - fraction) * first + fraction * second
    return exp((1 - fraction) * log(first) + fraction * log(second))


def interpolate_stretch(
    knots: Sequence[float], stretch: Sequence[Sequence[float]], distances: Float[Tensor, "*query"]
) -> Float[Tensor, "*query target"]:
    """By what half widths are multiplied at these distances, float64; 1 where there are no knots.

    knots, stretch: `distances` and `stretch` of a `Calibration`, for one number of shots
    """
    by_target = distances.new_tensor(stretch, dtype=torch.float64)
    if not knots:
        return distances.new_ones((*distances.shape, len(by_target)), dtype=torch.float64)
    ends = distances.new_tensor(knots, dtype=torch.float64)
    above = torch.searchsorted(ends, distances.double()).clamp(1, len(ends) - 1)
    low, high = ends[above - 1], ends[above]
    part = ((distances - low) / (high - low)).nan_to_num(nan=1.0).clamp(0, 1)
    return torch.lerp(by_target[:, above - 1], by_target[:, above], part).movedim(0, -1)
