"""Heads: last layers that are computed from the embeddings of the support set.

The network returns embeddings and has no last layer of its own, so that a task may have any number of classes. Heads
that are solved in closed form have an inner loop of one step (`closed_form`).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from app.learn.class_mask import mask_absent
from app.learn.example_weights import Mask, as_divisor, is_example, weighted
from app.learn.inner import (
    Examples,
    Forward,
    InnerLoop,
    Start,
    State,
    functional_forward,
    initial_counts,
    where_active,
    with_counts,
)
from app.learn.losses import Loss
from app.learn.shape_annotations import Bool, Float
from app.learn.update_rules import LEARNED_PREFIX, Params

HEAD = f"{LEARNED_PREFIX}head/"
"""The prefix of a head's names among the fast weights and the meta-parameters."""
PROTOTYPE_HEAD = f"{HEAD}weight", f"{HEAD}bias"
"""The names of the layer of `from_prototypes`."""


class Head(NamedTuple):
    """A last layer solved in closed form. Each function is written for one task.

    initial: meta-parameters -> the solution without a support set
    solve: (meta-parameters, embeddings, targets, mask) -> the solution, tensors by name, whose shapes do not depend on
        the number of examples
    apply: (meta-parameters, solution, embeddings) -> outputs
    variance: (meta-parameters, solution, embeddings) -> the variance of each output, where the head has one
    initial_meta: a tensor of the type and device to use -> the head's own meta-parameters, before training
    needs_examples: whether the output for a class is made of its examples, so that a class without any has none
    """

    initial: Callable[[Params], Params]
    solve: Callable[[Params, Tensor, Tensor, Tensor], Params]
    apply: Callable[[Params, Params, Tensor], Tensor]
    variance: Callable[[Params, Params, Tensor], Tensor] | None = None
    initial_meta: Callable[[Tensor], Params] = lambda like: {}
    needs_examples: bool = False


