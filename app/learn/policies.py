"""Policies: how likely an action was, and what it was worth.

A policy is what a network gives for an observation. Of actions by name it gives a logit for each; of actions that are
numbers it gives the mean of each and then the logarithm of its standard deviation, twice as many outputs. An action is
one-hot, or its numbers; a target of a decision is the action with its weight behind: 1 to imitate it, what it was
better than expected by to reinforce it (`normalised_advantages`), and that over how likely it was to be taken (`weights`).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from app.learn.shapes import Bool, Float

MIN_LOG_DEVIATION = math.log(1e-6)
"""Of a Gaussian policy, as rllab clips it."""
RIDGE = 1e-5
"""Of the baseline's least squares, for each step of an episode."""


def is_gaussian(outputs: int, actions: int) -> bool:
    """Whether a network with so many outputs is a Gaussian policy for actions of so many numbers.

    Raises ValueError where it is no policy for them.
    """
    if outputs not in (actions, 2 * actions):
        raise ValueError(
            f"the network gives {outputs} numbers: a policy gives {actions}, a logit for each action, or "
            f"{2 * actions}, mean and log deviation of each"
        )
    return outputs == 2 * actions


def check(outputs: int, actions: int, is_box: bool) -> None:
    """Raise ValueError where a network with so many outputs is no policy for these actions.

    is_box: whether an action is numbers, and so many of them; else one of so many names
    """
    if is_gaussian(outputs, actions) != is_box:
        what = f"of {actions} numbers it is {2 * actions}" if is_box else f"of {actions} names it is {actions}"
        raise ValueError(f"the network gives {outputs} numbers: for actions {what}")


def mean_and_deviation(
    outputs: Float[Tensor, "*rows output"],
) -> tuple[Float[Tensor, "*rows action"], Float[Tensor, "*rows action"]]:
    """Mean and standard deviation of a Gaussian policy."""
    mean, log_deviation = outputs.chunk(2, -1)
    return mean, log_deviation.clamp(min=MIN_LOG_DEVIATION).exp()


def log_likelihood(
    outputs: Float[Tensor, "*rows output"], actions: Float[Tensor, "*rows action"]
) -> Float[Tensor, "*rows"]:
    """The log-probability of each action, or its log-density; in nats."""
    if not is_gaussian(outputs.shape[-1], actions.shape[-1]):
        return (actions * outputs.log_softmax(-1)).sum(-1)
    mean, deviation = mean_and_deviation(outputs)
    exponent = ((actions - mean) / deviation).square() / 2
    return -(exponent + deviation.log() + math.log(2 * math.pi) / 2).sum(-1)


def weighted_nll(
    outputs: Float[Tensor, "*task example output"], targets: Float[Tensor, "*task example target"]
) -> Float[Tensor, "*task example"]:
    """Minus the log-likelihood of each action times its weight, the last column of the targets.

    Its gradient is the policy gradient where the weights are normalised_advantages (Williams 1992, "Simple statistical
    gradient-following algorithms for connectionist reinforcement learning").
    """
    return -targets[..., -1] * log_likelihood(outputs, targets[..., :-1])


