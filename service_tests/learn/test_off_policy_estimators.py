"""Off-policy estimates, against closed forms and against every log that there can be."""

import itertools

import pytest
import torch
from torch import Tensor

from app.learn.off_policy_estimators import (
    Estimate,
    doubly_robust,
    effective_sample_size,
    importance_weights,
    inverse_propensity,
    predict_rewards,
    self_normalised,
    student_quantile,
)
from service_tests.device import DEVICE

OBSERVATIONS = torch.tensor([[0.3, -1.0], [2.0, 0.5]], dtype=torch.float64, device=DEVICE)
LOGGING = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], dtype=torch.float64, device=DEVICE)
POLICY = torch.tensor([[0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], dtype=torch.float64, device=DEVICE)
CHANCE = torch.tensor([[0.9, 0.2, 0.4], [0.5, 0.7, 0.1]], dtype=torch.float64, device=DEVICE)
"""The probability of a reward of 1 for each action; otherwise the reward is 0."""
QUANTILE_39 = 2.0226909
"""Of Student's distribution with 39 degrees of freedom, at 97.5 %, from a table."""
TRUTH = (POLICY * CHANCE).sum(1).mean()
PREDICTED = torch.tensor([[0.5, 7.0, -1.0], [0.2, 0.2, 0.3]], dtype=torch.float64, device=DEVICE)


def every_log() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All logs of the two decisions: how probable each is, actions, rewards and propensities."""
    taken = torch.tensor([*itertools.product(range(3), range(3))])
    actions = torch.eye(3, dtype=torch.float64)[taken].repeat_interleave(4, 0)
    rewards = torch.tensor([*itertools.product((0.0, 1.0), (0.0, 1.0))], dtype=torch.float64).repeat(9, 1)
    propensities, chance = (actions * LOGGING).sum(-1), (actions * CHANCE).sum(-1)
    probable = (propensities * torch.where(rewards > 0, chance, 1 - chance)).prod(1)
    assert abs(probable.sum() - 1) < 1e-12
    return probable, actions, rewards, propensities


def drawn(tasks: int, decisions: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Logs of decisions at observations in turn: observations, actions, rewards, propensities, the policy."""
    generator = torch.Generator().manual_seed(seed)
    at = torch.arange(decisions).expand(tasks, -1) % 2
    logging, chance = LOGGING[at], CHANCE[at]
    taken = torch.multinomial(logging.flatten(0, 1).cpu(), 1, generator=generator).reshape(tasks, decisions).to(DEVICE)
    actions = torch.eye(3, dtype=torch.float64)[taken]
    clicks = torch.rand((tasks, decisions), generator=generator, dtype=torch.float64) < (actions * chance).sum(-1)
    return OBSERVATIONS[at], actions, clicks.double(), (actions * logging).sum(-1), POLICY[at]


def test_inverse_propensity_is_unbiased() -> None:
    probable, actions, rewards, propensities = every_log()
    weights = importance_weights(POLICY.expand_as(actions), actions, propensities)
    estimate = inverse_propensity(weights, rewards)
    torch.testing.assert_close((probable * estimate.value).sum(), TRUTH)


@pytest.mark.parametrize("fitted", [False, True])
def test_doubly_robust_is_unbiased_whatever_is_predicted(fitted: bool) -> None:
    probable, actions, rewards, propensities = every_log()
    policy = POLICY.expand_as(actions)
    weights = importance_weights(policy, actions, propensities)
    predicted = (
        predict_rewards(OBSERVATIONS.expand(36, 2, 2), actions, rewards, folds=2)
        if fitted
        else PREDICTED.expand_as(actions)
    )
    estimate = doubly_robust(weights, rewards, actions, policy, predicted)
    torch.testing.assert_close((probable * estimate.value).sum(), TRUTH)


def test_the_logging_policy_is_worth_its_mean_reward() -> None:
    _, actions, rewards, propensities, _ = drawn(3, 40)
    logging = LOGGING[torch.arange(40) % 2].expand_as(actions)
    weights = importance_weights(logging, actions, propensities)
    mean = rewards.mean(1)
    four_more = rewards.var(1, correction=0) * 40 + 2 * mean.square() + 2 * (1 - mean).square()
    error = QUANTILE_39 * (four_more / 39 / 40).sqrt()
    for estimate in (inverse_propensity(weights, rewards), self_normalised(weights, rewards)):
        torch.testing.assert_close(estimate.value, rewards.mean(1))
        torch.testing.assert_close(estimate.half_width, error)


def test_without_predictions_doubly_robust_is_inverse_propensity() -> None:
    _, actions, rewards, propensities, policy = drawn(3, 40)
    weights = importance_weights(policy, actions, propensities)
    estimate = doubly_robust(weights, rewards, actions, policy, torch.zeros_like(actions))
    for one, two in zip(estimate, inverse_propensity(weights, rewards), strict=True):
        torch.testing.assert_close(one, two)


def test_right_predictions_are_right_where_rewards_have_no_noise() -> None:
    _, actions, _, propensities, policy = drawn(3, 40)
    chance = CHANCE[torch.arange(40) % 2].expand_as(actions)
    weights = importance_weights(policy, actions, propensities)
    rewards = (actions * chance).sum(-1)
    estimate = doubly_robust(weights, rewards, actions, policy, chance)
    torch.testing.assert_close(estimate.value, TRUTH.expand(3))
    assert (estimate.half_width < inverse_propensity(weights, rewards).half_width).all()


def test_self_normalised_does_not_mind_another_scale_of_the_propensities() -> None:
    _, actions, rewards, propensities, policy = drawn(3, 40)
    one, two = (
        self_normalised(importance_weights(policy, actions, scale * propensities), rewards) for scale in (1.0, 0.25)
    )
    torch.testing.assert_close(one.value, two.value)
    torch.testing.assert_close(one.half_width, two.half_width)
    assert ((one.value >= 0) & (one.value <= 1)).all()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    observations, actions, rewards, propensities, policy = drawn(4_000, 200)
    weights = importance_weights(policy, actions, propensities)
    predicted = predict_rewards(observations, actions, rewards)
    estimates = {
        "inverse propensity": inverse_propensity(weights, rewards),
        "self-normalised": self_normalised(weights, rewards),
        "doubly robust": doubly_robust(weights, rewards, actions, policy, predicted),
    }
    for name, estimate in estimates.items():
        assert abs(estimate.value.mean() - TRUTH) < 0.01, name
        assert 0.93 < estimate.covers(TRUTH).double().mean() < 0.97, name
    widths = [estimate.half_width.mean() for estimate in estimates.values()]
    assert widths[2] < widths[1] < widths[0]


def test_intervals_hold_the_truth_of_decisions_with_large_weights() -> None:
    """100 decisions that are as good as 15: normal intervals hold the truth of 91, 92 and 87 % of these logs."""
    observations, actions, rewards, propensities, policy = drawn(4_000, 100)
    policy = torch.nn.functional.one_hot(policy.argmax(-1), 3).double()
    truth = (policy[0, :2] * CHANCE).sum(1).mean()
    weights = importance_weights(policy, actions, propensities)
    assert 14 < effective_sample_size(weights).mean() < 17
    predicted = predict_rewards(observations, actions, rewards)
    for estimate in (
        inverse_propensity(weights, rewards),
        self_normalised(weights, rewards),
        doubly_robust(weights, rewards, actions, policy, predicted),
    ):
        assert 0.94 < estimate.covers(truth).double().mean() < 0.98


def test_equal_weights_are_as_many_as_they_are() -> None:
    assert effective_sample_size(torch.full((7,), 3.0)).item() == pytest.approx(7)
    assert effective_sample_size(torch.tensor([1.0, 0.0, 0.0])).item() == 1
    assert effective_sample_size(torch.zeros(3)).item() == 0


@pytest.mark.parametrize(("freedom", "quantile"), [(2, 4.3027), (5, 2.5706), (20, 2.0860), (100, 1.9840)])
def test_students_quantiles_are_those_of_tables(freedom: float, quantile: float) -> None:
    assert student_quantile(torch.tensor(float(freedom))).item() == pytest.approx(quantile, rel=0.01)


def test_predictions_are_ridge_regressions_on_the_other_folds() -> None:
    observations, actions, rewards, _, _ = drawn(1, 30)
    estimate = predict_rewards(observations, actions, rewards, folds=3)[0]
    others = torch.arange(30) % 3 != 1
    mean = rewards[0, others].mean()
    for action in range(3):
        rows = others & (actions[0, :, action] > 0)
        x = torch.nn.functional.pad(observations[0], (0, 1), value=1.0)
        solution = torch.linalg.solve(x[rows].T @ x[rows] + torch.eye(3), x[rows].T @ (rewards[0, rows] - mean))
        torch.testing.assert_close(estimate[~others, action], (x @ solution + mean)[~others])


def test_clipping_lowers_weights() -> None:
    weights = importance_weights(
        torch.tensor([[0.9, 0.1]]), torch.tensor([[1.0, 0.0]]), torch.tensor([0.01]), max_weight=20.0
    )
    assert weights.tolist() == [20.0]


def test_what_cannot_be_known_has_an_infinite_interval() -> None:
    one = inverse_propensity(torch.tensor([2.0]), torch.tensor([1.0]))
    assert (one.value.item(), one.half_width.item()) == (2.0, float("inf"))
    never = self_normalised(torch.zeros(3), torch.ones(3))
    assert (never.value.item(), never.half_width.item()) == (0.0, float("inf"))
    assert Estimate(torch.tensor(1.0), torch.tensor(0.5)).covers(torch.tensor(1.4))
