"""The outer loops against plain autograd, finite differences and their formulas."""

import math

import pytest
import torch

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import State, adapt
from app.learn.losses import mean_squared_error
from app.learn.outer_directions import (
    MIN_WEIGHT,
    MULTI_STEP_SHARE,
    Outer,
    Tasks,
    clip_norm,
    displacement,
    likelihood,
    mean_of_adapted,
    multi_step,
    query_loss,
    step_weights,
)
from app.learn.update_rules import Params
from service_tests.learn.problem import CASES, RATE, Small, plain_loss, schedule, small, tasks


def direction(name: str, problem: Small, steps: int = 1) -> tuple[Params, torch.Tensor]:
    outer = ALGORITHMS[name].outer
    return outer.direction(problem.inner, mean_squared_error, problem.meta, tasks(), schedule(steps=steps))


def plain_direction(problem: Small, steps: int, first_order: bool) -> Params:
    """The MAML gradient as anyone would write it: a loop over tasks, `torch.autograd.grad` and nothing else."""
    data = tasks()
    total = {name: torch.zeros_like(value) for name, value in problem.meta.items()}
    for task in range(4):
        start = {name: value.clone().requires_grad_() for name, value in problem.meta.items()}
        fast = start
        for _ in range(steps):
            loss = plain_loss(problem.network, fast, data.support, task)
            gradients = torch.autograd.grad(loss, list(fast.values()), create_graph=not first_order)
            fast = {name: old - RATE * new for (name, old), new in zip(fast.items(), gradients, strict=True)}
        outer_loss = plain_loss(problem.network, fast, data.query, task)
        for name, gradient in zip(start, torch.autograd.grad(outer_loss, list(start.values())), strict=True):
            total[name] += gradient / 4
    return total


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(("name", "first_order"), [("maml", False), ("fomaml", True)])
def test_the_gradient_is_plain_autograds(name: str, first_order: bool, steps: int) -> None:
    problem = small(name)
    ours, _ = direction(name, problem, steps)
    expected = plain_direction(problem, steps, first_order)
    for key, value in expected.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-12)


def test_maml_and_fomaml_differ() -> None:
    second, first = direction("maml", small("maml"))[0], direction("fomaml", small("fomaml"))[0]
    assert (second["0.weight"] - first["0.weight"]).abs().max() > 1e-4


def objective(name: str, problem: Small, meta: Params, data: Tasks, steps: int) -> torch.Tensor:
    """What an algorithm's outer loop descends, from its definition."""
    count = len(data.query.mask)

    def after(taken: int) -> State:
        return adapt(problem.inner, meta, data.support, schedule(count, taken))[0]

    if ALGORITHMS[name].outer is likelihood:
        assert problem.inner.variance is not None
        mean = problem.inner.apply(meta, after(steps), data.query.inputs)
        spread = problem.inner.variance(meta, after(steps), data.query.inputs).sqrt()
        nats: torch.Tensor = -torch.distributions.Normal(mean, spread).log_prob(data.query.targets)
        return nats.mean() - math.log(2 * math.pi) / 2
    scores = [query_loss(problem.inner, problem.loss, meta, after(taken), data.query) for taken in range(1, steps + 1)]
    earlier = MIN_WEIGHT / steps if ALGORITHMS[name].outer is multi_step else 0.0
    weights = [earlier] * (steps - 1) + [1 - earlier * (steps - 1)]
    total: torch.Tensor = torch.stack(scores) @ torch.tensor(weights, dtype=scores[0].dtype)
    return total


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        case
        for case in CASES
        if ALGORITHMS[case[0]].outer not in (displacement, mean_of_adapted) and ALGORITHMS[case[0]].first_order < 1
    ],
)
def test_the_meta_gradient_is_the_finite_difference(name: str, kind: str, steps: int) -> None:
    problem, data = small(name, kind=kind), tasks(kind=kind)
    for key, value in problem.meta.items():
        if key.startswith("inner/head/"):  # away from 0 and 1, where much would cancel
            value += torch.linspace(0.1, 0.3, value.numel(), dtype=value.dtype).view_as(value)
    gradient, _ = ALGORITHMS[name].outer.direction(
        problem.inner, problem.loss, problem.meta, data, schedule(steps=steps)
    )
    for key, value in problem.meta.items():
        for index in {0, value.numel() - 1}:
            nudge = torch.zeros(value.numel(), dtype=value.dtype)
            nudge[index] = 1e-6
            up, down = (
                objective(name, problem, problem.meta | {key: value + sign * nudge.view_as(value)}, data, steps)
                for sign in (1, -1)
            )
            expected = (up - down).item() / 2e-6
            assert gradient[key].flatten()[index].item() == pytest.approx(expected, abs=1e-7), key


@pytest.mark.parametrize(("name", "prefix"), [("anil", "2."), ("boil", "0."), ("cavia", "context")])
def test_the_gradient_where_only_a_part_moves_is_plain_autograds(name: str, prefix: str) -> None:
    problem = small(name)
    ours, _ = direction(name, problem, steps=2)
    data = tasks()
    total = {key: torch.zeros_like(value) for key, value in problem.meta.items()}
    for task in range(4):
        start = {key: value.clone().requires_grad_() for key, value in problem.meta.items()}
        fast = {key: value * 0 if name == "cavia" and key == prefix else value for key, value in start.items()}
        for _ in range(2):
            moving = [key for key in fast if key.startswith(prefix)]
            loss = plain_loss(problem.network, fast, data.support, task)
            gradients = torch.autograd.grad(loss, [fast[key] for key in moving], create_graph=True)
            fast |= {key: fast[key] - RATE * new for key, new in zip(moving, gradients, strict=True)}
        outer_loss = plain_loss(problem.network, fast, data.query, task)
        for key, gradient in zip(start, torch.autograd.grad(outer_loss, list(start.values())), strict=True):
            total[key] += gradient / 4
    for key, value in total.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-12)