@dataclass(frozen=True)
class Actions:
    """What an action is: discrete, one of several by its number (0, 1, ...), or a box: a row of numbers.

    low, high: where the environment clips each number of a box; both empty where actions are discrete
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def is_box(self) -> bool:
        """Whether an action is numbers."""
        return len(self.low) > 0

    def fits(self, width: int) -> bool:
        """Whether there are bounds for so many numbers, or none."""
        if len(self.low) != len(self.high) or len(self.low) not in (0, width):
            return False
        return all(low < high for low, high in zip(self.low, self.high, strict=True))


@dataclass(frozen=True)
class Weighing:
    """How decisions are weighed by what came of them.

    discount: of a reward for each step that it comes later
    smoothing: lambda of generalized advantage estimation; 1 for the whole returns less the baseline
    max_weight: the largest inverse propensity; larger ones are clipped
    ridge: of the baseline's least squares, for each step of an episode; a large one leaves nothing of it but the mean,
        as a log of few decisions needs it
    """

    discount: float = 1.0
    smoothing: float = 1.0
    max_weight: float = 20.0
    ridge: float = RIDGE

    @property
    def is_valid(self) -> bool:
        """Whether these make sense."""
        return 0 <= self.discount <= 1 and 0 <= self.smoothing <= 1 and self.max_weight >= 1 and self.ridge > 0


def _discounted(values: Float[Tensor, "*task episode time"], discount: float) -> Float[Tensor, "*task episode time"]:
    """The sum of each value and all later ones of its episode, each discounted by how much later it comes."""
    sums, reach = values, 1
    while reach < values.shape[-1]:  # each sum is of twice as many values as before
        later = torch.nn.functional.pad(sums[..., reach:], (0, reach))
        sums, reach = sums + discount**reach * later, 2 * reach
    return sums


def baseline(
    observations: Float[Tensor, "*task episode time feature"],
    returns: Float[Tensor, "*task episode time"],
    mask: Bool[Tensor, "*task episode time"],
    ridge: float = RIDGE,
) -> Float[Tensor, "*task episode time"]:
    """What a task's observations and the time let one expect of its returns, by least squares on these episodes.

    Linear in the observation, its squares and a cubic of the time: Duan et al. 2016, "Benchmarking Deep Reinforcement
    Learning for Continuous Control". Float64: the features are nearly dependent.
    """
    *_, time, _ = observations.shape
    moment = torch.arange(time, dtype=torch.float64, device=observations.device).expand(mask.shape) / 100
    seen = observations.double().clamp(-10, 10)
    powers = [moment**power for power in range(4)]
    features = torch.cat([seen, seen.square(), torch.stack(powers, -1)], -1)
    features = features.where(mask.unsqueeze(-1), 0.0).flatten(-3, -2)
    wanted = returns.double().where(mask, 0.0).flatten(-2).unsqueeze(-1)
    steps = mask.flatten(-2).sum(-1).clamp(min=1)[..., None, None]  # those that are padding change nothing
    damped = ridge * steps * torch.eye(features.shape[-1], dtype=features.dtype, device=features.device)
    solution = torch.linalg.solve(features.mT @ features + damped, features.mT @ wanted)
    expected: Tensor = (features @ solution).reshape(returns.shape).to(returns.dtype)
    return expected


def advantages(
    observations: Float[Tensor, "*task episode time feature"],
    rewards: Float[Tensor, "*task episode time"],
    mask: Bool[Tensor, "*task episode time"],
    weighing: Weighing = Weighing(),
) -> Float[Tensor, "*task episode time"]:
    """What each action was better by than its task's baseline expected, in rewards, with mean 0 in the task.

    mask: false where an episode is over; the gain is 0 there
    Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation"
    """
    rewards = rewards.where(mask, 0.0)
    returns = _discounted(rewards, weighing.discount)
    expected = baseline(observations, returns, mask, weighing.ridge).where(mask, 0.0)
    later = torch.nn.functional.pad(expected, (0, 1))[..., 1:]
    better = rewards + weighing.discount * later - expected
    gained = _discounted(better, weighing.discount * weighing.smoothing)
    count = mask.sum((-2, -1), keepdim=True).clamp(min=1)
    return (gained - gained.where(mask, 0.0).sum((-2, -1), keepdim=True) / count).where(mask, 0.0)


def advantage_deviation(
    gained: Float[Tensor, "*task episode time"], mask: Bool[Tensor, "*task episode time"]
) -> Float[Tensor, "*task"]:
    """The standard deviation of a task's advantages."""
    return (gained.square().sum((-2, -1)) / mask.sum((-2, -1)).clamp(min=1)).sqrt()


def normalised_advantages(
    observations: Float[Tensor, "*task episode time feature"],
    rewards: Float[Tensor, "*task episode time"],
    mask: Bool[Tensor, "*task episode time"],
    weighing: Weighing = Weighing(),
) -> Float[Tensor, "*task episode time"]:
    """The advantages, scaled to deviation 1 in the task."""
    gained = advantages(observations, rewards, mask, weighing)
    return gained / (advantage_deviation(gained, mask) + 1e-8)[..., None, None]


def weights(
    observations: Float[Tensor, "*task episode time feature"],
    rewards: Float[Tensor, "*task episode time"] | None,
    propensities: Float[Tensor, "*task episode time"] | None,
    mask: Bool[Tensor, "*task episode time"],
    weighing: Weighing = Weighing(),
) -> Float[Tensor, "*task episode time"]:
    """What each decision counts: 1, or its advantage where there are rewards, over its propensity where that is logged.

    The inverse propensity is clipped at `weighing.max_weight`: Bottou et al. 2013, "Counterfactual Reasoning and Learning
    Systems".
    """
    worth = (
        mask.to(observations.dtype) if rewards is None else normalised_advantages(observations, rewards, mask, weighing)
    )
    if propensities is not None:
        worth = worth * (1 / propensities.where(mask, 1.0)).clamp(max=weighing.max_weight)
    return worth
