"""A point that has to find an unknown goal: the 2D navigation of Finn et al. 2017, section 5.3."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from app.encoders.meanings import Meaning, Meanings
from app.families.family import Description, Samples, Split, uniform
from app.families.worlds_protocol import Policy
from app.learn.decision_weights import Weighing
from app.learn.networks import NetworkSpec
from app.learn.policies import Actions
from app.learn.shape_annotations import Bool, Float

REACH = 0.1
"""How far each coordinate moves in a step at most."""
NEAR = 0.01
"""An episode is over once both coordinates are this near to the goal's."""


class Points(NamedTuple):
    """The positions of all episodes' points, their goals, and which points have reached them."""

    positions: Float[Tensor, "task episode 2"]
    goals: Float[Tensor, "task 1 2"]
    over: Bool[Tensor, "task episode"]


@dataclass(frozen=True)
class Navigation:
    """A goal ~ U[-0.5, 0.5]^2. A point starts at (0, 0) and moves by at most 0.1 along each axis, for 100 steps.

    The reward is minus the distance to the goal after the move, as in `point_env_randgoal` of the authors' code. Their
    actions are in tenths: here the same policy has a tenth of the means and deviations.
    """

    longest: int = 100
    kind = "decision"
    features = 2
    targets = 2
    actions = Actions((-REACH, -REACH), (REACH, REACH))
    weighing = Weighing(discount=0.99, smoothing=0.95)
    meanings = Meanings(
        inputs=(Meaning("position along x"), Meaning("position along y")),
        actions=(Meaning("move along x"), Meaning("move along y")),
    )
    description = Description(
        purpose="moves a point in the plane to a goal. The rewards of a few episodes show where the goal is "
        "(Finn et al. 2017, section 5.3). Use it to try policies that adapt to an environment.",
        not_for="Other environments. To train a policy in your own, use `innerloop train --env`.",
        data="Goals drawn at random in the square from -0.5 to 0.5, without a data set. Validation and test goals are "
        "drawn in the same way, so the returns say nothing about goals outside the square. The oracle knows the "
        "goal and goes straight to it. The guide (Acting in worlds) explains stages, and compares the returns "
        "with published ones.",
    )

    @property
    def network(self) -> NetworkSpec:
        """MAML's: a Gaussian policy with two hidden layers of 100 and tanh."""
        return NetworkSpec("gaussian_mlp", {"inputs": 2, "actions": 2, "hidden": [100, 100], "deviation": REACH})

    def draw(self, tasks: int, generator: torch.Generator, split: Split = "training") -> Float[Tensor, "task 2"]:
        """Draw goals."""
        return uniform((tasks, 2), -0.5, 0.5, generator)

    def reset(self, worlds: Float[Tensor, "task 2"], episodes: int, generator: torch.Generator) -> Points:
        """Put all points at (0, 0)."""
        positions = worlds.new_zeros(len(worlds), episodes, 2)
        over = torch.zeros(positions.shape[:2], dtype=torch.bool, device=positions.device)
        return Points(positions, worlds.unsqueeze(1), over)

    def observe(self, state: Points) -> Float[Tensor, "task episode 2"]:
        """The positions of the points."""
        return state.positions

    def step(
        self, state: Points, actions: Float[Tensor, "task episode 2"]
    ) -> tuple[Points, Float[Tensor, "task episode"], Bool[Tensor, "task episode"]]:
        """Move the points."""
        positions = state.positions + actions.clamp(-REACH, REACH)
        distance = positions - state.goals
        over = state.over | (distance.abs() < NEAR).all(-1)
        return Points(positions, state.goals, over), -distance.norm(dim=-1), over

    def oracle(self, worlds: Float[Tensor, "task 2"]) -> Policy:
        """The policy that is told the goals: along each axis as far towards the goal as a step goes, without noise."""
        return lambda observations, going: (worlds.unsqueeze(1) - observations).clamp(-REACH, REACH)

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw decisions to imitate: the best ones at positions all over the square, each of weight 1."""
        goals = self.draw(tasks, generator, split)
        positions = uniform((tasks, examples, 2), -0.5, 0.5, generator)
        going = torch.ones(positions.shape[:2], dtype=torch.bool, device=positions.device)
        best = self.oracle(goals)(positions, going)
        return Samples(positions, torch.cat([best, torch.ones_like(positions[..., :1])], -1))


family = Navigation
