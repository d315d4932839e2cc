"""The head of an ensemble against its formulas written out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from app.learn.algorithms import ALGORITHMS
from app.learn.ensemble_head import SIZES, Ensemble, at_size
from app.learn.inner import InnerLoop, Schedule, State, adapt, batched
from app.learn.losses import mean_squared_error
from app.learn.outer_directions import Tasks
from app.learn.update_rules import Params
from service_tests.device import to_device
from service_tests.learn.problem import examples, schedule, small, tasks

ALIKE, RECENT, LAST = (1.0, 1.0), (0.5, 1.0), (0.0, 0.9)
"""Discounts of two members: the order of examples makes no difference to those of ALIKE."""


class TwoMembers(Ensemble):
    """2 features -> two embeddings of 3 numbers."""

    def __init__(self, discounts: Sequence[float]) -> None:
        super().__init__()
        self.discounts = discounts
        self.layer = nn.Linear(2, 6)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(inputs).tanh()
        return outputs


class Problem(NamedTuple):
    inner: InnerLoop[State]
    meta: Params


def problem(columns: int = 3, discounts: Sequence[float] = ALIKE) -> Problem:
    """With a prior of every kind of number."""
    network, generator = TwoMembers(discounts).double(), torch.Generator().manual_seed(0)
    params = {
        name: torch.randn(value.shape, generator=generator).double() for name, value in network.state_dict().items()
    }
    meta = ALGORITHMS["ensemble"].initial_meta(network, params, columns, 6, rate=1.0, steps=1)
    for name in meta:
        if name.startswith("inner/"):
            meta[name] = meta[name] + torch.randn(meta[name].shape, generator=generator).double() / 3
    inner = ALGORITHMS["ensemble"].inner_loop(network, mean_squared_error, targets=columns, width=6)
    return Problem(batched(inner), to_device(meta))


def by_hand(meta: Params, data: Tasks, task: int, discounts: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the queries, by conditioning the joint normal of each member's targets.

    The noise of an example is divided by what it counts; one that counts nothing is left out.
    """
    plain = {name: value.cpu().numpy() for name, value in meta.items()}
    weight, bias = plain["layer.weight"], plain["layer.bias"]
    x, q = (np.tanh(part.inputs[task].cpu().numpy() @ weight.T + bias) for part in data)
    y = data.support.targets[task].cpu().numpy()
    means, variances = [], []
    for member, discount in enumerate(discounts):
        own = slice(3 * member, 3 * member + 3)
        xs, qs = (np.concatenate([each[:, own], np.ones((len(each), 1))], axis=1) for each in (x, q))
        counted = discount ** np.arange(len(x))[::-1].astype(float)
        xs, ys, counted = xs[counted > 0], y[counted > 0], counted[counted > 0]
        mean, root = plain["inner/head/prior_mean"][member], plain["inner/head/prior_root"][member]
        noise, covariance = np.exp(plain["inner/head/log_noise"][member]), root @ root.T
        gain = qs @ covariance @ xs.T @ np.linalg.inv(xs @ covariance @ xs.T + np.diag(1 / counted))
        means.append(qs @ mean + gain @ (ys - xs @ mean))
        spread = np.diag(qs @ covariance @ qs.T - gain @ xs @ covariance @ qs.T)
        variances.append(np.outer(1 + spread, noise))
    log_weights = plain["inner/head/log_weights"][SIZES.index(len(x))]
    weights = (np.exp(log_weights) / np.exp(log_weights).sum())[:, None, None]
    mixed = (weights * np.array(means)).sum(0)
    mixture = (weights * (np.array(variances) + (np.array(means) - mixed) ** 2)).sum(0)
    return mixed, mixture * np.exp(plain["inner/head/log_scale"][SIZES.index(len(x))])


@pytest.mark.parametrize("discounts", [ALIKE, RECENT, LAST])
def test_it_is_the_mixture_of_gaussian_posteriors(discounts: Sequence[float]) -> None:
    inner, meta = problem(discounts=discounts)
    assert inner.variance is not None
    data = tasks(shots=5)
    state, _ = adapt(inner, meta, data.support, schedule())
    outputs, variances = inner.apply(meta, state, data.query.inputs), inner.variance(meta, state, data.query.inputs)
    for task in range(4):
        expected, spread = by_hand(meta, data, task, discounts)
        np.testing.assert_allclose(outputs[task].cpu().numpy(), expected, atol=1e-10)
        np.testing.assert_allclose(variances[task].cpu().numpy(), spread, atol=1e-10)


def test_one_member_is_alpaca() -> None:
    one, other = small("ensemble"), small("alpaca")
    data = tasks()
    for each in (one, other):
        each.meta["inner/head/prior_mean"] += 0.3
    state, losses = adapt(one.inner, one.meta, data.support, schedule())
    same, expected = adapt(other.inner, other.meta, data.support, schedule())
    torch.testing.assert_close(losses, expected)
    assert one.inner.variance is not None
    assert other.inner.variance is not None
    query = data.query.inputs
    torch.testing.assert_close(one.inner.apply(one.meta, state, query), other.inner.apply(other.meta, same, query))
    torch.testing.assert_close(
        one.inner.variance(one.meta, state, query), other.inner.variance(other.meta, same, query)
    )


