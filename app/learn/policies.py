"""Policies: the form of actions and their likelihood.

A policy is the output of a network for an observation. For discrete actions it is a logit for each action. For a box it
is the mean of each number of the action, followed by the logarithms of the standard deviations. An action is one-hot,
or a row of numbers. The target of a decision is the action followed by its weight (`app.learn.decision_weights`).
"""

import math
from dataclasses import dataclass

from torch import Tensor

from app.errors import expectation
from app.learn.shape_annotations import Float

MIN_LOG_DEVIATION = math.log(1e-6)
"""The smallest log deviation of a Gaussian policy, as in rllab."""


def is_gaussian(outputs: int, actions: int) -> bool:
    """Whether a network with that number of outputs is a Gaussian policy, for actions of that length.

    Raises ValueError if it is not a policy for such actions.
    """
    if outputs not in (actions, 2 * actions):
        raise ValueError(
            expectation(
                "network",
                f"{actions} outputs (a logit for each action) or {2 * actions} (a mean and a log standard deviation "
                "for each number of an action)",
                outputs,
            )
        )
    return outputs == 2 * actions


def check(outputs: int, actions: int, is_box: bool) -> None:
    """Raise ValueError if a network with that number of outputs is not a policy for these actions.

    actions: the length of an action
    is_box: whether an action is a row of numbers (`Actions.is_box`); otherwise it is discrete
    """
    if is_gaussian(outputs, actions) != is_box:
        form = f"for actions of {actions} numbers" if is_box else f"for {actions} discrete actions"
        needed = 2 * actions if is_box else actions
        raise ValueError(expectation("network", f"{needed} outputs {form}", outputs))


def mean_and_deviation(
    outputs: Float[Tensor, "*rows output"],
) -> tuple[Float[Tensor, "*rows action"], Float[Tensor, "*rows action"]]:
    """The mean and standard deviation of a Gaussian policy."""
    mean, log_deviation = outputs.chunk(2, -1)
    return mean, log_deviation.clamp(min=MIN_LOG_DEVIATION).exp()


def log_likelihood(
    outputs: Float[Tensor, "*rows output"], actions: Float[Tensor, "*rows action"]
) -> Float[Tensor, "*rows"]:
    """The log-probability of each action, or its log-density for a Gaussian policy, in nats."""
    if not is_gaussian(outputs.shape[-1], actions.shape[-1]):
        return (actions * outputs.log_softmax(-1)).sum(-1)
    mean, deviation = mean_and_deviation(outputs)
    exponent = ((actions - mean) / deviation).square() / 2
    return -(exponent + deviation.log() + math.log(2 * math.pi) / 2).sum(-1)


def weighted_nll(
    outputs: Float[Tensor, "*task example output"], targets: Float[Tensor, "*task example target"]
) -> Float[Tensor, "*task example"]:
    """The negative log-likelihood of each action times its weight, the last column of the targets.

    Its gradient is the policy gradient where the weights are advantages (Williams 1992, "Simple statistical
    gradient-following algorithms for connectionist reinforcement learning").
    """
    return -targets[..., -1] * log_likelihood(outputs, targets[..., :-1])


@dataclass(frozen=True)
class Actions:
    """The form of an action: discrete, one of several by its index (0, 1, ...), or a box, a row of numbers.

    low, high: the bounds that the environment clips each number of a box to; both empty for discrete actions
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def is_box(self) -> bool:
        """Whether an action is a row of numbers."""
        return len(self.low) > 0

    def fits(self, width: int) -> bool:
        """Whether there are valid bounds for that number of numbers, or none."""
        if len(self.low) != len(self.high) or len(self.low) not in (0, width):
            return False
        return all(low < high for low, high in zip(self.low, self.high, strict=True))
