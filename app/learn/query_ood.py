"""When a query is unlike its support set. `support_ood` says when a support set, or a query, is unlike training."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from app.learn.calibration_table import Calibration
from app.learn.example_weights import Mask, as_divisor, is_example, weighted
from app.learn.shape_annotations import Bool, Float

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


def similarity_threshold(calibration: Calibration, shots: int | float) -> float:
    """The largest cosine below which a query counts as unlike every class of the support set.

    calibration: one that `has_similarity`
    shots: examples per class, names among them; between two calibrated numbers the threshold is interpolated linearly
        in the logarithm of the shots
    """
    assert calibration.similarity is not None, "it has a similarity"
    smaller, larger, fraction = calibration.neighbours(shots)
    return (1 - fraction) * calibration.similarity[smaller] + fraction * calibration.similarity[larger]


class ComparisonRows(NamedTuple):
    """What queries are compared with: the examples of a support set, and behind them the mean of each class.

    rows: each of length 1
    exists: which of them are examples, or the mean of a class that has any
    """

    rows: Float[Tensor, "*task row feature"]
    exists: Bool[Tensor, "*task row"]


def largest_cosines(
    queries: Float[Tensor, "*task query feature"],
    support: Float[Tensor, "*task example feature"],
    targets: Float[Tensor, "*task example way"],
    mask: Mask,
) -> Float[Tensor, "*task query"]:
    """The cosine of each query to the nearest example, or to the mean of a class if that is larger.

    targets: one-hot
    """
    return cosines_to(queries, comparison_rows(support, targets, mask))


def cosines_to(queries: Float[Tensor, "*task query feature"], support: ComparisonRows) -> Float[Tensor, "*task query"]:
    """As `largest_cosines`, of a support set that is prepared by `comparison_rows`."""
    cosines = normalize(queries, dim=-1) @ support.rows.mT
    return cosines.where(support.exists.unsqueeze(-2), -1.0).amax(-1).clamp(-1, 1)  # rounding may go beyond


def comparison_rows(
    support: Float[Tensor, "*task example feature"], targets: Float[Tensor, "*task example way"], mask: Mask
) -> ComparisonRows:
    """What queries are compared with, of a support set as in `largest_cosines`."""
    examples = normalize(support.where(is_example(mask).unsqueeze(-1), 0.0), dim=-1)
    members = weighted(targets, mask.unsqueeze(-1).expand_as(targets))
    means = members.mT @ examples / as_divisor(members.sum(-2), mask).unsqueeze(-1)
    exists = torch.cat([is_example(mask), members.sum(-2) > 0], -1)
    return ComparisonRows(torch.cat([examples, normalize(means, dim=-1)], -2), exists)
