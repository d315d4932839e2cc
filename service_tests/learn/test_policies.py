"""Policies against torch's own distributions, a plain loop in numpy, and autograd by hand."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal
from torch.func import functional_call

from app.learn import policies
from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, adapt, batched
from app.learn.losses import KINDS
from app.learn.outer_directions import Tasks, query_gradient
from service_tests.learn.problem import RATE, examples, schedule, small

OBSERVED, LENGTHS = 2, [5, 1, 3]
"""Numbers in an observation; decisions in each of a task's episodes."""


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
        with pytest.raises(ValueError, match=r"expected 2 outputs \(a logit for each action\) or 4"):
            policies.is_gaussian(outputs, 2)

    @pytest.mark.parametrize(
        ("outputs", "numbers", "says"),
        [
            (2, True, "expected 4 outputs for actions of 2 numbers, got 2"),
            (4, False, "expected 2 outputs for 2 discrete actions, got 4"),
        ],
    )
    def test_names_take_logits_and_numbers_a_mean_and_a_deviation(self, outputs: int, numbers: bool, says: str) -> None:
        policies.check(outputs, 2, not numbers)
        with pytest.raises(ValueError, match=says):
            policies.check(outputs, 2, numbers)


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
