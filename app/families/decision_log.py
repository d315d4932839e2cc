"""Logs: decisions of a known policy, with their rewards."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch

from app.families.family import Split
from app.learn.decision_weights import Weighing
from app.learn.shape_annotations import Float


class DecisionLog(NamedTuple):
    """The decisions about each task, in the order of time. No decision depends on the actions before it.

    actions: one-hot
    propensities: the probability of each action under the policy that took it
    """

    observations: Float[torch.Tensor, "task decision feature"]
    actions: Float[torch.Tensor, "task decision action"]
    rewards: Float[torch.Tensor, "task decision"]
    propensities: Float[torch.Tensor, "task decision"]


@runtime_checkable
class Logged(Protocol):
    """A family of decisions whose tasks come with a log, in addition to `Family`.

    Its support sets are weighed as the server weighs an episode with rewards and propensities. A query is weighed by
    its reward, which is at least 0, over its propensity. The expected score is then the sum of log p(a) times the mean
    reward of a over all actions a, whichever policy logged them.
    """

    weighing: Weighing

    def log(self, tasks: int, decisions: int, generator: torch.Generator, split: Split = "training") -> DecisionLog:
        """Draw tasks, and that many decisions about each."""
