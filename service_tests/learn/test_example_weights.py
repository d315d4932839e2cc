"""A weight of 0 equals leaving an example out, 2 giving it twice: in every algorithm, for every kind."""

import pytest
import torch
from torch import Tensor
from torch.func import grad

from app.learn.example_weights import total_weight, weighted
from app.learn.heads import class_means
from app.learn.inner import Examples, adapt, final_states
from app.learn.losses import KINDS
from app.learn.outer_directions import query_loss
from app.learn.support_norm import moments
from app.learn.update_rules import Params
from service_tests.learn.problem import CASES, Small, examples, schedule, small

WEIGHTS = torch.tensor([1.0, 0, 2, 1, 1, 2], dtype=torch.float64)
COPIES = [0, 2, 2, 3, 4, 5, 5]
"""The rows that amount to `WEIGHTS`."""


def weighted_and_copied(kind: str, tasks: int = 4) -> tuple[Examples, Examples]:
    """The same examples with weights, and each as often as its weight says. A row of padding is behind them."""
    data = examples(tasks, 7, seed=1, kind=kind)
    weights = torch.nn.functional.pad(WEIGHTS, (0, 1)).expand(tasks, -1)
    copies = Examples(data.inputs[:, COPIES], data.targets[:, COPIES], torch.ones(tasks, 7, dtype=torch.bool))
    data.inputs[:, -1] = 100
    return data._replace(mask=weights), copies


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_weights_equal_copies(name: str, kind: str) -> None:
    problem, (data, copies) = small(name, kind=kind), weighted_and_copied(kind)
    queries = examples(4, 5, seed=2).inputs
    state, losses = adapt(problem.inner, problem.meta, data, schedule(steps=2))
    same, expected = adapt(problem.inner, problem.meta, copies, schedule(steps=2))
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-11)
    outputs, others = (problem.inner.apply(problem.meta, each, queries) for each in (state, same))
    torch.testing.assert_close(outputs, others, rtol=0, atol=1e-11)
    if problem.inner.variance is not None:
        one, two = (problem.inner.variance(problem.meta, each, queries) for each in (state, same))
        torch.testing.assert_close(one, two, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_weights_of_1_change_no_bit(name: str, kind: str) -> None:
    problem, data = small(name, kind=kind), examples(4, 6, seed=1, kind=kind)
    ones = data._replace(mask=data.mask.double())
    for one, two in zip(*(adapt_leaves(problem, each) for each in (data, ones)), strict=True):
        assert torch.equal(one, two)


def adapt_leaves(problem: Small, data: Examples) -> list[Tensor]:
    state, losses = adapt(problem.inner, problem.meta, data, schedule(steps=2))
    return [losses, *state.fast.values()]


@pytest.mark.parametrize("name", ["maml", "mamlpp", "metasgdpp", "ridge", "alpaca"])
def test_the_outer_gradient_is_that_of_copies(name: str) -> None:
    """Also that of learned rates and of the heads' own meta-parameters."""
    problem, (data, copies) = small(name, kind="regression"), weighted_and_copied("regression")
    query = examples(4, 5, seed=2)

    def outer_loss(meta: Params, support: Examples) -> Tensor:
        state = final_states(problem.inner, meta, support, schedule(steps=2))
        return query_loss(problem.inner, problem.loss, meta, state, query)

    one, two = (grad(outer_loss)(problem.meta, each) for each in (data, copies))
    assert any(value.abs().max() > 1e-3 for name, value in one.items() if name.startswith("inner/")) == (name != "maml")
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_loss_is_the_weighted_mean_at_any_scale(kind: str) -> None:
    data = examples(1, 6, seed=3, kind=kind)
    outputs, targets = data.inputs.new_ones(6, 3).cumsum(0), data.targets[0]
    errors = KINDS[kind].error(outputs, targets)
    expected = (WEIGHTS * errors).sum() / WEIGHTS.sum()
    for scale in (1e-3, 1.0, 1e3):
        torch.testing.assert_close(KINDS[kind].loss(outputs, targets, WEIGHTS * scale), expected)


def test_statistics_of_the_support_set_are_weighted() -> None:
    images = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = moments(images[COPIES], torch.ones(7, dtype=torch.bool))
    torch.testing.assert_close(moments(images, WEIGHTS), expected, rtol=0, atol=1e-12)


def test_small_weights_are_weights_too() -> None:
    """A sum below 1 is no reason to divide by 1."""
    embeddings, targets = torch.tensor([[1.0], [4.0]]), torch.ones(2, 1)
    torch.testing.assert_close(class_means(embeddings, targets, torch.tensor([0.01, 0.02])), torch.tensor([[3.0]]))


def test_without_a_weight_above_0_there_is_nothing() -> None:
    nothing = torch.zeros(2)
    assert total_weight(nothing) == 1
    assert weighted(torch.tensor([torch.inf, torch.nan]), nothing).tolist() == [0, 0]


@pytest.mark.parametrize(("name", "has_output"), [("maml", True), ("ridge", True), ("protonet", False)])
def test_a_declared_class_without_examples(name: str, has_output: bool) -> None:
    """An output of the network is trained away from the class; a prototype is made of examples, so there is none."""
    problem, data = small(name, kind="classification"), examples(2, 2, seed=1, kind="classification")
    declared = torch.ones(2, 3, dtype=torch.bool)
    queries = examples(2, 4, seed=2).inputs

    def probabilities(support: Examples) -> Tensor:
        state, _ = adapt(problem.inner, problem.meta, support, schedule(2, steps=2))
        return problem.inner.apply(problem.meta, state, queries).softmax(-1)

    assert (probabilities(data)[..., 2] == 0).all()
    assert ((probabilities(data._replace(declared=declared))[..., 2] > 0) == has_output).all()
    none = probabilities(data._replace(declared=~declared))
    assert torch.equal(none, probabilities(data))
