"""Heads that are solved from the embeddings of the support set: their inner loop has one step.

The network gives embeddings; it has no last layer of its own, so that any number of classes can be told apart.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from app.learn.classes import only_present
from app.learn.inner import Examples, InnerLoop, State, counted, forward_of, moved_where, no_classes
from app.learn.losses import Loss
from app.learn.rules import Params
from app.learn.shapes import Bool, Float


class Head(NamedTuple):
    """A last layer solved in closed form. Each function is written for one task.

    fresh: meta-parameters -> what `solve` gives, without a support set
    solve: (meta-parameters, embeddings, targets, mask) -> the solution, tensors by name, of the same shapes for any
        number of examples
    apply: (meta-parameters, solution, embeddings) -> outputs
    variance: (meta-parameters, solution, embeddings) -> the variance of each output, where the head knows it
    learns: a tensor, for type and device -> the head's fresh meta-parameters, named as by a rule (`app.learn.rules`)
    """

    fresh: Callable[[Params], Params]
    solve: Callable[[Params, Tensor, Tensor, Tensor], Params]
    apply: Callable[[Params, Params, Tensor], Tensor]
    variance: Callable[[Params, Params, Tensor], Tensor] | None = None
    learns: Callable[[Tensor], Params] = lambda like: {}


def closed_form(network: nn.Module, head: Head, loss: Loss, ways: int | None) -> InnerLoop[State]:
    """Adapt by solving the head; a second step finds the same solution again. The rate says nothing.

    network: inputs -> embeddings, as for `forward_of`
    ways: the width of the class axis, where there are classes
    """
    embed = forward_of(network)

    def init(meta: Params) -> State:
        return State(head.fresh(meta), {}, no_classes(meta, ways))

    def outputs(meta: Params, state: State, embeddings: Tensor) -> Tensor:
        result = head.apply(meta, state.fast, embeddings)
        return result if isinstance(state.counts, tuple) else only_present(result, state.counts)

    def step(
        meta: Params, state: State, support: Examples, rate: Float[Tensor, ""], active: Bool[Tensor, ""]
    ) -> tuple[State, Float[Tensor, ""]]:
        embeddings = embed(meta, support.inputs)
        before = loss(outputs(meta, state, embeddings), support.targets, support.mask)
        solution = head.solve(meta, embeddings, support.targets, support.mask)
        return moved_where(active, state._replace(fast=solution), state), before

    def loss_of(meta: Params, state: State, support: Examples) -> Float[Tensor, ""]:
        return loss(outputs(meta, state, embed(meta, support.inputs)), support.targets, support.mask)

    def apply(meta: Params, state: State, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query target"]:
        return outputs(meta, state, embed(meta, inputs))

    def prepare(meta: Params, state: State, support: Examples) -> State:
        return counted(state, support)

    def variance(meta: Params, state: State, inputs: Float[Tensor, "query feature"]) -> Float[Tensor, "query target"]:
        assert head.variance is not None
        return head.variance(meta, state.fast, embed(meta, inputs))

    return InnerLoop(
        init, step, loss_of, apply, None if ways is None else prepare, None if head.variance is None else variance
    )


def class_means(
    embeddings: Float[Tensor, "example embedding"],
    targets: Float[Tensor, "example way"],
    mask: Bool[Tensor, " example"],
) -> Float[Tensor, "way embedding"]:
    """The mean embedding of each class, 0 where it has no example."""
    members = targets.where(mask.unsqueeze(-1), 0.0)
    # the embedding of padding may be anything, and 0 times infinity is NaN
    sums = members.T @ embeddings.where(mask.unsqueeze(-1), 0.0)
    return sums / members.sum(0).clamp(min=1).unsqueeze(-1)


def prototypes(ways: int, width: int) -> Head:
    """A class is the mean of its embeddings; a logit is minus the squared distance to it.

    Snell et al. 2017, "Prototypical Networks for Few-shot Learning"

    width: of an embedding
    """
    name = "head/prototypes"

    def fresh(meta: Params) -> Params:
        return {name: next(iter(meta.values())).new_zeros(ways, width)}

    def solve(meta: Params, embeddings: Tensor, targets: Tensor, mask: Tensor) -> Params:
        return {name: class_means(embeddings, targets, mask)}

    def apply(
        meta: Params, solution: Params, embeddings: Float[Tensor, "query embedding"]
    ) -> Float[Tensor, "query way"]:
        differences = embeddings.unsqueeze(1) - solution[name]
        return -differences.square().sum(-1)

    return Head(fresh, solve, apply)
