"""The weights of decisions: advantages, imitation, and propensities."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.learn import decision_weights
from app.learn.decision_weights import RIDGE, Weighing

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


class TestWeights:
    @given(st.floats(0, 1), st.floats(0, 1), st.lists(st.integers(1, 6), min_size=1, max_size=4))
    def test_advantages_are_those_of_a_plain_loop(self, discount: float, smoothing: float, lengths: list[int]) -> None:
        lengths = [*lengths, 2]
        observations, rewards, mask = episodes(lengths)
        advantages = decision_weights.normalised_advantages(observations, rewards, mask, Weighing(discount, smoothing))
        expected = plain_advantages(observations.numpy(), rewards.numpy(), lengths, discount, smoothing)
        for index, (length, each) in enumerate(zip(lengths, expected, strict=True)):
            np.testing.assert_allclose(advantages[index, :length].numpy(), each, rtol=1e-5, atol=1e-5)

    def test_they_have_mean_0_and_deviation_1_and_are_0_where_there_is_padding(self) -> None:
        observations, rewards, mask = episodes(LENGTHS)
        advantages = decision_weights.normalised_advantages(observations, rewards, mask)
        torch.testing.assert_close(advantages[mask].mean(), torch.tensor(0.0, dtype=torch.float64))
        torch.testing.assert_close(advantages[mask].std(correction=0), torch.tensor(1.0, dtype=torch.float64))
        assert (advantages[~mask] == 0).all()

    @given(st.floats(-1e3, 1e3) | st.just(math.nan) | st.just(math.inf))
    def test_what_is_in_the_padding_changes_nothing(self, filler: float) -> None:
        observations, rewards, mask = episodes(LENGTHS)
        filled = observations.where(mask.unsqueeze(-1), filler), rewards.where(mask, filler)
        expected = decision_weights.weights(observations, rewards, None, mask)
        torch.testing.assert_close(decision_weights.weights(*filled, None, mask), expected)

    def test_tasks_know_nothing_of_each_other(self) -> None:
        tasks = [episodes(LENGTHS, seed) for seed in (0, 5)]
        observations, rewards, mask = (torch.stack(part) for part in zip(*tasks, strict=True))
        weights = decision_weights.weights(observations, rewards, None, mask)
        for index, each in enumerate(tasks):
            torch.testing.assert_close(weights[index], decision_weights.weights(each[0], each[1], None, each[2]))

    def test_imitation_counts_each_decision_once(self) -> None:
        observations, _, mask = episodes(LENGTHS)
        torch.testing.assert_close(decision_weights.weights(observations, None, None, mask), mask.double())

    @pytest.mark.parametrize("rewarded", [False, True])
    def test_they_are_over_the_propensity_up_to_a_bound(self, rewarded: bool) -> None:
        observations, rewards, mask = episodes(LENGTHS)
        given_rewards = rewards if rewarded else None
        propensities = torch.full_like(rewards, 0.5)
        propensities[0, 0] = 1e-9
        weights = decision_weights.weights(observations, given_rewards, propensities, mask, Weighing(max_weight=7.0))
        once = decision_weights.weights(observations, given_rewards, None, mask, Weighing(max_weight=7.0))
        factor = torch.full_like(once, 2.0)
        factor[0, 0] = 7.0
        torch.testing.assert_close(weights, factor * once)

    def test_rewards_that_are_all_alike_teach_nothing(self) -> None:
        observations, rewards, mask = episodes([3, 3])
        flat = decision_weights.normalised_advantages(torch.zeros_like(observations), torch.zeros_like(rewards), mask)
        assert (flat == 0).all()

    @pytest.mark.parametrize(
        "wrong",
        [{"discount": 1.1}, {"discount": -0.1}, {"smoothing": 2.0}, {"max_weight": 0.5}, {"max_weight": math.nan}],
    )
    def test_settings_outside_their_range_are_not_valid(self, wrong: dict[str, Any]) -> None:
        assert Weighing().is_valid
        assert not Weighing(**wrong).is_valid
