"""Weights of examples: 0 equals leaving an example out, 2 equals giving it twice.

A mask says which rows of a padded batch are examples. Where examples have weights, it holds these instead of booleans.
Without weights no operation is added to a program.
"""

import torch
from torch import Tensor

from app.learn.shape_annotations import Bool, Float

Mask = Bool[Tensor, "*task example"] | Float[Tensor, "*task example"]
"""Whether each row is an example, or the weight of each row; false or 0 for padding."""


def is_example(mask: Mask) -> Bool[Tensor, "*task example"]:
    """Which rows count."""
    return mask if mask.dtype == torch.bool else mask > 0


def weighted(values: Float[Tensor, "*rows"], mask: Mask) -> Float[Tensor, "*rows"]:
    """Values with the axis of the examples in front, times the weights; 0 for padding, whose values may be anything."""
    for _ in range(values.ndim - mask.ndim):
        mask = mask.unsqueeze(-1)
    if mask.dtype == torch.bool:
        return values.where(mask, 0.0)
    return values.where(mask > 0, 0.0) * mask.to(values.dtype)


def total_weight(mask: Mask) -> Tensor:
    """The number of examples, or the sum of their weights, to divide by: 1 where there are none."""
    return as_divisor(mask.sum(), mask)


def as_divisor(total: Tensor, mask: Mask) -> Tensor:
    """Numbers of examples, or sums of their weights, to divide by: 1 where they are 0."""
    return total.clamp(min=1) if mask.dtype == torch.bool else total.where(total > 0, 1.0)
