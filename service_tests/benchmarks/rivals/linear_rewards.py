"""Policies from regressions of rewards: a click is linear in the context, by arm, and the best arm is taken.

A regression of a user's own is a ridge regression for each arm. A hierarchical one has a normal prior of all arms'
coefficients together, with all their correlations, which EM fits to other users: Laird and Ware 1982, "Random-Effects
Models for Longitudinal Data". It takes a click for a normal number, and its expectation for linear.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from app.families.decision_log import DecisionLog
from app.learn.off_policy_estimators import ridge_by_action

ROUNDS = 30


def with_constant(contexts: Tensor) -> Tensor:
    """Contexts as a regression takes them, in float64."""
    return pad(contexts.double(), (0, 1), value=1.0)


def own_ridge(log: DecisionLog, strength: float) -> Tensor:
    """The coefficients of each user's own regressions, [user, feature, arm]. strength: of the penalty."""
    scale = strength**-0.5
    coefficients: Tensor = scale * ridge_by_action(
        scale * with_constant(log.observations), log.actions.double(), log.rewards.double()
    )
    return coefficients


@dataclass(frozen=True)
class Prior:
    """Of a user's coefficients, those of all arms in a row; noise: the variance of a click around its expectation."""

    mean: Tensor
    covariance: Tensor
    noise: float

    @classmethod
    def fit(cls, log: DecisionLog) -> "Prior":
        """By EM on the logs of users."""
        size = (log.observations.shape[-1] + 1) * log.actions.shape[-1]
        prior = cls(torch.zeros(size).double(), torch.eye(size).double(), 0.2)
        gram, moment = _sums(log)
        for _ in range(ROUNDS):
            mean, covariance = prior._posterior(gram, moment)
            centred = mean - mean.mean(0)
            spread = covariance.mean(0) + centred.T @ centred / len(mean)
            # what is left of the squares, with what the coefficients are uncertain by
            left = log.rewards.double().square().sum() - 2 * (mean * moment).sum()
            left += torch.einsum("uij,uij->", gram, covariance) + torch.einsum("ui,uij,uj->", mean, gram, mean)
            prior = cls(mean.mean(0), spread, left.item() / log.rewards.numel())
        return prior

    def coefficients(self, log: DecisionLog) -> Tensor:
        """The posterior mean of each user's, [user, feature, arm]."""
        mean, _ = self._posterior(*_sums(log))
        by_arm: Tensor = mean.unflatten(-1, (log.actions.shape[-1], -1)).mT
        return by_arm

    def _posterior(self, gram: Tensor, moment: Tensor) -> tuple[Tensor, Tensor]:
        precision = torch.linalg.inv(self.covariance)
        covariance = torch.linalg.inv(precision + gram / self.noise)
        mean = covariance @ (precision @ self.mean + moment / self.noise).unsqueeze(-1)
        return mean.squeeze(-1), covariance


def _sums(log: DecisionLog) -> tuple[Tensor, Tensor]:
    """Of features times features, and of features times rewards, by user."""
    features = torch.einsum("una,unf->unaf", log.actions.double(), with_constant(log.observations)).flatten(-2)
    return features.mT @ features, (features.mT @ log.rewards.double().unsqueeze(-1)).squeeze(-1)


def expected(coefficients: Tensor, contexts: Tensor) -> Tensor:
    """The rewards that are expected of each arm, [user, decision, arm]."""
    rewards: Tensor = (with_constant(contexts) @ coefficients).float()
    return rewards
