"""Masked losses of one task, one for each kind of prediction."""

from collections.abc import Callable

from torch import Tensor

from app.learn.shapes import Bool, Float

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs, targets, mask) -> the mean over the examples where the mask is true, as a scalar."""


def masked_mean(values: Float[Tensor, " example"], mask: Bool[Tensor, " example"]) -> Float[Tensor, ""]:
    """The mean of `values` where `mask` is true; 0 where it is true nowhere (a padding task)."""
    return values.where(mask, 0.0).sum() / mask.sum().clamp(min=1)


def mean_squared_error(
    outputs: Float[Tensor, "example target"],
    targets: Float[Tensor, "example target"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, ""]:
    """The squared error, averaged over the targets of an example and then over the examples."""
    return masked_mean((outputs - targets).square().mean(-1), mask)


LOSSES: dict[str, Loss] = {"regression": mean_squared_error}