def test_the_losses_of_all_steps_count_evenly_at_first_and_the_last_nearly_alone_later() -> None:
    steps = torch.tensor([4, 2, 0])
    torch.testing.assert_close(
        step_weights(steps, 4, 0.0), torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0], [0, 0, 0, 0.0]])
    )
    later = step_weights(steps, 4, torch.tensor(MULTI_STEP_SHARE))
    torch.testing.assert_close(later[0], torch.tensor([0.0075, 0.0075, 0.0075, 0.9775]))
    half = step_weights(steps, 4, MULTI_STEP_SHARE / 2)
    torch.testing.assert_close(half[1], torch.tensor([0.25, 0.75, 0, 0]))


def descend(outer: Outer, rate: float, problem: Small, steps: int) -> Params:
    """The meta-parameters after one outer step."""
    meta = {name: value.clone() for name, value in problem.meta.items()}
    gradient, _ = outer.direction(problem.inner, mean_squared_error, meta, tasks(), schedule(steps=steps))
    optimizer = outer.optimizer(meta.values(), rate)
    for name, value in meta.items():
        value.grad = gradient[name]
    optimizer.step()
    return meta


@pytest.mark.parametrize("steps", [1, 3])
def test_averaging_gives_the_mean_of_the_adapted_parameters(steps: int) -> None:
    problem = small("averaging")
    after = descend(mean_of_adapted, mean_of_adapted.rate, problem, steps)
    for name in after:
        adapted = []
        for task in range(4):
            fast = {key: value.clone().requires_grad_() for key, value in problem.meta.items()}
            for _ in range(steps):
                loss = plain_loss(problem.network, fast, tasks().support, task)
                gradients = torch.autograd.grad(loss, list(fast.values()))
                fast = {
                    key: (old - RATE * new).detach().requires_grad_()
                    for (key, old), new in zip(fast.items(), gradients, strict=True)
                }
            adapted.append(fast[name].detach())
        torch.testing.assert_close(after[name], torch.stack(adapted).mean(0), rtol=0, atol=1e-12)


def test_averaging_after_one_step_is_a_step_along_the_mean_gradient() -> None:
    """theta - alpha * mean_i grad L_i(theta), to 1e-6: the article's rule, with gradients that do not pile up."""
    problem = small("averaging")
    after = descend(mean_of_adapted, mean_of_adapted.rate, problem, steps=1)
    for name, theta in problem.meta.items():
        gradients = []
        for task in range(4):
            fresh = {key: value.clone().requires_grad_() for key, value in problem.meta.items()}
            plain_loss(problem.network, fresh, tasks().support, task).backward()
            gradients.append(fresh[name].grad)
        expected = theta - RATE * torch.stack([g for g in gradients if g is not None]).mean(0)
        torch.testing.assert_close(after[name], expected, rtol=0, atol=1e-6)


def test_reptile_goes_part_of_the_way_that_averaging_goes() -> None:
    problem = small("reptile")
    whole = descend(mean_of_adapted, mean_of_adapted.rate, problem, steps=3)
    part = descend(ALGORITHMS["reptile"].outer, 0.25, problem, steps=3)
    for name, theta in problem.meta.items():
        torch.testing.assert_close(part[name], theta + 0.25 * (whole[name] - theta))


def test_averaging_refuses_another_rate() -> None:
    with pytest.raises(
        ValueError, match=r"outer_rate: expected 1\.0 for the algorithm averaging, got 0\.5: leave outer_rate out$"
    ):
        mean_of_adapted.optimizer([torch.zeros(1)], 0.5)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_the_loss_is_the_mean_query_loss_after_adapting(name: str) -> None:
    problem = small(name)
    data = tasks(kind=problem.kind)
    outer = ALGORITHMS[name].outer
    _, loss = outer.direction(problem.inner, problem.loss, problem.meta, data, schedule(steps=2))
    state, _ = adapt(problem.inner, problem.meta, data.support, schedule(steps=2))
    outputs = problem.inner.apply(problem.meta, state, data.query.inputs)
    by_task = [problem.loss(outputs[task], data.query.targets[task], data.query.mask[task]) for task in range(4)]
    torch.testing.assert_close(loss, torch.stack(by_task).mean())


@pytest.mark.parametrize("max_norm", [0.1, 100.0])
def test_an_outer_gradient_is_clipped_as_torch_does_it(max_norm: float) -> None:
    gradients, _ = direction("maml", small())
    parameters = [torch.nn.Parameter(torch.zeros_like(value)) for value in gradients.values()]
    for parameter, value in zip(parameters, gradients.values(), strict=True):
        parameter.grad = value.clone()
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    for parameter, value in zip(parameters, clip_norm(gradients, max_norm).values(), strict=True):
        torch.testing.assert_close(value, parameter.grad, rtol=0, atol=1e-6)


def test_an_outer_gradient_that_is_not_finite_is_left_out() -> None:
    clipped = clip_norm({"one": torch.tensor([1.0, torch.nan]), "two": torch.ones(3)}, 1.0)
    assert all(not value.any() for value in clipped.values())
