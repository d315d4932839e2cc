"""Off-policy estimators: the value of a policy, estimated from the logged decisions of another policy.

Decision i has the reward r_i of the action taken, its propensity m_i (its probability under the logging policy), and
p_i, its probability under the evaluated policy. The weight of the decision is w_i = p_i / m_i.

Each estimate has a 95 % confidence interval for independent decisions. It is Student's, with the effective sample size
of the weights (`effective_sample_size`): a hundred decisions with large weights may be worth no more than ten with
equal ones. The log must not contain decisions that the policy was fitted to, or the estimates are too high.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from app.learn.shape_annotations import Float

NORMAL_QUANTILE = 1.959964
"""The 97.5 % quantile of the normal distribution."""


class Estimate(NamedTuple):
    """A value with the half width of its 95 % confidence interval, for each task if there is a task axis."""

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

    probabilities: the probabilities of all actions under the evaluated policy
    actions: the actions taken, one-hot
    max_weight: larger weights are clipped to it, which lowers the variance and adds a bias
    """
    return ((probabilities * actions).sum(-1) / propensities).clamp(max=max_weight)


def inverse_propensity(weights: Float[Tensor, "*task decision"], rewards: Float[Tensor, "*task decision"]) -> Estimate:
    """The mean of w r. Unbiased without clipping: Horvitz and Thompson 1952."""
    value = (weights * rewards).mean(-1)
    squares = (weights * rewards - value.unsqueeze(-1)).square().sum(-1) + _pseudo_decisions(weights, rewards, value)
    return Estimate(value, _half_width(squares, weights, weights.shape[-1]))


def self_normalised(weights: Float[Tensor, "*task decision"], rewards: Float[Tensor, "*task decision"]) -> Estimate:
    """The sum of w r over the sum of w: within the range of the rewards, and consistent.

    The interval is that of the delta method. If all weights are 0, the value is 0 and the interval infinite.
    Swaminathan and Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning"
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
    """The value under `predicted` rewards, corrected by w times the prediction errors of the actions taken.

    Unbiased for any predictions if the propensities are right and a decision's prediction does not depend on its own
    reward (`predict_rewards`). Better predictions give a narrower interval. Dudik et al. 2011, "Doubly Robust Policy
    Evaluation and Learning"
    """
    errors = rewards - (predicted * actions).sum(-1)
    values = (probabilities * predicted).sum(-1) + weights * errors
    value = values.mean(-1)
    squares = (values - value.unsqueeze(-1)).square().sum(-1) + _pseudo_decisions(weights, rewards, value)
    return Estimate(value, _half_width(squares, weights, weights.shape[-1]))


def effective_sample_size(weights: Float[Tensor, "*task decision"]) -> Float[Tensor, "*task"]:
    """The number of decisions of equal weight that are worth as much: Kish 1965, "Survey Sampling". 0 if all are 0."""
    squares = weights.square().sum(-1)
    return weights.sum(-1).square() / squares.where(squares > 0, 1.0)


FOLDS = 5
DAMPING = 1.0
"""The regularisation of the ridge regressions: as much as one decision with features of size 1."""


def predict_rewards(
    observations: Float[Tensor, "*task decision feature"],
    actions: Float[Tensor, "*task decision action"],
    rewards: Float[Tensor, "*task decision"],
    folds: int = FOLDS,
) -> Float[Tensor, "*task decision action"]:
    """Predict the reward of each action at each decision, by ridge regressions on the decisions of the other folds.

    There is one regression for each action and fold; decision i belongs to fold i % folds. It is linear in the
    observation, around the mean reward of the other folds, and computed in float64.
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
    used: Float[Tensor, "*task decision action"],
    rewards: Float[Tensor, "*task decision"],
) -> Float[Tensor, "*task feature action"]:
    """The coefficients of each action's ridge regression. used: 1 where a decision counts for an action, else 0."""
    gram = torch.einsum("...nf,...na,...ng->...afg", features, used, features)
    moments = torch.einsum("...nf,...na,...n->...af", features, used, rewards)
    damped = gram + DAMPING * torch.eye(features.shape[-1], dtype=features.dtype, device=features.device)
    solution: Tensor = torch.linalg.solve(damped, moments.unsqueeze(-1)).squeeze(-1).mT
    return solution


def _pseudo_decisions(
    weights: Float[Tensor, "*task decision"], rewards: Float[Tensor, "*task decision"], value: Float[Tensor, "*task"]
) -> Float[Tensor, "*task"]:
    """What four more decisions of mean weight would add to the squares: two of the lowest reward, two of the highest.

    Otherwise the interval would be far too narrow where all decisions that count have nearly the same reward. Agresti
    and Coull 1998, "Approximate Is Better than 'Exact' for Interval Estimation of Binomial Proportions", do the same
    for proportions.
    """
    total = weights.sum(-1)
    mean = weights.square().sum(-1) / total.where(total > 0, 1.0)
    lowest, highest = ((mean * (reward - value)).square() for reward in (rewards.amin(-1), rewards.amax(-1)))
    return 2 * (lowest + highest)


def _half_width(
    squares: Float[Tensor, "*task"], weights: Float[Tensor, "*task decision"], total: Float[Tensor, "*task"] | int
) -> Float[Tensor, "*task"]:
    """The half width for a sum divided by `total`; infinite for a single decision, or if all weights are 0."""
    count, effective = weights.shape[-1], effective_sample_size(weights)
    error = (squares * count / max(count - 1, 1)).sqrt() / total
    return (student_quantile(effective - 1) * error).where((effective > 0) & (count > 1), math.inf)


def student_quantile(freedom: Float[Tensor, "*task"]) -> Float[Tensor, "*task"]:
    """The 97.5 % quantile of Student's distribution, to 1 % for 2 degrees of freedom and more; fewer count as 2.

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
