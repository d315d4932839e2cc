"""The head of an ensemble: a weighted mean of Bayesian linear regressions, one on the embedding of each member."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from app.learn.example_weights import Mask, weighted
from app.learn.heads import HEAD, Head, identity_like
from app.learn.recency_weights import discount_factors
from app.learn.shape_annotations import Float
from app.learn.update_rules import Params

SIZES = (0, 1, 2, 3, 5, 10, 20, 50, 100)
"""The numbers of known examples that the weights of the members are listed for."""


class Ensemble(nn.Module):
    """A network whose output is the embeddings of its members side by side, each of the same length.

    discounts: that of each member (`app.learn.recency_weights`); 1 where the order of examples makes no difference
    """

    discounts: Sequence[float]


NO_MEMBERS = (1.0,)
"""The discounts of a network that is not an `Ensemble`: one, and no effect."""


def discounts_of(network: nn.Module) -> Sequence[float]:
    """The discount of each member of a network; NO_MEMBERS unless it is an `Ensemble`."""
    return network.discounts if isinstance(network, Ensemble) else NO_MEMBERS


def at_size(
    table: Float[Tensor, "size value"], examples: Float[Tensor, ""], sizes: Sequence[int] = SIZES
) -> Float[Tensor, " value"]:
    """The row of a table by numbers of examples, interpolated in log(1 + examples), constant behind the last one."""
    knots = torch.tensor([math.log1p(size) for size in sizes], dtype=table.dtype, device=table.device)
    passed = ((torch.log1p(examples) - knots[:-1]) / (knots[1:] - knots[:-1])).clamp(0, 1)
    return table[0] + passed @ (table[1:] - table[:-1])


MEAN, FACTOR, WEIGHTS, SCALE = (f"{HEAD}{name}" for name in ("mean", "covariance_factor", "weights", "scale"))
"""The names of the solution: the posterior of each member, their weights, and the scale of the variance."""
PRIOR_MEAN, PRIOR_ROOT, LOG_NOISE = (f"{HEAD}{name}" for name in ("prior_mean", "prior_root", "log_noise"))
LOG_WEIGHTS, LOG_SCALE = f"{HEAD}log_weights", f"{HEAD}log_scale"


def by_member(embeddings: Float[Tensor, "example embedding"], members: int) -> Float[Tensor, "member example term"]:
    """The terms of each member: its part of the embeddings, and a 1."""
    each = embeddings.reshape(-1, members, embeddings.shape[1] // members).transpose(0, 1)
    return nn.functional.pad(each, (0, 1), value=1.0)


def member_predictions(
    meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
) -> tuple[Float[Tensor, "member query target"], Float[Tensor, "member query target"]]:
    """The mean and the variance that each member predicts, the noise of the target included."""
    x = by_member(embeddings, len(solution[WEIGHTS]))
    spread = (x @ solution[FACTOR].mT).square().sum(-1, keepdim=True)
    return x @ solution[MEAN], (1 + spread) * meta[LOG_NOISE].exp().unsqueeze(1)


def ensemble(columns: int, width: int, discounts: Sequence[float]) -> Head:
    """Bayesian linear regressions on the embeddings of the members, and their mean by the number of examples.

    With terms x, an embedding and a 1, a member predicts x^T w for w = mean + noise_std * L z, z ~ N(0, I)
    (`prior_mean`, `prior_root`, `log_noise`). A row of zeros in L fixes a weight: the prediction of another model is a
    term with the mean 1 and such a row. The members are weighted by a softmax of `log_weights`, interpolated in the
    number of examples (`at_size`); an example of weight 2 counts as two. The variance is that of the mixture, times
    `exp(log_scale)`. For a member with a discount, the last examples count most.

    columns: the length of a target
    width: the length of the embeddings of all members together
    discounts: that of each member (`app.learn.recency_weights`)
    """
    members = len(discounts)
    terms = width // members + 1

    def posterior(meta: Params, precision: Tensor, moment: Tensor, examples: Tensor) -> Params:
        """precision, moment: those of z, I + (X L)^T X L and (X L)^T (Y - X mean)."""
        root, failed = torch.linalg.cholesky_ex(precision)
        root = torch.where((failed > 0).unsqueeze(-1).unsqueeze(-1), torch.nan, root)
        prior = meta[PRIOR_ROOT].double()
        inverse = torch.linalg.solve_triangular(root, prior.mT, upper=False)
        posterior_mean = meta[PRIOR_MEAN].double() + inverse.mT @ torch.linalg.solve_triangular(
            root, moment, upper=False
        )
        dtype = meta[PRIOR_MEAN].dtype
        return {
            MEAN: posterior_mean.to(dtype),
            FACTOR: inverse.to(dtype),
            WEIGHTS: at_size(meta[LOG_WEIGHTS].softmax(-1), examples),
            SCALE: at_size(meta[LOG_SCALE], examples).exp(),
        }

    def initial(meta: Params) -> Params:
        like = meta[PRIOR_ROOT].double()
        precision = identity_like(terms, like).expand(members, terms, terms)
        moment = like.new_zeros(members, terms, columns)
        return posterior(meta, precision, moment, meta[LOG_WEIGHTS].new_zeros(()))

    def solve(meta: Params, embeddings: Tensor, targets: Tensor, mask: Mask) -> Params:
        roots = (mask if mask.dtype == torch.bool else mask.double().sqrt()).unsqueeze(-1)
        x = weighted(by_member(embeddings.double(), members).transpose(0, 1), roots).transpose(0, 1)
        y = weighted(targets.double(), roots)
        z = x @ meta[PRIOR_ROOT].double()
        counted = z if min(discounts) == 1 else z * discount_factors(mask, discounts).unsqueeze(-1)
        precision = identity_like(terms, z) + counted.mT @ z
        moment = counted.mT @ (y - x @ meta[PRIOR_MEAN].double())
        return posterior(meta, precision, moment, mask.sum().to(meta[LOG_WEIGHTS].dtype))

    def by_weight(solution: Params) -> Float[Tensor, "member 1 1"]:
        return solution[WEIGHTS].unsqueeze(-1).unsqueeze(-1)

    def apply(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query target"]:
        mixed = by_weight(solution) * solution[MEAN]
        return embeddings @ mixed[:, :-1].reshape(width, columns) + mixed[:, -1].sum(0)

    def variance(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query target"]:
        means, within = member_predictions(meta, solution, embeddings)
        overall = (by_weight(solution) * means).sum(0)
        return (by_weight(solution) * (within + (means - overall).square())).sum(0) * solution[SCALE]

    def initial_meta(like: Tensor) -> Params:
        return {
            PRIOR_MEAN: like.new_zeros(members, terms, columns),
            PRIOR_ROOT: identity_like(terms, like).repeat(members, 1, 1),
            LOG_NOISE: like.new_zeros(members, columns),
            LOG_WEIGHTS: like.new_zeros(len(SIZES), members),
            LOG_SCALE: like.new_zeros(len(SIZES), 1),
        }

    return Head(initial, solve, apply, variance, initial_meta)
