"""An inner loop with a target scale equals one whose targets are standardised by hand, up to the units."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch.func import functional_call
from torch.testing import assert_close

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, InnerLoop, State, adapt, batched
from app.learn.losses import KINDS, Loss, mean_squared_error
from app.learn.target_scale import TargetScale, TargetSpec, with_target_scale
from service_tests.learn.problem import examples, schedule, small

SCALES = {
    "one deviation": TargetScale((600.0, -3.0, 0.0), (170.0, 170.0, 170.0)),
    "several deviations": TargetScale((600.0, -3.0, 1e-5), (170.0, 0.5, 1e-6)),
}
REGRESSION = sorted(name for name, algorithm in ALGORITHMS.items() if "regression" in algorithm.kinds)


def scaled(algorithm: str, scale: TargetScale) -> InnerLoop[State]:
    problem = small(algorithm, kind="regression")

    def make(loss: Loss) -> InnerLoop[State]:
        return ALGORITHMS[algorithm].inner_loop(problem.network, loss, targets=3, width=3)

    return batched(with_target_scale(make, KINDS["regression"].loss, scale))


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("algorithm", REGRESSION)
def test_it_equals_targets_that_are_standardised_by_hand(algorithm: str, scale: TargetScale) -> None:
    problem, inner = small(algorithm, kind="regression"), scaled(algorithm, scale)
    support, queries = examples(4, 5, seed=1), examples(4, 6, seed=2).inputs
    mean, std = (torch.tensor(each, dtype=torch.float64) for each in (scale.mean, scale.std))
    in_units = support._replace(targets=support.targets * std + mean)
    by_hand, _ = adapt(problem.inner, problem.meta, support, schedule(steps=2))
    state, _ = adapt(inner, problem.meta, in_units, schedule(steps=2))
    for name, value in by_hand.fast.items():
        assert_close(state.fast[name], value, rtol=1e-6, atol=1e-9)
    expected = problem.inner.apply(problem.meta, by_hand, queries) * std + mean
    assert_close(inner.apply(problem.meta, state, queries), expected, rtol=1e-6, atol=1e-12)
    assert (inner.variance is None) == (problem.inner.variance is None)
    if inner.variance is not None and problem.inner.variance is not None:
        variance = problem.inner.variance(problem.meta, by_hand, queries) * std.square()
        assert_close(inner.variance(problem.meta, state, queries), variance, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("algorithm", REGRESSION)
def test_losses_are_those_of_predictions_in_the_users_units(algorithm: str, scale: TargetScale) -> None:
    problem, inner = small(algorithm, kind="regression"), scaled(algorithm, scale)
    support = examples(4, 5, seed=1)
    support = support._replace(targets=scale.restore(support.targets))
    for steps in (0, 1, 2):
        state, losses = adapt(inner, problem.meta, support, schedule(steps=steps))
        predictions = inner.apply(problem.meta, state, support.inputs)
        assert_close(losses[:, -1], (predictions - support.targets).square().mean((1, 2)), rtol=1e-9, atol=0)


def test_a_step_is_plain_gradient_descent_on_standardised_targets() -> None:
    scale = SCALES["several deviations"]
    problem, inner = small("maml"), scaled("maml", scale)
    support = examples(1, 5, seed=1)
    variables = {name: value.clone().requires_grad_() for name, value in problem.meta.items()}
    outputs = functional_call(problem.network, variables, (support.inputs[0],))
    gradients = torch.autograd.grad((outputs - support.targets[0]).square().mean(), list(variables.values()))
    in_units = support._replace(targets=scale.restore(support.targets))
    state, _ = adapt(inner, problem.meta, in_units, schedule(1, steps=1, rate=0.1))
    for (name, old), gradient in zip(problem.meta.items(), gradients, strict=True):
        assert_close(state.fast[name][0], old - 0.1 * gradient, rtol=1e-6, atol=1e-9)


def test_padding_changes_nothing() -> None:
    problem, inner = small("maml"), scaled("maml", SCALES["several deviations"])
    support = examples(2, 5, seed=1)
    inputs, targets, mask = (torch.cat([part, torch.zeros_like(part[:, :2])], dim=1) for part in support[:3])
    padded = Examples(inputs, targets, mask)
    results = [adapt(inner, problem.meta, each, schedule(2, steps=2)) for each in (support, padded)]
    assert_close(results[0][1], results[1][1], rtol=1e-12, atol=0)


def test_a_large_mean_loses_no_digits_of_a_loss() -> None:
    scale = TargetScale((1e6,), (1.0,))
    outputs, targets = torch.tensor([[0.001]]), torch.tensor([[0.003]])
    mask = torch.tensor([True])
    assert_close(scale.loss(mean_squared_error)(outputs, targets, mask), torch.tensor(4e-6))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": ("a",)}, "targets.names: expected one for each target (2), or none, got ['a']"),
        ({"names": ("a", "a")}, "targets.names: expected different names, none of them empty, got ['a', 'a']"),
        ({"names": ("a", "")}, "targets.names: expected different names, none of them empty, got ['a', '']"),
        ({"units": ("K",)}, "targets.units: expected one for each target (2), or none, got ['K']"),
        ({"low": (0.0, 0.5)}, "targets.low: expected numbers that are at most those in targets.high, got [0.0, 0.5]"),
        ({"low": ()}, "targets.low: expected numbers that are at most those in targets.high, got [] and [1.0, 0.0]"),
        ({"scale": TargetScale((1.0,), (1.0, 1.0))}, "targets.scale.mean: expected a number for each target (2), got"),
        ({"scale": TargetScale((1.0, 1.0), (1.0,))}, "targets.scale.std: expected a number for each target (2), got"),
        ({"scale": TargetScale((0.0, -1e39), (1.0, 1.0))}, "targets.scale.mean[1]: expected a number in the range of"),
        ({"scale": TargetScale((0.0, 0.0), (1.0, 0.0))}, "targets.scale.std[1]: expected 1e-18 to 1e+18, got 0"),
        ({"scale": TargetScale((0.0, 0.0), (2e18, 1.0))}, "targets.scale.std[0]: expected 1e-18 to 1e+18, got 2e+18"),
    ],
)
def test_a_description_that_makes_no_sense(change: dict[str, object], reason: str) -> None:
    good = TargetSpec(("a", "b"), ("K", ""), (0.0, 0.0), (1.0, 0.0), TargetScale((0.0, 0.0), (1.0, 1e-18)))
    assert list(good.errors(2)) == []
    changed: Callable[..., TargetSpec] = dataclasses.replace
    assert reason in next(changed(good, **change).errors(2))
