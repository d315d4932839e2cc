"""The kinds of prediction: the error of an example, and its masked mean over the examples of a task, the loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from app.learn.policies import weighted_nll
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


def gaussian_nll(
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


def mean_weighted_nll(
    outputs: Float[Tensor, "example output"],
    targets: Float[Tensor, "example target"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, ""]:
    """The weighted surprise at the actions taken, averaged over the decisions."""
    return masked_mean(weighted_nll(outputs, targets), mask)


@dataclass(frozen=True)
class Kind:
    """What learning has to know of a kind of prediction.

    loss: of a task, the mean of the errors of its examples
    error: of each example
    one_hot: whether targets are one-hot, a column for each class
    weighted: whether targets have one column more than the family says, a weight, and outputs are a policy
    """

    loss: Loss
    error: Error
    one_hot: bool = False
    weighted: bool = False

    def columns(self, targets: int) -> int:
        """The columns of a target as the loss takes it. targets: those that the family says."""
        return targets + self.weighted


KINDS: Mapping[str, Kind] = {
    "classification": Kind(mean_cross_entropy, cross_entropy, one_hot=True),
    "decision": Kind(mean_weighted_nll, weighted_nll, weighted=True),
    "regression": Kind(mean_squared_error, squared_error),
}
"""By name. `app.service.outputs` and `app.training` have what serving and evaluating have to know, by the same names."""
