"""What policies are trained by on their own decisions: surrogates of the return whose gradients are right.

A target is an action, the log-likelihood with which the policy that acted drew it, and the weight, here the advantage.
What is compared with that likelihood is the likelihood under the policy as it is now: their ratio is 1 where nothing
has moved yet, and has the policy gradient as its derivative. Its second derivative is right too, other than that of
the log-likelihood: Rothfuss et al. 2019, "ProMP: Proximal Meta-Policy Search".
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from app.learn.inner import Examples, InnerLoop, Schedule, State, final_states
from app.learn.losses import masked_mean
from app.learn.policies import log_likelihood
from app.learn.shapes import Bool, Float
from app.learn.update_rules import Params


def decision_targets(
    actions: Float[Tensor, "*rows action"], log_likelihoods: Float[Tensor, "*rows"], weights: Float[Tensor, "*rows"]
) -> Float[Tensor, "*rows target"]:
    """Decisions as targets (module docstring)."""
    return torch.cat([actions, log_likelihoods.unsqueeze(-1), weights.unsqueeze(-1)], -1)


def _log_ratio(outputs: Float[Tensor, "*rows output"], targets: Float[Tensor, "*rows target"]) -> Tensor:
    return log_likelihood(outputs, targets[..., :-2]) - targets[..., -2]


def ratio_loss(
    outputs: Float[Tensor, "decision output"],
    targets: Float[Tensor, "decision target"],
    mask: Bool[Tensor, " decision"],
) -> Float[Tensor, ""]:
    """Minus the mean advantage, each decision counted by its likelihood ratio: the inner loss in training.

    Where the policy is still the one that acted, its gradient is that of the mean weighted surprise, which is served.
    """
    return -masked_mean(_log_ratio(outputs, targets).exp() * targets[..., -1], mask)


def clipped_loss(
    outputs: Float[Tensor, "decision output"],
    targets: Float[Tensor, "decision target"],
    mask: Bool[Tensor, " decision"],
    clip: float,
) -> Float[Tensor, ""]:
    """The same, but there is nothing to gain by ratios further than `clip` from 1.

    Schulman et al. 2017, "Proximal Policy Optimization Algorithms"
    """
    ratio, advantage = _log_ratio(outputs, targets).exp(), targets[..., -1]
    return -masked_mean(torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage), mask)


def divergence(
    outputs: Float[Tensor, "decision output"],
    targets: Float[Tensor, "decision target"],
    mask: Bool[Tensor, " decision"],
) -> Float[Tensor, ""]:
    """An estimate of the Kullback-Leibler divergence of the policy as it is now from the one that acted, in nats.

    `ratio - 1 - log ratio`, which is never below 0 and on average that divergence.
    """
    log_ratio = _log_ratio(outputs, targets)
    return masked_mean(log_ratio.exp() - 1 - log_ratio, mask)


class StageLosses(NamedTuple):
    """What became of the policies after each stage: the clipped loss of their decisions and the divergence."""

    loss: Float[Tensor, "stage task"]
    divergence: Float[Tensor, "stage task"]


def stage_losses(
    inner: InnerLoop[State],
    meta: Params,
    stages: Sequence[Examples],
    rate: Float[Tensor, " task"],
    steps: int,
    clip: float,
) -> StageLosses:
    """Adapt to each stage but the last, and judge each adapted policy by the decisions of the stage that it acted in.

    inner: batched, with `ratio_loss`; rate, steps: of each stage. The decisions are given: they were drawn by the
    policies as they were at the meta-parameters that acted.
    """
    state, losses, divergences = None, [], []
    counts = torch.full_like(rate, steps, dtype=torch.int64)
    for before, after in pairwise(stages):
        state = final_states(inner, meta, before, Schedule(rate, counts, steps), state)
        outputs = inner.apply(meta, state, after.inputs)
        losses.append(vmap(partial(clipped_loss, clip=clip))(outputs, after.targets, after.mask))
        divergences.append(vmap(divergence)(outputs, after.targets, after.mask))
    return StageLosses(torch.stack(losses), torch.stack(divergences))
