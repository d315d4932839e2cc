"""The inner loop: properties, and torch.optim as the reference."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import grad_and_value

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import (
    Examples,
    Schedule,
    adapt,
    autograd_grad_and_value,
    batch_of_one,
    final_states,
    from_meta,
    repeat_state,
    trajectory,
    with_packed_state,
)
from app.learn.pytrees import leaves, rebuild
from service_tests.learn.problem import CASES, RATE, examples, schedule, small


def padded(data: Examples, rows: int, filler: float = 0.0) -> Examples:
    extra = rows - data.mask.shape[1]
    pad = nn.functional.pad
    return Examples(
        pad(data.inputs, (0, 0, 0, extra), value=filler),
        pad(data.targets, (0, 0, 0, extra), value=filler),
        pad(data.mask, (0, extra), value=False),
    )


def join(*parts: Examples) -> Examples:
    return Examples(*(torch.cat(tensors) for tensors in zip(*(part[:3] for part in parts), strict=True)))


def assert_same_state(one: Any, two: Any, tolerance: float = 1e-12) -> None:
    for first, second in zip(leaves(one), leaves(two), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=tolerance)


every_case = pytest.mark.parametrize(("name", "kind"), CASES)


@pytest.mark.parametrize("steps", [1, 3])
def test_equals_torch_optim_sgd(steps: int) -> None:
    problem = small()
    support = examples(tasks=3, count=5, seed=1)
    state, losses = adapt(problem.inner, problem.meta, support, schedule(3, steps))
    for task in range(3):
        network = copy.deepcopy(problem.network)
        network.load_state_dict(problem.meta)
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
        for step in range(steps + 1):
            loss = nn.functional.mse_loss(network(support.inputs[task]), support.targets[task])
            torch.testing.assert_close(losses[task, step], loss.detach())
            if step < steps:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        assert_same_state({name: value[task] for name, value in state.fast.items()}, network.state_dict())


@every_case
def test_zero_steps_is_the_identity(name: str, kind: str) -> None:
    problem = small(name, kind=kind)
    support = examples(3, 5, seed=1, kind=kind)
    state, losses = adapt(problem.inner, problem.meta, support, schedule(3, steps=0))
    assert losses.shape == (3, 1)
    initial = repeat_state(problem.inner.init(problem.meta), 3)
    if problem.inner.prepare is not None:
        initial = problem.inner.prepare(problem.meta, initial, support)
    assert_same_state(state, initial, tolerance=0)
    if ALGORITHMS[name].start is from_meta:
        for key in problem.meta.keys() & state.fast.keys():
            assert torch.equal(state.fast[key][2], problem.meta[key])


@every_case
def test_meta_parameters_are_not_changed(name: str, kind: str) -> None:
    problem = small(name, kind=kind)
    before = {name: value.clone() for name, value in problem.meta.items()}
    adapt(problem.inner, problem.meta, examples(3, 5, seed=1, kind=kind), schedule(3, steps=2))
    assert all(torch.equal(before[name], value) for name, value in problem.meta.items())


@every_case
@given(order=st.permutations(range(6)), steps=st.integers(0, 4))
@settings(max_examples=5)
def test_the_order_of_the_support_set_changes_nothing(name: str, kind: str, order: list[int], steps: int) -> None:
    problem = small(name, kind=kind)
    support = examples(2, 6, seed=3, kind=kind)
    shuffled = Examples(*(tensor[:, order] for tensor in support[:3]))
    one, _ = adapt(problem.inner, problem.meta, support, schedule(2, steps))
    two, _ = adapt(problem.inner, problem.meta, shuffled, schedule(2, steps))
    assert_same_state(one, two)


@every_case
@given(
    shots=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    steps=st.lists(st.integers(0, 4), min_size=5, max_size=5),
    rates=st.lists(st.floats(1e-3, 0.1), min_size=5, max_size=5),
    filler=st.sampled_from([0.0, 7.0, -1e6]),
)
@settings(max_examples=8)
def test_a_batch_of_unlike_tasks_equals_each_alone(
    name: str, kind: str, shots: list[int], steps: list[int], rates: list[float], filler: float
) -> None:
    """Shots, steps and rates may differ; what is in the padding does not matter (promise 2)."""
    problem = small(name, kind=kind)
    singles = [examples(1, count, seed=index, kind=kind) for index, count in enumerate(shots)]
    batch = join(*(padded(each, max(shots), filler) for each in singles))
    rate = torch.tensor(rates[: len(shots)], dtype=torch.float64)
    count = torch.tensor(steps[: len(shots)])
    together, losses = adapt(problem.inner, problem.meta, batch, Schedule(rate, count, max_steps=int(count.max())))
    for index, support in enumerate(singles):
        single, own_losses = adapt(
            problem.inner, problem.meta, support, Schedule(rate[[index]], count[[index]], max_steps=steps[index])
        )
        own_part = rebuild(together, (value[[index]] for value in leaves(together)))
        assert_same_state(own_part, single, tolerance=1e-11)
        torch.testing.assert_close(losses[index, : steps[index] + 1], own_losses[0], rtol=0, atol=1e-11)


def test_a_task_that_explodes_leaves_the_others_alone() -> None:
    problem = small()
    good, bad = examples(1, 5, seed=1), examples(1, 5, seed=2)
    bad = bad._replace(targets=bad.targets * 1e200)
    together, losses = adapt(problem.inner, problem.meta, join(bad, good), schedule(2, steps=3))
    single, _ = adapt(problem.inner, problem.meta, good, schedule(1, steps=3))
    assert not losses[0].isfinite().all()
    assert_same_state(
        {name: value[1] for name, value in together.fast.items()},
        {name: value[0] for name, value in single.fast.items()},
    )


def test_an_inactive_task_keeps_its_weights_where_its_gradient_is_infinite() -> None:
    problem = small()
    support = examples(2, 5, seed=1)
    support.targets[0] *= 1e200
    rate = torch.full((2,), RATE, dtype=torch.float64)
    state, _ = adapt(problem.inner, problem.meta, support, Schedule(rate, torch.tensor([0, 2]), max_steps=2))
    assert all(torch.equal(value[0], problem.meta[name]) for name, value in state.fast.items())


@every_case
def test_the_trajectory_is_the_adaptation_by_its_steps(name: str, kind: str) -> None:
    problem = small(name, kind=kind)
    support = examples(2, 5, seed=1, kind=kind)
    walk = list(trajectory(problem.inner, problem.meta, support, schedule(2, steps=3)))
    for steps, (state, loss) in enumerate(walk):
        expected, losses = adapt(problem.inner, problem.meta, support, schedule(2, steps))
        assert_same_state(state, expected)
        assert_same_state(state, final_states(problem.inner, problem.meta, support, schedule(2, steps)))
        torch.testing.assert_close(loss, losses[:, -1])


def test_one_state_is_repeated() -> None:
    problem = small()
    states = repeat_state(problem.inner.init(problem.meta), 3)
    assert all(torch.equal(value[2], problem.meta[name]) for name, value in states.fast.items())


@every_case
def test_packed_is_the_same_inner_loop(name: str, kind: str) -> None:
    """Its states are rows of a matrix, and as states again they are those of the inner loop itself."""
    problem = small(name, kind=kind)
    example = problem.inner.init(problem.meta)
    inner, unpack = with_packed_state(problem.inner, example)
    support = examples(tasks=3, count=5, seed=1, kind=kind)
    states, losses = adapt(problem.inner, problem.meta, support, schedule(3, 4))
    matrix, same = adapt(inner, problem.meta, support, schedule(3, 4))
    assert matrix.shape == (3, sum(value.numel() for value in leaves(example)))
    torch.testing.assert_close(losses, same, rtol=0, atol=0)
    assert_same_state(unpack(matrix), states, tolerance=0)
    queries = examples(tasks=3, count=2, seed=2).inputs
    for one, two in ((inner.apply, problem.inner.apply), (inner.variance, problem.inner.variance)):
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            expected = two(problem.meta, states, queries)
            torch.testing.assert_close(one(problem.meta, matrix, queries), expected, rtol=0, atol=0)


@pytest.mark.parametrize("differentiate", [grad_and_value, autograd_grad_and_value])
@every_case
def test_a_single_task_needs_no_axis(name: str, kind: str, differentiate: Callable[..., Any]) -> None:
    problem = small(name, kind=kind, differentiate=differentiate)
    inner = batch_of_one(problem.single)
    over_tasks = small(name, kind=kind).inner
    support = examples(tasks=1, count=5, seed=1, kind=kind)
    states, losses = adapt(over_tasks, problem.meta, support, schedule(1, 4))
    same, again = adapt(inner, problem.meta, support, schedule(1, 4))
    torch.testing.assert_close(losses, again, rtol=0, atol=1e-12)
    assert_same_state(states, same)
    queries = examples(tasks=1, count=2, seed=2).inputs
    for one, two in ((inner.apply, over_tasks.apply), (inner.variance, over_tasks.variance)):
        if one is not None and two is not None:
            expected = two(problem.meta, states, queries)
            torch.testing.assert_close(one(problem.meta, same, queries), expected, rtol=0, atol=1e-12)
