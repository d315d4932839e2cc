import pytest
import torch
from torch import Tensor
from torch.func import grad

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, batched
from app.learn.losses import mean_weighted_nll
from app.learn.networks import build, initialize
from app.learn.on_policy_losses import clipped_loss, decision_targets, divergence, ratio_loss, stage_losses
from app.learn.policies import log_likelihood
from app.learn.update_rules import Params
from service_tests.device import to_device

OPTIONS = {"inputs": 2, "actions": 2, "hidden": [5], "deviation": 0.5}
FORM = build("gaussian_mlp", OPTIONS)
RATE = 0.3


def parameters(seed: int = 0) -> Params:
    return {name: value.double() for name, value in to_device(initialize("gaussian_mlp", OPTIONS, seed)).items()}


def outputs(params: Params, inputs: Tensor) -> Tensor:
    result: Tensor = torch.func.functional_call(FORM, params, (inputs,))
    return result


def decisions(policies: list[Params], seed: int, count: int = 6) -> Examples:
    """Decisions of a policy for each task, of which the last is padding, with some advantages."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(len(policies), count, 2, generator=generator, dtype=torch.float64)
    policy_outputs = torch.stack([outputs(each, seen) for each, seen in zip(policies, inputs, strict=True)]).detach()
    noise = torch.randn(policy_outputs[..., :2].shape, generator=generator, dtype=torch.float64)
    actions = policy_outputs[..., :2] + policy_outputs[..., 2:].exp() * noise
    weights = torch.randn(policy_outputs.shape[:-1], generator=generator, dtype=torch.float64)
    mask = torch.ones(policy_outputs.shape[:-1], dtype=torch.bool)
    mask[:, -1] = False
    return Examples(inputs, decision_targets(actions, log_likelihood(policy_outputs, actions), weights), mask)


def by_hand(params: Params, data: Examples, task: int) -> Tensor:
    """Minus the mean of ratio times advantage, in plain autograd."""
    shown = data.mask[task]
    targets = data.targets[task][shown]
    likely = log_likelihood(outputs(params, data.inputs[task][shown]), targets[:, :2])
    return -((likely - targets[:, 2]).exp() * targets[:, 3]).mean()


def test_its_gradient_is_the_policy_gradient_that_is_served() -> None:
    params = parameters()
    data = decisions([params], seed=1)
    inputs, targets, mask = (part[0] for part in data[:3])
    served = torch.cat([targets[:, :2], targets[:, 3:]], 1)
    gradients = grad(lambda params: ratio_loss(outputs(params, inputs), targets, mask))(params)
    expected = grad(lambda params: mean_weighted_nll(outputs(params, inputs), served, mask))(params)
    for name, value in gradients.items():
        torch.testing.assert_close(value, expected[name])


def test_the_meta_gradient_of_two_stages_is_plain_autograds() -> None:
    """Two inner steps, each on decisions of the policy before it, and the loss of those after: in float64, by hand."""
    meta = {name: value.requires_grad_() for name, value in parameters().items()}
    first = decisions([meta, meta], seed=1)
    moved = []
    for task in range(2):
        gradients = torch.autograd.grad(by_hand(meta, first, task), list(meta.values()), create_graph=True)
        moved.append({name: old - RATE * each for (name, old), each in zip(meta.items(), gradients, strict=True)})
    second = decisions(moved, seed=2)
    twice = []
    for task, params in enumerate(moved):
        gradients = torch.autograd.grad(by_hand(params, second, task), list(params.values()), create_graph=True)
        twice.append({name: old - RATE * each for (name, old), each in zip(params.items(), gradients, strict=True)})
    third = decisions(twice, seed=3)
    losses = [by_hand(moved[task], second, task) + by_hand(twice[task], third, task) for task in range(2)]
    expected = torch.autograd.grad(torch.stack(losses).sum(), list(meta.values()))

    inner = batched(ALGORITHMS["maml"].inner_loop(FORM, ratio_loss))
    rate = torch.full((2,), RATE, dtype=torch.float64)
    plain = {name: value.detach() for name, value in meta.items()}
    gradients = grad(lambda meta: stage_losses(inner, meta, [first, second, third], rate, 1, clip=0.2).loss.sum())(
        plain
    )
    for (name, value), gradient in zip(gradients.items(), expected, strict=True):
        torch.testing.assert_close(value, gradient, msg=name)


def test_policies_that_have_not_moved_are_not_apart() -> None:
    meta = parameters()
    inner = batched(ALGORITHMS["maml"].inner_loop(FORM, ratio_loss))
    data = decisions([meta], seed=1)
    still = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(stage_losses(inner, meta, [data, data], still, 1, 0.2).divergence, still[None])
    other = stage_losses(inner, parameters(seed=1), [data, data], still, 1, 0.2)
    assert other.divergence.item() > 0


def test_the_divergence_is_that_of_kullback_and_leibler() -> None:
    """Between two normal distributions, in closed form, by many decisions."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(200_000, 1, generator=generator)
    old = torch.tensor([0.0, 0.0]).expand(len(actions), 2)
    new = torch.tensor([0.3, 0.2]).expand(len(actions), 2)
    likely = log_likelihood(old, actions)
    targets, mask = (
        decision_targets(actions, likely, torch.zeros(len(actions))),
        torch.ones(len(actions), dtype=torch.bool),
    )
    variance = torch.tensor(0.4).exp()
    closed = 0.2 + (1 + 0.3**2) / (2 * variance) - 0.5
    torch.testing.assert_close(divergence(new, targets, mask), closed, rtol=0.02, atol=0)


@pytest.mark.parametrize(("advantage", "shift"), [(1.0, 1.0), (-1.0, -1.0)])
def test_there_is_nothing_to_gain_by_ratios_far_from_one(advantage: float, shift: float) -> None:
    logits, actions = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    targets = decision_targets(actions, log_likelihood(logits, actions), torch.tensor([advantage]))
    slope = grad(lambda logits: clipped_loss(logits, targets, torch.ones(1, dtype=torch.bool), clip=0.2))
    assert slope(logits).norm() > 0
    assert slope(torch.tensor([[shift, 0.0]])).norm() == 0
    assert slope(torch.tensor([[-shift, 0.0]])).norm() > 0, "back to where it was"


def test_tasks_do_not_mix() -> None:
    meta = parameters()
    inner = batched(ALGORITHMS["maml"].inner_loop(FORM, ratio_loss))
    data = [decisions([meta, meta], seed) for seed in (1, 2)]
    rate = torch.full((2,), RATE, dtype=torch.float64)
    both = stage_losses(inner, meta, data, rate, 1, 0.2)
    alone = stage_losses(inner, meta, [Examples(*(part[:1] for part in each[:3])) for each in data], rate[:1], 1, 0.2)
    torch.testing.assert_close(both.loss[:, :1], alone.loss)
