"""When a query is unlike its support set. `support_ood` says when a support set, or a query, is unlike training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from app.learn.calibration_table import Calibration
from app.learn.shape_annotations import Float

MAX_DISTANCES = 2**20
"""Computed at once: bounds their memory at 8 MiB."""


def familiarity_threshold(calibration: Calibration, shots: int | float) -> float:
    """The largest logit below which a query counts as unlike every class of the support set.

    calibration: one that has `familiarity`
    shots: support examples per class; between two calibrated numbers the threshold is interpolated linearly in the
        logarithm of the shots
    """
    smaller, larger, fraction = calibration.neighbours(shots)
    return (1 - fraction) * calibration.familiarity[smaller] + fraction * calibration.familiarity[larger]


def nearest_distances(
    queries: Float[Tensor, "*task query feature"],
    support: Float[Tensor, "*task example feature"],
    scale: Sequence[float],
) -> Float[Tensor, "*task query"]:
    """The Euclidean distance of each query from the nearest example of its support set, float64.

    scale: by what each feature is divided
    """
    divisor = torch.tensor(scale, dtype=torch.float64, device=queries.device)
    queries, support = queries.double() / divisor, support.double() / divisor
    rows = max(1, MAX_DISTANCES // (support.numel() // support.shape[-1]))
    parts = [
        # not by matrix products, which lose the digits of small distances
        torch.cdist(part, support, compute_mode="donot_use_mm_for_euclid_dist").amin(-1)
        for part in torch.split(queries, rows, -2)
    ]
    return torch.cat(parts, -1)
