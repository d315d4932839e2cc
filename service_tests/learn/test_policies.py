"""Policies against torch's own distributions, a plain loop in numpy, and autograd by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Categorical, Normal
from torch.func import functional_call

from app.learn import policies
from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, adapt, batched
from app.learn.losses import KINDS
from app.learn.outer import Tasks, query_gradient
from app.learn.policies import RIDGE, Weighing
from service_tests.learn.problem import RATE, examples, schedule, small

OBSERVED, LENGTHS = 2, [5, 1, 3]
"""Numbers in an observation; decisions in each of a task's episodes."""


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def episodes(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Observations, rewards and mask of one task's episodes, padded to the longest."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    shape = len(lengths), max(lengths)
    return normal(*shape, OBSERVED, seed=seed), normal(*shape, seed=seed + 1), mask


def plain_advantages(
    observations: np.ndarray, rewards: np.ndarray, lengths: list[int], discount: float, smoothing: float
) -> list[np.ndarray]:
    """What `normalised_advantages` gives, decision by decision and episode by episode."""
    features, returns = [], []
    for index, length in enumerate(lengths):
        total = 0.0
        discounted: list[float] = []
        for step in reversed(range(length)):
            total = rewards[index, step] + discount * total
            discounted.insert(0, total)
        returns.append(np.array(discounted))
        time = np.arange(length)[:, None] / 100
        seen = observations[index, :length].clip(-10, 10)
        features.append(np.concatenate([seen, seen**2, time**0, time, time**2, time**3], axis=1))
    all_features = np.concatenate(features)
    damped = all_features.T @ all_features + RIDGE * sum(lengths) * np.eye(all_features.shape[1])
    solution = np.linalg.solve(damped, all_features.T @ np.concatenate(returns))
    advantages_by_episode = []
    for index, length in enumerate(lengths):
        expected, later = [*(features[index] @ solution), 0.0], 0.0
        gained: list[float] = []
        for step in reversed(range(length)):
            better = rewards[index, step] + discount * expected[step + 1] - expected[step]
            later = better + discount * smoothing * later
            gained.insert(0, later)
        advantages_by_episode.append(np.array(gained))
    together = np.concatenate(advantages_by_episode)
    return [(each - together.mean()) / (together.std() + 1e-8) for each in advantages_by_episode]


class TestLikelihood:
    def test_of_names_is_torchs(self) -> None:
        logits, chosen = normal(4, 3), torch.tensor([0, 2, 2, 1])
        likelihoods = policies.log_likelihood(logits, torch.eye(3, dtype=torch.float64)[chosen])
        torch.testing.assert_close(likelihoods, Categorical(logits=logits).log_prob(chosen))

    def test_of_numbers_is_torchs(self) -> None:
        outputs, actions = normal(4, 6), normal(4, 3, seed=1)
        expected = Normal(outputs[:, :3], outputs[:, 3:].exp()).log_prob(actions).sum(-1)
        torch.testing.assert_close(policies.log_likelihood(outputs, actions), expected)

    def test_a_deviation_is_at_least_a_millionth(self) -> None:
        _, deviation = policies.mean_and_deviation(torch.tensor([[0.0, -1000.0]]))
        torch.testing.assert_close(deviation, torch.tensor([[1e-6]]))

    @pytest.mark.parametrize("outputs", [1, 3, 5])
    def test_other_outputs_are_no_policy(self, outputs: int) -> None:
        with pytest.raises(ValueError, match="a policy has 2, a logit for each action, or 4"):
            policies.is_gaussian(outputs, 2)

    @pytest.mark.parametrize(
        ("outputs", "numbers", "says"), [(2, True, "of 2 numbers needs 4"), (4, False, "names needs 2")]
    )
    def test_names_take_logits_and_numbers_a_mean_and_a_deviation(self, outputs: int, numbers: bool, says: str) -> None:
        policies.check(outputs, 2, not numbers)
        with pytest.raises(ValueError, match=says):
            policies.check(outputs, 2, numbers)


class TestWeights:
    @given(st.floats(0, 1), st.floats(0, 1), st.lists(st.integers(1, 6), min_size=1, max_size=4))
    def test_advantages_are_those_of_a_plain_loop(self, discount: float, smoothing: float, lengths: list[int]) -> None:
        lengths = [*lengths, 2]
        observations, rewards, mask = episodes(lengths)
        advantages = policies.normalised_advantages(observations, rewards, mask, Weighing(discount, smoothing))
        expected = plain_advantages(observations.numpy(), rewards.numpy(), lengths, discount, smoothing)
        for index, (length, each) in enumerate(zip(lengths, expected, strict=True)):
            np.testing.assert_allclose(advantages[index, :length].numpy(), each, rtol=1e-5, atol=1e-5)

    def test_they_have_mean_0_and_deviation_1_and_are_0_where_there_is_padding(self) -> None:
        observations, rewards, mask = episodes(LENGTHS)
        advantages = policies.normalised_advantages(observations, rewards, mask)
        torch.testing.assert_close(advantages[mask].mean(), torch.tensor(0.0, dtype=torch.float64))
        torch.testing.assert_close(advantages[mask].std(correction=0), torch.tensor(1.0, dtype=torch.float64))
        assert (advantages[~mask] == 0).all()

    @given(st.floats(-1e3, 1e3) | st.just(math.nan) | st.just(math.inf))
    def test_what_is_in_the_padding_changes_nothing(self, filler: float) -> None:
        observations, rewards, mask = episodes(LENGTHS)
        filled = observations.where(mask.unsqueeze(-1), filler), rewards.where(mask, filler)
        expected = policies.weights(observations, rewards, None, mask)
        torch.testing.assert_close(policies.weights(*filled, None, mask), expected)

    def test_tasks_know_nothing_of_each_other(self) -> None:
        tasks = [episodes(LENGTHS, seed) for seed in (0, 5)]
        observations, rewards, mask = (torch.stack(part) for part in zip(*tasks, strict=True))
        weights = policies.weights(observations, rewards, None, mask)
        for index, each in enumerate(tasks):
            torch.testing.assert_close(weights[index], policies.weights(each[0], each[1], None, each[2]))

    def test_imitation_counts_each_decision_once(self) -> None:
        observations, _, mask = episodes(LENGTHS)
        torch.testing.assert_close(policies.weights(observations, None, None, mask), mask.double())

    @pytest.mark.parametrize("rewarded", [False, True])
    def test_they_are_over_the_propensity_up_to_a_bound(self, rewarded: bool) -> None:
        observations, rewards, mask = episodes(LENGTHS)
        given_rewards = rewards if rewarded else None
        propensities = torch.full_like(rewards, 0.5)
        propensities[0, 0] = 1e-9
        weights = policies.weights(observations, given_rewards, propensities, mask, Weighing(max_weight=7.0))
        once = policies.weights(observations, given_rewards, None, mask, Weighing(max_weight=7.0))
        factor = torch.full_like(once, 2.0)
        factor[0, 0] = 7.0
        torch.testing.assert_close(weights, factor * once)

    def test_rewards_that_are_all_alike_teach_nothing(self) -> None:
        observations, rewards, mask = episodes([3, 3])
        flat = policies.normalised_advantages(torch.zeros_like(observations), torch.zeros_like(rewards), mask)
        assert (flat == 0).all()

    @pytest.mark.parametrize(
        "wrong",
        [{"discount": 1.1}, {"discount": -0.1}, {"smoothing": 2.0}, {"max_weight": 0.5}, {"max_weight": math.nan}],
    )
    def test_settings_outside_their_range_are_not_valid(self, wrong: dict[str, Any]) -> None:
        assert Weighing().is_valid
        assert not Weighing(**wrong).is_valid


def policy(numbers: bool) -> tuple[nn.Module, dict[str, torch.Tensor], torch.Tensor]:
    """A policy for 2 names or for one number, its parameters, and the targets of 6 decisions."""
    network = nn.Sequential(nn.Linear(OBSERVED, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    params = {name: normal(*value.shape, seed=7) / 2 for name, value in network.state_dict().items()}
    actions = normal(6, 1) if numbers else torch.eye(2, dtype=torch.float64)[torch.tensor([0, 1, 1, 0, 1, 0])]
    return network, params, torch.cat([actions, normal(6, 1, seed=3)], dim=1)


@pytest.mark.parametrize("numbers", [False, True])
def test_a_step_is_the_policy_gradient_by_hand(numbers: bool) -> None:
    """`theta + rate * mean_i weight_i grad log pi(action_i)`, each gradient by torch's distributions and autograd."""
    network, params, targets = policy(numbers)
    inputs = normal(6, OBSERVED, seed=4)
    variables = {name: value.clone().requires_grad_() for name, value in params.items()}
    outputs = functional_call(network, variables, (inputs,))
    if numbers:
        likely = Normal(outputs[:, 0], outputs[:, 1].exp()).log_prob(targets[:, 0])
    else:
        likely = Categorical(logits=outputs).log_prob(targets[:, :2].argmax(1))
    gradients = [torch.autograd.grad(each, list(variables.values()), retain_graph=True) for each in likely]
    steepest = [sum(w * g[i] for w, g in zip(targets[:, -1], gradients, strict=True)) / 6 for i in range(len(params))]
    inner = batched(ALGORITHMS["maml"].inner_loop(network, KINDS["decision"].loss))
    mask = torch.tensor([[True] * 6 + [False]])
    seen, done = (torch.cat([part, torch.full_like(part[:1], 1e3)]).unsqueeze(0) for part in (inputs, targets))
    state, _ = adapt(inner, params, Examples(seen, done, mask), schedule(1, steps=1))
    for (name, old), step in zip(params.items(), steepest, strict=True):
        torch.testing.assert_close(state.fast[name][0], old + RATE * step)


def test_the_meta_gradient_through_two_stages_is_the_finite_difference() -> None:
    """Of the surprise after a step on one set of decisions and then one on another."""
    problem = small("maml", kind="decision")
    first, second, last = (examples(1, 5, seed=seed, kind="decision") for seed in range(3))

    def after(meta: dict[str, torch.Tensor]) -> torch.Tensor:
        state, _ = adapt(problem.inner, meta, first, schedule(1, steps=1))
        state, _ = adapt(problem.inner, meta, second, schedule(1, steps=1), start=state)
        outputs = problem.inner.apply(meta, state, last.inputs)
        return problem.loss(outputs[0], last.targets[0], last.mask[0])

    gradient = torch.func.grad(after)(problem.meta)
    for name, value in problem.meta.items():
        place = (0,) * value.ndim
        more, less = ({**problem.meta, name: value.clone()} for _ in range(2))
        more[name][place] += 1e-5
        less[name][place] -= 1e-5
        difference = (after(more) - after(less)) / 2e-5
        torch.testing.assert_close(gradient[name][place], difference, rtol=1e-5, atol=1e-8)


def test_the_outer_gradient_of_decisions_is_plain_autograds() -> None:
    problem = small("maml", kind="decision")
    data = Tasks(examples(1, 5, seed=1, kind="decision"), examples(1, 6, seed=2, kind="decision"))
    direction, _ = query_gradient.direction(problem.inner, problem.loss, problem.meta, data, schedule(1, steps=1))
    meta = {name: value.clone().requires_grad_() for name, value in problem.meta.items()}

    def weighted_nll(params: dict[str, torch.Tensor], decisions: Examples) -> torch.Tensor:
        outputs = functional_call(problem.network, params, (decisions.inputs[0],))
        chosen = decisions.targets[0, :, :3].argmax(1)
        likely: torch.Tensor = Categorical(logits=outputs).log_prob(chosen)
        return -(decisions.targets[0, :, 3] * likely).mean()

    gradients = torch.autograd.grad(weighted_nll(meta, data.support), list(meta.values()), create_graph=True)
    fast = {name: value - RATE * each for (name, value), each in zip(meta.items(), gradients, strict=True)}
    expected = torch.autograd.grad(weighted_nll(fast, data.query), list(meta.values()))
    for name, each in zip(meta, expected, strict=True):
        torch.testing.assert_close(direction[name], each)
