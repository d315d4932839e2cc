"""Off-policy evaluation: what a policy would have earned, from decisions that another one took and logged.

Of decision i there are the reward r_i of the action that was taken, its propensity m_i, how probable the logging policy
took it to be, and p_i, how probable the policy in question takes it to be; the weight of a decision is w_i = p_i / m_i.
Each estimate has a 95 % interval that holds for decisions that do not depend on one another: Student's, by as many
decisions as the weights leave (`effective_sample_size`), for a hundred decisions with large weights may be worth no more than ten
without. What the policy was fitted to must not be in the log that values it: the estimates would flatter it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from app.learn.shapes import Float

NORMAL_QUANTILE = 1.959964
"""The 97.5 % quantile of the normal distribution."""


class Estimate(NamedTuple):
    """A value with the half width of its 95 % interval, for each task where there are tasks."""

    value: Float[Tensor, "*task"]
    half_width: Float[Tensor, "*task"]

    def covers(self, truth: Float[Tensor, "*task"]) -> Tensor:
        """Whether the interval contains the true value."""
        return (self.value - truth).abs() <= self.half_width


def importance_weights(
    probabilities: Float[Tensor, "*task decision action"],
    actions: Float[Tensor, "*task decision action"],
    propensities: Float[Tensor, "*task decision"],
    max_weight: float = math.inf,
) -> Float[Tensor, "*task decision"]:
    """The weight of each decision.

    probabilities: of all actions, by the policy in question; actions: those taken, one-hot
    max_weight: larger weights are clipped to it, which lowers the variance at the price of a bias
    """
    return ((probabilities * actions).sum(-1) / propensities).clamp(max=max_weight)


def inverse_propensity(weights: Float[Tensor, "*task decision"], rewards: Float[Tensor, "*task decision"]) -> Estimate:
    """The mean of w r. Unbiased without clipping: Horvitz and Thompson 1952."""
    value = (weights * rewards).mean(-1)
    squares = (weights * rewards - value.unsqueeze(-1)).square().sum(-1) + _pseudo_decisions(weights, rewards, value)
    return Estimate(value, _half_width(squares, weights, weights.shape[-1]))


def self_normalised(weights: Float[Tensor, "*task decision"], rewards: Float[Tensor, "*task decision"]) -> Estimate:
    """The sum of w r over the sum of w: within the range of the rewards, and right in the limit.

    Its interval is by the delta method. 0 and an infinite interval where all weights are 0. Swaminathan and Joachims
    2015, "The Self-Normalized Estimator for Counterfactual Learning"
    """
    total = weights.sum(-1)
    value = (weights * rewards).sum(-1) / total.where(total > 0, 1.0)
    squares = (weights * (rewards - value.unsqueeze(-1))).square().sum(-1) + _pseudo_decisions(weights, rewards, value)
    return Estimate(value, _half_width(squares, weights, total))


def doubly_robust(
    weights: Float[Tensor, "*task decision"],
    rewards: Float[Tensor, "*task decision"],
    actions: Float[Tensor, "*task decision action"],
    probabilities: Float[Tensor, "*task decision action"],
    predicted: Float[Tensor, "*task decision action"],
) -> Estimate:
    """What `predicted` rewards say of the policy, corrected by w times what they were wrong by where that was seen.

    Unbiased where the propensities are right, whatever is predicted, as long as a decision's prediction does not depend
    on its own reward (`predict_rewards`); the better the prediction, the narrower. Dudik et al. 2011, "Doubly
    Robust Policy Evaluation and Learning"
    """
    wrong = rewards - (predicted * actions).sum(-1)
    values = (probabilities * predicted).sum(-1) + weights * wrong
    value = values.mean(-1)
    squares = (values - value.unsqueeze(-1)).square().sum(-1) + _pseudo_decisions(weights, rewards, value)
    return Estimate(value, _half_width(squares, weights, weights.shape[-1]))


def effective_sample_size(weights: Float[Tensor, "*task decision"]) -> Float[Tensor, "*task"]:
    """How many decisions of equal weight are as good as these: Kish 1965, "Survey Sampling". 0 where all are 0."""
    squares = weights.square().sum(-1)
    return weights.sum(-1).square() / squares.where(squares > 0, 1.0)


FOLDS = 5
DAMPING = 1.0
"""Of the ridge regression: as much as one decision with features of size 1."""


def predict_rewards(
    observations: Float[Tensor, "*task decision feature"],
    actions: Float[Tensor, "*task decision action"],
    rewards: Float[Tensor, "*task decision"],
    folds: int = FOLDS,
) -> Float[Tensor, "*task decision action"]:
    """The reward of each action at each decision, by a ridge regression for each on the decisions of other folds.

    Decision i is of fold i % folds. Linear in the observation, around the mean reward of the other folds. Float64.
    """
    fold = torch.arange(observations.shape[-2], device=observations.device) % folds
    features = torch.nn.functional.pad(observations.double(), (0, 1), value=1.0)
    predicted = torch.zeros_like(actions, dtype=torch.float64)
    for held_out in range(folds):
        others = (fold != held_out).double()
        mean = ((rewards * others).sum(-1) / others.sum().clamp(min=1))[..., None]
        solution = ridge_by_action(features, actions.double() * others[:, None], rewards.double() - mean)
        here = features @ solution + mean[..., None]
        predicted = torch.where(others[:, None] > 0, predicted, here)
    return predicted.to(rewards.dtype)


def ridge_by_action(
    features: Float[Tensor, "*task decision feature"],
    shown: Float[Tensor, "*task decision action"],
    rewards: Float[Tensor, "*task decision"],
) -> Float[Tensor, "*task feature action"]:
    """The solution of each action's ridge regression. shown: 1 where a decision counts for an action, else 0."""
    gram = torch.einsum("...nf,...na,...ng->...afg", features, shown, features)
    moments = torch.einsum("...nf,...na,...n->...af", features, shown, rewards)
    damped = gram + DAMPING * torch.eye(features.shape[-1], dtype=features.dtype, device=features.device)
    solution: Tensor = torch.linalg.solve(damped, moments.unsqueeze(-1)).squeeze(-1).mT
    return solution


