"""A point that finds the way to a goal it is not told: the 2D navigation of Finn et al. 2017, section 5.3."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from app.families.family import Samples, Split, uniform
from app.families.worlds import Policy
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions, Weighing
from app.learn.shapes import Bool, Float

REACH = 0.1
"""The most that a coordinate changes in a step."""
NEAR = 0.01
"""An episode is over once both coordinates are so near to the goal's."""


class Points(NamedTuple):
    """The points of all episodes, their goals, and which have been there."""

    at: Float[Tensor, "task episode 2"]
    goals: Float[Tensor, "task 1 2"]
    over: Bool[Tensor, "task episode"]


@dataclass(frozen=True)
class Navigation:
    """A goal ~ U[-0.5, 0.5]^2, a point that starts at (0, 0) and is moved by at most 0.1 along each axis, 100 steps.

    The reward is minus the distance to the goal after the move, as `point_env_randgoal` of the authors' code has it.
    There an action of the policy is in tenths: the same policy here is one whose means and deviations are a tenth.
    """

    longest: int = 100
    kind = "decision"
    features = 2
    targets = 2
    actions = Actions((-REACH, -REACH), (REACH, REACH))
    weighing = Weighing(discount=0.99, smoothing=0.95)

    @property
    def network(self) -> NetworkSpec:
        """MAML's: a Gaussian policy with two hidden layers of 100 and tanh."""
        return NetworkSpec("gaussian_mlp", {"inputs": 2, "actions": 2, "hidden": [100, 100], "deviation": REACH})

    def draw(self, tasks: int, generator: torch.Generator, split: Split = "training") -> Float[Tensor, "task 2"]:
        """Goals."""
        return uniform((tasks, 2), -0.5, 0.5, generator)

    def reset(self, worlds: Float[Tensor, "task 2"], episodes: int, generator: torch.Generator) -> Points:
        """All points at (0, 0)."""
        at = worlds.new_zeros(len(worlds), episodes, 2)
        return Points(at, worlds.unsqueeze(1), torch.zeros(at.shape[:2], dtype=torch.bool, device=at.device))

    def observe(self, state: Points) -> Float[Tensor, "task episode 2"]:
        """Where the points are."""
        return state.at

    def step(
        self, state: Points, actions: Float[Tensor, "task episode 2"]
    ) -> tuple[Points, Float[Tensor, "task episode"], Bool[Tensor, "task episode"]]:
        """Move the points."""
        at = state.at + actions.clamp(-REACH, REACH)
        apart = at - state.goals
        over = state.over | (apart.abs() < NEAR).all(-1)
        return Points(at, state.goals, over), -apart.norm(dim=-1), over

    def oracle(self, worlds: Float[Tensor, "task 2"]) -> Policy:
        """What one does who knows the goals: along each axis as far towards it as a step goes, without noise."""
        return lambda seen, going: (worlds.unsqueeze(1) - seen).clamp(-REACH, REACH)

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Decisions to imitate: what is best at places all over the square. The last column is their weight, 1."""
        goals = self.draw(tasks, generator, split)
        at = uniform((tasks, examples, 2), -0.5, 0.5, generator)
        best = self.oracle(goals)(at, torch.ones(at.shape[:2], dtype=torch.bool, device=at.device))
        return Samples(at, torch.cat([best, torch.ones_like(at[..., :1])], -1))


family = Navigation
