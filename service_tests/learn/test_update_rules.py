"""Update rules against plain autograd, and against each other where they must coincide."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import adapt
from app.learn.outer_directions import query_gradient
from app.learn.update_rules import STAGES, Params, Rule, chain, factor_per_step, rate_per_parameter, rate_per_step, sgd
from service_tests.learn.problem import Small, examples, plain_loss, schedule, small

Move = Callable[[int, Params, Params], Params]
"""(step, parameters, gradients) -> the parameters after the step."""


def plain(problem: Small, steps: int, move: Move) -> list[Params]:
    """The fast weights of two tasks by plain autograd."""
    support = examples(2, 5, seed=1)
    tasks = []
    for task in range(2):
        fast = {name: problem.meta[name].clone() for name in problem.network.state_dict()}
        for step in range(steps):
            fast = {name: value.detach().requires_grad_() for name, value in fast.items()}
            loss = plain_loss(problem.network, fast, support, task)
            gradients = dict(zip(fast, torch.autograd.grad(loss, list(fast.values())), strict=True))
            fast = move(step, fast, gradients)
        tasks.append(fast)
    return tasks


def assert_moves_so(problem: Small, steps: int, move: Move) -> None:
    state, _ = adapt(problem.inner, problem.meta, examples(2, 5, seed=1), schedule(2, steps))
    for task, expected in enumerate(plain(problem, steps, move)):
        for name, value in expected.items():
            torch.testing.assert_close(state.fast[name][task], value.detach(), rtol=0, atol=1e-12)


def with_rule(rule: Rule) -> Small:
    return small(Algorithm(query_gradient, rule=rule))


@pytest.mark.parametrize("rule", [rate_per_parameter(), rate_per_step()], ids=["metasgd", "mamlpp"])
def test_one_rate_for_all_is_maml(rule: Rule) -> None:
    ours, maml = with_rule(rule), small("maml")
    support = examples(3, 5, seed=1)
    # learned rates ignore the rate of the schedule
    one, losses = adapt(ours.inner, ours.meta, support, schedule(3, steps=4, rate=7.0))
    two, expected = adapt(maml.inner, maml.meta, support, schedule(3, steps=4))
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-12)
    for name, value in two.fast.items():
        torch.testing.assert_close(one.fast[name], value, rtol=0, atol=1e-12)


def test_metasgd_has_a_rate_for_each_number() -> None:
    problem = small("metasgd")
    generator = torch.Generator().manual_seed(0)
    for name in problem.network.state_dict():
        raw = problem.meta[f"inner/rate/{name}"]
        raw.copy_(torch.randn(raw.shape, generator=generator, dtype=torch.float64) / 10 - 0.3)

    def move(step: int, fast: Params, gradients: Params) -> Params:
        rates = {name: (10 * problem.meta[f"inner/rate/{name}"]).sigmoid() for name in fast}
        return {name: value - rates[name] * gradients[name] for name, value in fast.items()}

    assert_moves_so(problem, 3, move)


def test_mamlpp_has_a_rate_for_each_tensor_and_step_and_goes_on_with_the_last() -> None:
    problem = small("mamlpp")
    generator = torch.Generator().manual_seed(0)
    for name in problem.network.state_dict():
        raw = problem.meta[f"inner/rate/{name}"]
        assert raw.shape == (2,)
        raw.copy_(torch.rand(2, generator=generator, dtype=torch.float64) / 10 - 0.3)

    def move(step: int, fast: Params, gradients: Params) -> Params:
        rates = {name: (10 * problem.meta[f"inner/rate/{name}"][min(step, 1)]).sigmoid() for name in fast}
        return {name: value - rates[name] * gradients[name] for name, value in fast.items()}

    assert_moves_so(problem, 4, move)


def test_metasgdpp_scales_the_rates_of_metasgd_by_step_and_goes_on_with_the_last() -> None:
    problem = small("metasgdpp")
    generator = torch.Generator().manual_seed(0)
    for name in problem.network.state_dict():
        raw = problem.meta[f"inner/factor/{name}"]
        assert raw.shape == (STAGES,)
        raw.copy_(torch.randn(STAGES, generator=generator, dtype=torch.float64) / 10)

    def move(step: int, fast: Params, gradients: Params) -> Params:
        def rate(name: str) -> Tensor:
            factor = 2 * (10 * problem.meta[f"inner/factor/{name}"][min(step, STAGES - 1)]).sigmoid()
            return factor * (10 * problem.meta[f"inner/rate/{name}"]).sigmoid()

        return {name: value - rate(name) * gradients[name] for name, value in fast.items()}

    assert_moves_so(problem, STAGES + 2, move)


@pytest.mark.parametrize("name", ["mamlpp", "metasgd"])
def test_a_learned_rate_begins_where_it_should_and_stays_bounded(name: str) -> None:
    rule, params = ALGORITHMS[name].rule, {"w": torch.ones(2)}
    for raw, rate in ((rule.initial_meta(params, 0.4, 1)["inner/rate/w"], 0.4), (torch.full((2,), 1e9), 1.0)):
        updates, _ = rule.update({"w": torch.ones(2)}, rule.init(params), torch.tensor(math.nan), {"inner/rate/w": raw})
        torch.testing.assert_close(updates["w"], torch.full((2,), -rate))


def test_only_learned_rates_are_learned_rates() -> None:
    learned = {name for name, each in ALGORITHMS.items() if each.learned_rate}
    assert learned == {"mamlpp", "metasgd", "metasgdpp", "protoanil"}
    assert chain(factor_per_step(), rate_per_parameter()).learned_rate
    assert not chain(factor_per_step(), sgd()).learned_rate
