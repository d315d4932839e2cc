"""The loss of an example, one for each kind of prediction, and its masked mean over the examples of a task."""

from collections.abc import Callable

from torch import Tensor

from app.learn.shapes import Bool, Float

Error = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> the loss of each example alone. Any axes may stand in front of the example's."""
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs, targets, mask) -> the mean over the examples where the mask is true, as a scalar."""


def masked_mean(values: Float[Tensor, " example"], mask: Bool[Tensor, " example"]) -> Float[Tensor, ""]:
    """The mean of `values` where `mask` is true; 0 where it is true nowhere (a padding task)."""
    return values.where(mask, 0.0).sum() / mask.sum().clamp(min=1)


def squared_error(
    outputs: Float[Tensor, "*task example target"], targets: Float[Tensor, "*task example target"]
) -> Float[Tensor, "*task example"]:
    """The squared error, averaged over the targets of an example."""
    return (outputs - targets).square().mean(-1)


def mean_squared_error(
    outputs: Float[Tensor, "example target"],
    targets: Float[Tensor, "example target"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, ""]:
    """The squared error, averaged over the targets of an example and then over the examples."""
    return masked_mean(squared_error(outputs, targets), mask)


LOSSES: dict[str, Loss] = {"regression": mean_squared_error}
ERRORS: dict[str, Error] = {"regression": squared_error}
"""By kind, as LOSSES are: the loss of a task is the mean of the errors of its examples."""
