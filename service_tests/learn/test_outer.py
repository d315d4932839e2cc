"""The outer loops against plain autograd, finite differences and their formulas."""

import pytest
import torch

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import adapt
from app.learn.losses import mean_squared_error
from app.learn.outer import Outer, mean_of_adapted, query_loss
from app.learn.rules import Params
from service_tests.learn.problem import RATE, Small, plain_loss, schedule, small, tasks


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
    theirs = plain_direction(problem, steps, first_order)
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-12)


def test_maml_and_fomaml_differ() -> None:
    second, first = direction("maml", small("maml"))[0], direction("fomaml", small("fomaml"))[0]
    assert (second["0.weight"] - first["0.weight"]).abs().max() > 1e-4


@pytest.mark.parametrize("steps", [1, 2])
def test_the_meta_gradient_is_the_finite_difference(steps: int) -> None:
    problem = small()
    gradient, _ = direction("maml", problem, steps)

    def outer_loss(meta: Params) -> float:
        state, _ = adapt(problem.inner, meta, tasks().support, *schedule(steps=steps))
        return query_loss(problem.inner, mean_squared_error, meta, state, tasks().query).item()

    for name, value in problem.meta.items():
        for index in [0, value.numel() - 1]:
            nudge = torch.zeros(value.numel(), dtype=value.dtype)
            nudge[index] = 1e-6
            up = outer_loss(problem.meta | {name: value + nudge.view_as(value)})
            down = outer_loss(problem.meta | {name: value - nudge.view_as(value)})
            assert gradient[name].flatten()[index].item() == pytest.approx((up - down) / 2e-6, abs=1e-7)


def descend(outer: Outer, rate: float, problem: Small, steps: int) -> Params:
    """The meta-parameters after one outer step."""
    meta = {name: value.clone() for name, value in problem.meta.items()}
    found, _ = outer.direction(problem.inner, mean_squared_error, meta, tasks(), schedule(steps=steps))
    optimizer = outer.optimizer(meta.values(), rate)
    for name, value in meta.items():
        value.grad = found[name]
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
    with pytest.raises(ValueError, match=r"step of 1.0, got an outer rate of 0.5"):
        mean_of_adapted.optimizer([torch.zeros(1)], 0.5)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_the_loss_is_the_mean_query_loss_after_adapting(name: str) -> None:
    problem = small(name)
    data = tasks(kind=problem.kind)
    outer = ALGORITHMS[name].outer
    _, loss = outer.direction(problem.inner, problem.loss, problem.meta, data, schedule(steps=2))
    state, _ = adapt(problem.inner, problem.meta, data.support, *schedule(steps=2))
    outputs = problem.inner.apply(problem.meta, state, data.query.inputs)
    by_task = [problem.loss(outputs[task], data.query.targets[task], data.query.mask[task]) for task in range(4)]
    torch.testing.assert_close(loss, torch.stack(by_task).mean())