def test_a_row_of_zeros_fixes_a_weight() -> None:
    inner, meta = problem()
    meta["inner/head/prior_root"][:, 1] = 0
    state, _ = adapt(inner, meta, examples(3, 20, seed=1), schedule(3))
    for task in range(3):
        torch.testing.assert_close(state.fast["inner/head/mean"][task, :, 1], meta["inner/head/prior_mean"][:, 1])


def test_without_examples_the_weights_are_those_of_0() -> None:
    inner, meta = problem()
    weights = inner.init(meta).fast["inner/head/weights"]
    torch.testing.assert_close(weights, meta["inner/head/log_weights"][0].softmax(0))


@pytest.mark.parametrize("discounts", [ALIKE, RECENT, LAST])
def test_padding_and_masked_examples_change_nothing(discounts: Sequence[float]) -> None:
    inner, meta = problem(discounts=discounts)
    data = examples(2, 4, seed=1)
    expected, _ = adapt(inner, meta, data, schedule(2))
    wider = examples(2, 7, seed=2)
    wider.inputs[:], wider.targets[:] = torch.inf, torch.nan
    rows = [0, 2, 3, 5]
    wider.inputs[:, rows], wider.targets[:, rows] = data.inputs, data.targets
    mask = torch.zeros_like(wider.mask)
    mask[:, rows] = True
    for each in (mask, mask.double()):
        state, _ = adapt(inner, meta, wider._replace(mask=each), schedule(2))
        for name, value in state.fast.items():
            torch.testing.assert_close(value, expected.fast[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("discounts", [ALIKE, RECENT, LAST])
def test_the_order_of_examples_makes_a_difference_with_a_discount_alone(discounts: Sequence[float]) -> None:
    inner, meta = problem(discounts=discounts)
    data = examples(1, 5, seed=1)
    turned = data._replace(inputs=data.inputs.flip(1), targets=data.targets.flip(1))
    one, other = (adapt(inner, meta, each, schedule(1))[0].fast["inner/head/mean"] for each in (data, turned))
    for member, discount in enumerate(discounts):
        assert torch.allclose(one[:, member], other[:, member], atol=1e-10) == (discount == 1)


def test_a_discount_of_0_carries_the_last_residual_forward() -> None:
    """Shrunk by v / (1 + v), for a member whose first number is the prediction of another model."""
    inner, meta = problem(discounts=LAST)
    variance = 3.0
    meta["inner/head/prior_mean"][0] = torch.tensor([[1.0], [0], [0], [0]])
    meta["inner/head/prior_root"][0] = torch.diag(torch.tensor([0, 0, 0, variance**0.5]))
    meta["inner/head/log_weights"][:] = torch.tensor([0.0, -1e3])
    data = tasks(shots=5)
    state, _ = adapt(inner, meta, data.support, schedule())
    outputs = inner.apply(meta, state, data.query.inputs)

    def prediction(inputs: torch.Tensor) -> torch.Tensor:
        return (inputs @ meta["layer.weight"][:1].mT + meta["layer.bias"][:1]).tanh()

    residual = data.support.targets[:, -1:] - prediction(data.support.inputs[:, -1:])
    expected = prediction(data.query.inputs) + variance / (1 + variance) * residual
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("discounts", [ALIKE, RECENT, LAST])
def test_an_example_of_weight_2_counts_as_two(discounts: Sequence[float]) -> None:
    inner, meta = problem(discounts=discounts)
    data = examples(1, 4, seed=1)
    twice = data._replace(
        **{name: getattr(data, name).repeat_interleave(2, dim=1) for name in ("inputs", "targets", "mask")}
    )
    state, _ = adapt(inner, meta, data._replace(mask=torch.full((1, 4), 2.0).double()), schedule(1))
    same, _ = adapt(inner, meta, twice, schedule(1))
    for name, value in state.fast.items():
        torch.testing.assert_close(value, same.fast[name], rtol=1e-6, atol=1e-6)


def test_weights_are_interpolated_in_the_logarithm_of_the_size() -> None:
    table = torch.arange(len(SIZES), dtype=torch.float64).unsqueeze(1)
    at = [at_size(table, torch.tensor(float(size))).item() for size in (*SIZES, 1000)]
    np.testing.assert_allclose(at, [*range(len(SIZES)), len(SIZES) - 1], atol=1e-6)
    middle = math.sqrt(11 * 21) - 1
    np.testing.assert_allclose(at_size(table, torch.tensor(middle)).item(), SIZES.index(10) + 0.5, atol=1e-6)


def test_the_state_does_not_grow_with_the_examples() -> None:
    inner, meta = problem()
    few, many = (
        adapt(inner, meta, examples(1, count, seed=1), Schedule(torch.ones(1), torch.ones(1, dtype=torch.long), 1))[0]
        for count in (2, 50)
    )
    assert {name: value.shape for name, value in few.fast.items()} == {
        name: value.shape for name, value in many.fast.items()
    }
