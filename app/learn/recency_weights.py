"""Discounts: of ordered examples, the last count most.

With a discount d, an example with n examples behind it counts d^n: 1 for all alike, 0 for the last one alone.
West and Harrison 1997, "Bayesian Forecasting and Dynamic Models", chapter 6
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from app.learn.example_weights import Mask
from app.learn.shape_annotations import Float


def discount_factors(mask: Mask, discounts: Sequence[float]) -> Float[Tensor, "discount example"]:
    """What the weight of each example is multiplied by, for each discount, in float64; 0 for padding.

    An example of weight 2 counts as two, one behind the other. In general, one of weight w with the weight n behind it
    counts the integral of d^floor(t) from n to n + w.

    mask: of one task, its examples from the first to the last
    """
    weights = mask.double()
    behind = weights.flip(0).cumsum(0).flip(0) - weights
    discount = torch.tensor(discounts, dtype=torch.float64, device=mask.device).unsqueeze(-1)
    if mask.dtype == torch.bool:
        return (discount**behind).where(mask, 0.0)
    counts = _integral(discount, behind, weights)
    return torch.where(discount < 1, counts / weights.where(mask > 0, 1.0), (mask > 0).double())


def _integral(
    discount: Float[Tensor, "discount 1"], start: Float[Tensor, " example"], length: Float[Tensor, " example"]
) -> Float[Tensor, "discount example"]:
    """Of d^floor(t): the part up to the next whole number, whole steps, and the rest. Not finite for a discount of 1.

    Nothing cancels, so that a weight of 1 is exact.
    """
    step = start.floor()
    first = length.minimum(step + 1 - start)
    whole = (length - first).floor()
    powers = discount**whole
    rest = (1 - powers) / (1 - discount) + (length - first - whole) * powers
    return discount**step * (first + discount * rest)
