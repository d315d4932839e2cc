"""The loss of an example, one for each kind of prediction, and its masked mean over the examples of a task."""

from collections.abc import Callable

from torch import Tensor

from app.learn.policies import weighted_surprise
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


def gaussian_likelihood(
    outputs: Float[Tensor, "example target"],
    variance: Float[Tensor, "example target"],
    targets: Float[Tensor, "example target"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, ""]:
    """Minus the log-likelihood of targets that are normal with that mean and variance, averaged as the squared error.

    In nats, without the constant.
    """
    return masked_mean(((outputs - targets).square() / variance + variance.log()).mean(-1) / 2, mask)


def cross_entropy(
    logits: Float[Tensor, "*task example way"], targets: Float[Tensor, "*task example way"]
) -> Float[Tensor, "*task example"]:
    """Minus the log-probability of an example's class; `targets` are one-hot. In nats."""
    # `where`: a class that does not exist may have the log-probability minus infinity, and 0 times that is NaN
    return -(targets * logits.log_softmax(-1)).where(targets > 0, 0.0).sum(-1)


def mean_cross_entropy(
    logits: Float[Tensor, "example way"],
    targets: Float[Tensor, "example way"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, ""]:
    """The cross-entropy, averaged over the examples."""
    return masked_mean(cross_entropy(logits, targets), mask)


def mean_weighted_surprise(
    outputs: Float[Tensor, "example output"],
    targets: Float[Tensor, "example target"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, ""]:
    """The weighted surprise at the actions taken, averaged over the decisions."""
    return masked_mean(weighted_surprise(outputs, targets), mask)


LOSSES: dict[str, Loss] = {
    "classification": mean_cross_entropy,
    "decision": mean_weighted_surprise,
    "regression": mean_squared_error,
}
ERRORS: dict[str, Error] = {
    "classification": cross_entropy,
    "decision": weighted_surprise,
    "regression": squared_error,
}
"""By kind, as LOSSES are: the loss of a task is the mean of the errors of its examples."""
ONE_HOT = frozenset({"classification"})
"""The kinds whose targets are one-hot, a column a class."""
WEIGHTED = frozenset({"decision"})
"""The kinds whose targets have one column more than the family says, a weight, and whose outputs are a policy."""


def columns(kind: str, targets: int) -> int:
    """The columns of a target as a loss takes it. targets: those that the family says."""
    return targets + (kind in WEIGHTED)
