"""The kinds of prediction: the error of an example, and the loss, its masked mean over the examples of a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from app.learn.example_weights import Mask, total_weight, weighted
from app.learn.policies import weighted_nll
from app.learn.shape_annotations import Float

Error = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> the error of each example. There may be any axes in front of that of the examples."""
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs, targets, mask) -> the mean over the examples, by their weights where the mask has some, as a scalar."""


def masked_mean(values: Float[Tensor, " example"], mask: Mask) -> Float[Tensor, ""]:
    """The mean of `values` over the examples, by their weights; 0 if there are none, as for a padding task."""
    return weighted(values, mask).sum() / total_weight(mask)


def squared_error(
    outputs: Float[Tensor, "*task example target"], targets: Float[Tensor, "*task example target"]
) -> Float[Tensor, "*task example"]:
    """The squared error of each example, averaged over the numbers of its target."""
    return (outputs - targets).square().mean(-1)


def mean_squared_error(
    outputs: Float[Tensor, "example target"],
    targets: Float[Tensor, "example target"],
    mask: Mask,
) -> Float[Tensor, ""]:
    """The squared error, averaged over the numbers of a target and then over the examples."""
    return masked_mean(squared_error(outputs, targets), mask)


def gaussian_nll(
    outputs: Float[Tensor, "example target"],
    variance: Float[Tensor, "example target"],
    targets: Float[Tensor, "example target"],
    mask: Mask,
) -> Float[Tensor, ""]:
    """The negative log-likelihood of normally distributed targets, in nats, without the constant.

    outputs, variance: their mean and variance

    Averaged over the numbers of a target and then over the examples.
    """
    return masked_mean(((outputs - targets).square() / variance + variance.log()).mean(-1) / 2, mask)


def cross_entropy(
    logits: Float[Tensor, "*task example way"], targets: Float[Tensor, "*task example way"]
) -> Float[Tensor, "*task example"]:
    """The negative log-probability of each example's class, in nats. targets: one-hot."""
    # where: a class that does not exist may have the log-probability minus infinity, and 0 times that is NaN
    return -(targets * logits.log_softmax(-1)).where(targets > 0, 0.0).sum(-1)


def mean_cross_entropy(
    logits: Float[Tensor, "example way"],
    targets: Float[Tensor, "example way"],
    mask: Mask,
) -> Float[Tensor, ""]:
    """The cross-entropy, averaged over the examples."""
    return masked_mean(cross_entropy(logits, targets), mask)


def mean_weighted_nll(
    outputs: Float[Tensor, "example output"],
    targets: Float[Tensor, "example target"],
    mask: Mask,
) -> Float[Tensor, ""]:
    """The weighted negative log-likelihood of the actions taken, averaged over the decisions."""
    return masked_mean(weighted_nll(outputs, targets), mask)


@dataclass(frozen=True)
class Kind:
    """What the inner loop needs of a kind of prediction.

    loss: the loss of a task, the mean of the errors of its examples
    error: the error of each example
    one_hot: whether targets are one-hot, with a column for each class
    weighted: whether the outputs are a policy, and targets are actions with one more column, a weight
    """

    loss: Loss
    error: Error
    one_hot: bool = False
    weighted: bool = False

    @property
    def numeric(self) -> bool:
        """Whether targets are numbers, which may have units."""
        return not (self.one_hot or self.weighted)

    def columns(self, targets: int) -> int:
        """The length of a target as the loss takes it. targets: its length in the schema of the bundle."""
        return targets + self.weighted


KINDS: Mapping[str, Kind] = {
    "classification": Kind(mean_cross_entropy, cross_entropy, one_hot=True),
    "decision": Kind(mean_weighted_nll, weighted_nll, weighted=True),
    "regression": Kind(mean_squared_error, squared_error),
}
"""The kinds by name. `app.service.answers` and `app.training` have tables with the same keys, for serving and
evaluation."""
