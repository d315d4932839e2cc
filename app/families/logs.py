"""Logs: decisions that were taken by a policy which is known, with what came of them."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch

from app.families.family import Split
from app.learn.policies import Weighing
from app.learn.shapes import Float


class Log(NamedTuple):
    """The decisions about each task, one after another in the order of time; none depends on what the others did.

    actions: one-hot
    propensities: how probable the action was for the policy that took it
    """

    observations: Float[torch.Tensor, "task decision feature"]
    actions: Float[torch.Tensor, "task decision action"]
    rewards: Float[torch.Tensor, "task decision"]
    propensities: Float[torch.Tensor, "task decision"]


@runtime_checkable
class Logged(Protocol):
    """A family of decisions whose tasks come with a log, beside `Family`.

    Its support sets are weighed as the server weighs an episode with rewards and propensities. A query counts its
    reward, which is not below 0, over its propensity: then the mean over all that might have been logged is that of
    log p(a) times the mean reward of a, over all actions a, whichever policy took them.
    """

    weighing: Weighing

    def log(self, tasks: int, decisions: int, generator: torch.Generator, split: Split = "training") -> Log:
        """So many decisions about each of so many tasks."""