def closed_form(network: nn.Module, head: Head, loss: Loss, ways: int | None) -> InnerLoop[State]:
    """Adapt by solving the head. A second step finds the same solution again, and the rate is ignored.

    network: inputs -> embeddings, as for `functional_forward`
    ways: the width of the class axis; None where there are no classes
    """
    embed = functional_forward(network)

    def init(meta: Params) -> State:
        return State(head.initial(meta), {}, initial_counts(meta, ways))

    def outputs(meta: Params, state: State, embeddings: Tensor) -> Tensor:
        result = head.apply(meta, state.fast, embeddings)
        return result if isinstance(state.counts, tuple) else mask_absent(result, state.counts)

    def step(
        meta: Params, state: State, support: Examples, rate: Float[Tensor, ""], active: Bool[Tensor, ""]
    ) -> tuple[State, Float[Tensor, ""]]:
        embeddings = embed(meta, support.inputs)
        before = loss(outputs(meta, state, embeddings), support.targets, support.mask)
        solution = head.solve(meta, embeddings, support.targets, support.mask)
        return where_active(active, state._replace(fast=solution), state), before

    def current_loss(meta: Params, state: State, support: Examples) -> Float[Tensor, ""]:
        return loss(outputs(meta, state, embed(meta, support.inputs)), support.targets, support.mask)

    def apply(meta: Params, state: State, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query target"]:
        return outputs(meta, state, embed(meta, inputs))

    def prepare(meta: Params, state: State, support: Examples) -> State:
        return with_counts(state, support, head.needs_examples)

    def variance(meta: Params, state: State, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query target"]:
        assert head.variance is not None
        return head.variance(meta, state.fast, embed(meta, inputs))

    return InnerLoop(
        init, step, current_loss, apply, None if ways is None else prepare, None if head.variance is None else variance
    )


def class_means(
    embeddings: Float[Tensor, "example embedding"],
    targets: Float[Tensor, "example way"],
    mask: Mask,
) -> Float[Tensor, "way embedding"]:
    """The mean embedding of each class, by the weights of its examples; 0 for a class without any."""
    # the embedding of padding may be anything, and 0 times infinity is NaN; float64 is never mixed precision
    rows = mask.unsqueeze(-1)
    members, real = weighted(targets.double(), rows), embeddings.double().where(is_example(rows), 0.0)
    return (members.T @ real / as_divisor(members.sum(0), mask).unsqueeze(-1)).to(embeddings.dtype)


def prototypes(ways: int, width: int) -> Head:
    """Represent a class by the mean of its embeddings; a logit is minus the squared distance to that mean.

    Snell et al. 2017, "Prototypical Networks for Few-shot Learning"

    width: the length of an embedding
    """
    name = f"{HEAD}prototypes"

    def initial(meta: Params) -> Params:
        return {name: next(iter(meta.values())).new_zeros(ways, width)}

    def solve(meta: Params, embeddings: Tensor, targets: Tensor, mask: Tensor) -> Params:
        return {name: class_means(embeddings, targets, mask)}

    def apply(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query way"]:
        # -|x - c|^2 without its differences, which take `embedding` times the memory of the logits; in float64, where
        # the difference of large terms keeps float32's digits
        x, c = embeddings.double(), solution[name].double()
        squares = x.square().sum(-1, keepdim=True) + c.square().sum(-1)
        return (2 * x @ c.T - squares).clamp(max=0).to(embeddings.dtype)

    return Head(initial, solve, apply, needs_examples=True)


def with_bias_column(embeddings: Float[Tensor, "example embedding"]) -> Float[Tensor, "example term"]:
    """The embeddings with a column of 1 appended, so that a linear head has a bias; in float64, for solving."""
    return nn.functional.pad(embeddings.double(), (0, 1), value=1.0)


def masked_terms(
    embeddings: Float[Tensor, "example embedding"],
    targets: Float[Tensor, "example target"],
    mask: Mask,
) -> tuple[Float[Tensor, "example term"], Float[Tensor, "example target"]]:
    """The terms and targets of a least-squares problem, times the roots of the weights.

    They are 0 in padding rows, so that these add nothing to any sum.
    """
    roots = (mask if mask.dtype == torch.bool else mask.double().sqrt()).unsqueeze(-1)
    return weighted(with_bias_column(embeddings), roots), weighted(targets.double(), roots)


def identity_like(size: int, like: Tensor) -> Float[Tensor, "size size"]:
    """The identity matrix, with the type and on the device of `like`."""
    return torch.eye(size, dtype=like.dtype, device=like.device)


def ridge(columns: int, width: int) -> Head:
    """Ridge regression of the targets on the embeddings; targets are one-hot where there are classes (R2D2).

    W = (X^T X + lambda I)^-1 X^T Y, and outputs are `scale * x W + bias` with lambda, scale and bias learned.
    Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers"

    columns: the length of a target
    width: the length of an embedding
    """
    weight, regularisation, scale, bias = (f"{HEAD}{name}" for name in ("weight", "log_lambda", "log_scale", "bias"))

    def initial(meta: Params) -> Params:
        return {weight: next(iter(meta.values())).new_zeros(width + 1, columns)}

    def solve(meta: Params, embeddings: Tensor, targets: Tensor, mask: Tensor) -> Params:
        x, y = masked_terms(embeddings, targets, mask)
        strength = meta[regularisation].double().exp()
        shots = x.shape[0]  # not `len(x)`: code compiled for any number of examples has no number there
        if shots < width + 1:  # Woodbury's identity: the smaller of the two systems
            solution = x.T @ solve_or_nan(x @ x.T + strength * identity_like(shots, x), y)
        else:
            solution = solve_or_nan(x.T @ x + strength * identity_like(width + 1, x), x.T @ y)
        return {weight: solution.to(embeddings.dtype)}

    def apply(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query target"]:
        values = embeddings @ solution[weight][:-1] + solution[weight][-1]
        return meta[scale].exp() * values + meta[bias]

    def initial_meta(like: Tensor) -> Params:
        return {name: like.new_zeros(()) for name in (regularisation, scale, bias)}

    return Head(initial, solve, apply, initial_meta=initial_meta)


def solve_or_nan(a: Float[Tensor, "row row"], b: Float[Tensor, "row column"]) -> Float[Tensor, "row column"]:
    """`a^-1 b`. Where `a` is singular the result is not finite; an error would fail all tasks of the batch."""
    solution: Tensor = torch.linalg.solve_ex(a, b).result
    return solution


def bayesian(columns: int, width: int) -> Head:
    """Bayesian linear regression on the embeddings, with a learned prior and noise (ALPaCA).

    The weights of a target have the prior N(mean, noise * precision^-1), precision = A A^T. With terms X and targets Y
    the posterior has the precision `precision + X^T X` and the mean
    `(precision + X^T X)^-1 (X^T Y + precision * mean)`. A prediction at x has the variance
    `noise * (1 + x^T precision^-1 x)`, the noise of the target included.
    Harrison et al. 2018, "Meta-Learning Priors for Efficient Online Bayesian Regression"

    columns: the length of a target
    width: the length of an embedding
    """
    mean, factor = f"{HEAD}mean", f"{HEAD}covariance_factor"
    prior_mean, prior_factor, noise = (f"{HEAD}{name}" for name in ("prior_mean", "prior_factor", "log_noise"))

    def prior_precision(meta: Params) -> Float[Tensor, "term term"]:
        root = meta[prior_factor].double()
        return root @ root.T

    def posterior(meta: Params, precision: Tensor, precision_times_mean: Tensor) -> Params:
        """The mean and a root of the covariance."""
        root, failed = torch.linalg.cholesky_ex(precision)
        root = torch.where(failed > 0, torch.nan, root)
        inverse = torch.linalg.solve_triangular(root, identity_like(width + 1, root), upper=False)
        dtype = meta[prior_mean].dtype
        return {mean: (inverse.T @ (inverse @ precision_times_mean)).to(dtype), factor: inverse.to(dtype)}

    def initial(meta: Params) -> Params:
        prior = prior_precision(meta)
        return posterior(meta, prior, prior @ meta[prior_mean].double())

    def solve(meta: Params, embeddings: Tensor, targets: Tensor, mask: Tensor) -> Params:
        x, y = masked_terms(embeddings, targets, mask)
        prior = prior_precision(meta)
        return posterior(meta, prior + x.T @ x, prior @ meta[prior_mean].double() + x.T @ y)

    def apply(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query target"]:
        return embeddings @ solution[mean][:-1] + solution[mean][-1]

    def variance(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query target"]:
        inverse = solution[factor]
        spread = (embeddings @ inverse[:, :-1].T + inverse[:, -1]).square().sum(-1, keepdim=True)
        return (1 + spread) * meta[noise].exp()

    def initial_meta(like: Tensor) -> Params:
        return {
            prior_mean: like.new_zeros(width + 1, columns),
            prior_factor: identity_like(width + 1, like),
            noise: like.new_zeros(columns),
        }

    return Head(initial, solve, apply, variance, initial_meta)


def from_prototypes(network: nn.Module, ways: int, width: int, moving: frozenset[str]) -> tuple[Forward, Start]:
    """The network with a linear layer on top that starts equivalent to `prototypes`, and then moves like the rest.

    `-|x - c|^2` equals `2 c x - |c|^2` up to `-|x|^2`, which all classes share. So the weight is 2 c, the bias -|c|^2.
    Triantafillou et al. 2020, "Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples"

    ways: the width of the class axis
    width: the length of an embedding
    moving: names of the parameters of the network that move too
    """
    embed = functional_forward(network)
    weight, bias = PROTOTYPE_HEAD

    def forward(params: Params, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query way"]:
        return nn.functional.linear(embed(params, inputs), params[weight], params[bias])

    def initial(meta: Params) -> Params:
        like = next(iter(meta.values()))
        body = {name: value for name, value in meta.items() if name in moving}
        return {**body, weight: like.new_zeros(ways, width), bias: like.new_zeros(ways)}

    def from_support(meta: Params, support: Examples) -> Params:
        means = class_means(embed(meta, support.inputs), support.targets, support.mask)
        return {weight: 2 * means, bias: -means.square().sum(-1)}

    return forward, Start(initial, from_support)
