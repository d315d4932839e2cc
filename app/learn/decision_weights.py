"""How much each decision counts when a policy adapts to it.

The weight of a decision is 1 to imitate its action, and its advantage to reinforce it (`normalised_advantages`). Where
the propensity of the action is logged, both are divided by it, which corrects for the policy that chose the action
(`weights`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from app.learn.shape_annotations import Bool, Float

RIDGE = 1e-5
"""The regularisation of the baseline's least squares, for each step of an episode."""


@dataclass(frozen=True)
class Weighing:
    """How rewards and propensities become the weights of decisions.

    discount: the discount factor of rewards, per step
    smoothing: lambda of generalized advantage estimation; 1 for returns minus the baseline
    max_weight: larger inverse propensities are clipped to it
    ridge: the regularisation of the baseline's least squares, for each step of an episode; with a large one the
        baseline is constant, as suits a log of few decisions
    """

    discount: float = 1.0
    smoothing: float = 1.0
    max_weight: float = 20.0
    ridge: float = RIDGE

    @property
    def is_valid(self) -> bool:
        """Whether each value is in its range."""
        return 0 <= self.discount <= 1 and 0 <= self.smoothing <= 1 and self.max_weight >= 1 and self.ridge > 0


def _discounted(values: Float[Tensor, "*task episode time"], discount: float) -> Float[Tensor, "*task episode time"]:
    """For each step, the discounted sum of its value and all later values of its episode."""
    sums, reach = values, 1
    while reach < values.shape[-1]:  # each sum covers twice as many values as before
        later = torch.nn.functional.pad(sums[..., reach:], (0, reach))
        sums, reach = sums + discount**reach * later, 2 * reach
    return sums


def baseline(
    observations: Float[Tensor, "*task episode time feature"],
    returns: Float[Tensor, "*task episode time"],
    mask: Bool[Tensor, "*task episode time"],
    ridge: float = RIDGE,
) -> Float[Tensor, "*task episode time"]:
    """The returns that a task's observations and the time predict, by least squares on the task's own episodes.

    Linear in the observation, its squares and a cubic of the time: Duan et al. 2016, "Benchmarking Deep Reinforcement
    Learning for Continuous Control". In float64, because the features are nearly linearly dependent.
    """
    *_, time, _ = observations.shape
    moment = torch.arange(time, dtype=torch.float64, device=observations.device).expand(mask.shape) / 100
    clipped = observations.double().clamp(-10, 10)
    powers = [moment**power for power in range(4)]
    features = torch.cat([clipped, clipped.square(), torch.stack(powers, -1)], -1)
    features = features.where(mask.unsqueeze(-1), 0.0).flatten(-3, -2)
    observed = returns.double().where(mask, 0.0).flatten(-2).unsqueeze(-1)
    steps = mask.flatten(-2).sum(-1).clamp(min=1)[..., None, None]  # without the padding
    damped = ridge * steps * torch.eye(features.shape[-1], dtype=features.dtype, device=features.device)
    solution = torch.linalg.solve(features.mT @ features + damped, features.mT @ observed)
    expected: Tensor = (features @ solution).reshape(returns.shape).to(returns.dtype)
    return expected


def advantages(
    observations: Float[Tensor, "*task episode time feature"],
    rewards: Float[Tensor, "*task episode time"],
    mask: Bool[Tensor, "*task episode time"],
    weighing: Weighing = Weighing(),
) -> Float[Tensor, "*task episode time"]:
    """The advantage of each action over its task's baseline, in units of reward, with mean 0 in the task.

    mask: false where an episode is over; the advantage is 0 there

    Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation"
    """
    rewards = rewards.where(mask, 0.0)
    returns = _discounted(rewards, weighing.discount)
    expected = baseline(observations, returns, mask, weighing.ridge).where(mask, 0.0)
    later = torch.nn.functional.pad(expected, (0, 1))[..., 1:]
    residuals = rewards + weighing.discount * later - expected
    values = _discounted(residuals, weighing.discount * weighing.smoothing)
    count = mask.sum((-2, -1), keepdim=True).clamp(min=1)
    return (values - values.where(mask, 0.0).sum((-2, -1), keepdim=True) / count).where(mask, 0.0)


def advantage_deviation(
    values: Float[Tensor, "*task episode time"], mask: Bool[Tensor, "*task episode time"]
) -> Float[Tensor, "*task"]:
    """The standard deviation of a task's advantages. values: as `advantages` returns them."""
    return (values.square().sum((-2, -1)) / mask.sum((-2, -1)).clamp(min=1)).sqrt()


def normalised_advantages(
    observations: Float[Tensor, "*task episode time feature"],
    rewards: Float[Tensor, "*task episode time"],
    mask: Bool[Tensor, "*task episode time"],
    weighing: Weighing = Weighing(),
) -> Float[Tensor, "*task episode time"]:
    """The advantages, scaled to a standard deviation of 1 in the task."""
    values = advantages(observations, rewards, mask, weighing)
    return values / (advantage_deviation(values, mask) + 1e-8)[..., None, None]


def weights(
    observations: Float[Tensor, "*task episode time feature"],
    rewards: Float[Tensor, "*task episode time"] | None,
    propensities: Float[Tensor, "*task episode time"] | None,
    mask: Bool[Tensor, "*task episode time"],
    weighing: Weighing = Weighing(),
) -> Float[Tensor, "*task episode time"]:
    """The weight of each decision: 1, or its normalised advantage if there are rewards, over its propensity if logged.

    The inverse propensity is clipped to `weighing.max_weight`: Bottou et al. 2013, "Counterfactual Reasoning and
    Learning Systems".
    """
    result = (
        mask.to(observations.dtype) if rewards is None else normalised_advantages(observations, rewards, mask, weighing)
    )
    if propensities is not None:
        result = result * (1 / propensities.where(mask, 1.0)).clamp(max=weighing.max_weight)
    return result
