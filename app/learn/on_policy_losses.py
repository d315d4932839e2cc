"""Losses for training policies on their own decisions: surrogates of the return with unbiased gradients.

A target is an action, its log-likelihood under the policy that acted, and its weight, here the advantage. The loss uses
the ratio of the likelihood under the current policy to that one. The ratio is 1 as long as the policy has not moved,
and its derivative is the policy gradient. Its second derivative is right too, unlike that of the log-likelihood:
Rothfuss et al. 2019, "ProMP: Proximal Meta-Policy Search".
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
from app.learn.shape_annotations import Bool, Float
from app.learn.update_rules import Params


def decision_targets(
    actions: Float[Tensor, "*rows action"], log_likelihoods: Float[Tensor, "*rows"], weights: Float[Tensor, "*rows"]
) -> Float[Tensor, "*rows target"]:
    """The targets of decisions (see the module docstring)."""
    return torch.cat([actions, log_likelihoods.unsqueeze(-1), weights.unsqueeze(-1)], -1)


def _log_ratio(outputs: Float[Tensor, "*rows output"], targets: Float[Tensor, "*rows target"]) -> Tensor:
    return log_likelihood(outputs, targets[..., :-2]) - targets[..., -2]


def ratio_loss(
    outputs: Float[Tensor, "decision output"],
    targets: Float[Tensor, "decision target"],
    mask: Bool[Tensor, " decision"],
) -> Float[Tensor, ""]:
    """Minus the mean of the advantages times the likelihood ratios: the inner loss in training.

    As long as the policy is the one that acted, its gradient equals that of `mean_weighted_nll`, the inner loss of the
    server.
    """
    return -masked_mean(_log_ratio(outputs, targets).exp() * targets[..., -1], mask)


def clipped_loss(
    outputs: Float[Tensor, "decision output"],
    targets: Float[Tensor, "decision target"],
    mask: Bool[Tensor, " decision"],
    clip: float,
) -> Float[Tensor, ""]:
    """`ratio_loss`, without any gain from ratios that are further than `clip` from 1.

    Schulman et al. 2017, "Proximal Policy Optimization Algorithms"
    """
    ratio, advantage = _log_ratio(outputs, targets).exp(), targets[..., -1]
    return -masked_mean(torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage), mask)


def divergence(
    outputs: Float[Tensor, "decision output"],
    targets: Float[Tensor, "decision target"],
    mask: Bool[Tensor, " decision"],
) -> Float[Tensor, ""]:
    """An estimate of the Kullback-Leibler divergence between the policy that acted and the current one, in nats.

    The mean of `ratio - 1 - log ratio`, which is never negative and has the divergence as its expectation.
    """
    log_ratio = _log_ratio(outputs, targets)
    return masked_mean(log_ratio.exp() - 1 - log_ratio, mask)


class StageLosses(NamedTuple):
    """After each stage, the clipped loss of the adapted policies and their divergence from those that acted."""

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
    """Adapt to the stages in turn, and evaluate the policies after each stage on the decisions of the next.

    inner: batched, with `ratio_loss`
    stages: decisions, each stage drawn by the policies that had adapted to the stages before it, from the
        meta-parameters at the time of acting
    rate, steps: of the inner loop in each stage
    """
    state, losses, divergences = None, [], []
    counts = torch.full_like(rate, steps, dtype=torch.int64)
    for before, after in pairwise(stages):
        state = final_states(inner, meta, before, Schedule(rate, counts, steps), state)
        outputs = inner.apply(meta, state, after.inputs)
        losses.append(vmap(partial(clipped_loss, clip=clip))(outputs, after.targets, after.mask))
        divergences.append(vmap(divergence)(outputs, after.targets, after.mask))
    return StageLosses(torch.stack(losses), torch.stack(divergences))
