"""Prospect theory, fitted to the decisions of a person: the likelihood on a grid, so that no optimum is missed.

The model and its bounds are those of the package hBayesDM (`ra_prospect`): rho from 0 to 2, lambda from 0 to 5 and tau
from 0 to 30. There each is its bound times Phi(z) with z ~ N(0, 1), which is to say that it is even within the bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from app.families.choices import Agents, acceptance_probability
from app.families.choices_data import Sitting

SIZES = 20, 28, 26
LOWEST, BOUNDS = (0.05, 0.1, 0.02), (2.0, 5.0, 30.0)
ROUNDS = 100
SURE = 1e-6
"""Probabilities are at most 1 minus this: otherwise one contrary decision could cost an unbounded amount."""


def log_likelihood(accepting: Tensor, accepted: Tensor) -> Tensor:
    """The log-likelihood of each decision, in nats. accepting: the probability that the gamble is accepted."""
    accepting = accepting.clamp(SURE, 1 - SURE)
    return torch.where(accepted, accepting.log(), (1 - accepting).log())


@dataclass(frozen=True)
class Grid:
    """Parameter sets, [set, 3]: even in rho and in the logarithms of lambda and tau."""

    sets: Tensor

    @classmethod
    def within_bounds(cls) -> "Grid":
        """The grid within the bounds."""
        rho = torch.linspace(LOWEST[0], BOUNDS[0] - 0.01, SIZES[0])
        others = [
            torch.linspace(low, high, size).exp()
            for low, high, size in zip(
                torch.tensor(LOWEST[1:]).log(), (torch.tensor(BOUNDS[1:]) * 0.995).log(), SIZES[1:], strict=True
            )
        ]
        return cls(torch.cartesian_prod(rho, *others))

    @property
    def free(self) -> Tensor:
        """The sets as unbounded numbers, in which a population is modelled as normal."""
        return torch.cat([self.sets[:, :1], self.sets[:, 1:].log()], 1)

    @property
    def prior(self) -> Tensor:
        """The logarithm of the package's prior: uniform within the bounds."""
        return self.free[:, 1:].sum(1)  # the grid is even in the logarithms

    def accepting(self, sitting: Sitting) -> Tensor:
        """The probability of accepting by each set, [set, decision]."""
        agents = Agents(*self.sets.unsqueeze(-1).unbind(1))
        return acceptance_probability(agents, sitting.offers.expand(len(self.sets), -1, -1))

    def likelihood(self, sitting: Sitting, decisions: slice) -> Tensor:
        """The log-likelihood of some decisions of a sitting by each set."""
        return log_likelihood(self.accepting(sitting)[:, decisions], sitting.accepted[decisions]).sum(1)

    def population(self, sittings: Sequence[Sitting]) -> Tensor:
        """The log-density of each set among people like these: a normal distribution, fitted by EM."""
        seen, free = torch.stack([self.likelihood(each, slice(None)) for each in sittings]), self.free
        mean, covariance = free.mean(0), torch.cov(free.T)
        for _ in range(ROUNDS):
            share = (seen + MultivariateNormal(mean, covariance).log_prob(free)).softmax(1).mean(0)
            mean = share @ free
            covariance = (free - mean).T @ ((free - mean) * share[:, None]) + 1e-4 * torch.eye(3)
        density: Tensor = MultivariateNormal(mean, covariance).log_prob(free)
        return density