def _pseudo_decisions(
    weights: Float[Tensor, "*task decision"], rewards: Float[Tensor, "*task decision"], value: Float[Tensor, "*task"]
) -> Float[Tensor, "*task"]:
    """What four decisions more would add to the squares, of the mean weight, two of the least reward, two of the most.

    Or else an estimate would be sure of itself where all that counted went well. As Agresti and Coull 1998,
    "Approximate Is Better than 'Exact' for Interval Estimation of Binomial Proportions", do for shares.
    """
    total = weights.sum(-1)
    mean = weights.square().sum(-1) / total.where(total > 0, 1.0)
    least, most = ((mean * (reward - value)).square() for reward in (rewards.amin(-1), rewards.amax(-1)))
    return 2 * (least + most)


def _half_width(
    squares: Float[Tensor, "*task"], weights: Float[Tensor, "*task decision"], total: Float[Tensor, "*task"] | int
) -> Float[Tensor, "*task"]:
    """Of the interval around a sum over `total`; infinite for a single decision, and where none has a weight."""
    count, left = weights.shape[-1], effective_sample_size(weights)
    error = (squares * count / max(count - 1, 1)).sqrt() / total
    return (student_quantile(left - 1) * error).where((left > 0) & (count > 1), math.inf)


def student_quantile(freedom: Float[Tensor, "*task"]) -> Float[Tensor, "*task"]:
    """The 97.5 % quantile of Student's distribution, right to 1 % from 2 degrees of freedom on; fewer count as 2.

    Abramowitz and Stegun 1964, 26.7.5.
    """
    z, freedom = NORMAL_QUANTILE, freedom.clamp(min=2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum((term / freedom ** (power + 1) for power, term in enumerate(terms)), torch.zeros_like(freedom))
