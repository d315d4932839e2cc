"""Heads against their formulas written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, adapt
from service_tests.learn.problem import Small, examples, schedule, small, tasks


def test_protonet_by_hand() -> None:
    problem = small("protonet")
    data = tasks(kind="classification")
    state, losses = adapt(problem.inner, problem.meta, data.support, schedule(steps=1))
    logits = problem.inner.apply(problem.meta, state, data.query.inputs)
    for task in range(4):
        supports, queries = (
            functional_call(problem.network, problem.meta, (part.inputs[task],)) for part in (data.support, data.query)
        )
        classes = data.support.targets[task].argmax(-1)
        for way in range(3):
            prototype = supports[classes == way].mean(0)
            for query in range(6):
                expected = -(queries[query] - prototype).square().sum()
                torch.testing.assert_close(logits[task, query, way], expected)
        torch.testing.assert_close(losses[task, 0], torch.tensor(3.0).double().log())


def test_tasks_of_unlike_ways_share_a_batch() -> None:
    """A column more, without examples, changes nothing but that it is there."""
    wide, narrow = small("protonet", ways=5), small("protonet", ways=3)
    few, many = (examples(2, 6, seed=1, kind="classification", ways=ways) for ways in (3, 5))
    states, losses = adapt(wide.inner, wide.meta, many, schedule(2))
    same, again = adapt(narrow.inner, narrow.meta, few, schedule(2))
    torch.testing.assert_close(losses, again, rtol=0, atol=1e-12)
    queries = examples(2, 4, seed=2).inputs
    logits, expected = wide.inner.apply(wide.meta, states, queries), narrow.inner.apply(narrow.meta, same, queries)
    torch.testing.assert_close(logits[..., :3], expected, rtol=0, atol=1e-12)
    assert (logits.softmax(-1)[..., 3:] == 0).all()


def embeddings(problem: Small, data: Examples, task: int) -> np.ndarray:
    """With a 1 behind each."""
    result = (
        functional_call(
            problem.network, {name: problem.meta[name] for name in problem.network.state_dict()}, (data.inputs[task],)
        )
        .detach()
        .numpy()
    )
    return np.concatenate([result, np.ones((len(result), 1))], axis=1)


@pytest.mark.parametrize("shots", [2, 4, 9], ids=["fewer than terms", "as many", "more"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_ridge_is_numpys_normal_equations(kind: str, shots: int) -> None:
    problem = small("ridge", kind=kind)
    for name, value in (("log_lambda", -1.0), ("log_scale", 0.5), ("bias", -0.3)):
        problem.meta[f"inner/head/{name}"].fill_(value)
    data = tasks(shots=shots, kind=kind)
    state, _ = adapt(problem.inner, problem.meta, data.support, schedule(steps=1))
    outputs = problem.inner.apply(problem.meta, state, data.query.inputs)
    for task in range(4):
        x, y = embeddings(problem, data.support, task), data.support.targets[task].numpy()
        weight = np.linalg.inv(x.T @ x + np.exp(-1.0) * np.eye(4)) @ x.T @ y
        expected = np.exp(0.5) * embeddings(problem, data.query, task) @ weight - 0.3
        seen = y.sum(0) > 0 if kind == "classification" else slice(None)
        np.testing.assert_allclose(outputs[task].numpy()[:, seen], expected[:, seen], atol=1e-10)


@pytest.mark.parametrize("name", ["alpaca", "ridge"])
def test_without_a_prior_it_is_least_squares(name: str) -> None:
    problem = small(name, kind="regression")
    if name == "ridge":
        problem.meta["inner/head/log_lambda"].fill_(-30)
    else:
        problem.meta["inner/head/prior_factor"].mul_(1e-7)
    data = tasks(shots=9)
    state, _ = adapt(problem.inner, problem.meta, data.support, schedule(steps=1))
    outputs = problem.inner.apply(problem.meta, state, data.query.inputs)
    for task in range(4):
        x, y = embeddings(problem, data.support, task), data.support.targets[task].numpy()
        expected = embeddings(problem, data.query, task) @ np.linalg.lstsq(x, y)[0]
        np.testing.assert_allclose(outputs[task].numpy(), expected, atol=1e-6)


def bayesian_problem() -> Small:
    """ALPaCA with a prior of every kind of number."""
    problem = small("alpaca")
    generator = torch.Generator().manual_seed(0)
    for name in ("prior_mean", "prior_factor", "log_noise"):
        kept = problem.meta[f"inner/head/{name}"]
        kept.add_(torch.randn(kept.shape, generator=generator, dtype=torch.float64) / 3)
    return problem


def test_alpaca_is_the_posterior_of_a_gaussian() -> None:
    """Mean and variance by conditioning the joint normal of all targets, without any weight being solved for."""
    problem = bayesian_problem()
    data = tasks()
    state, _ = adapt(problem.inner, problem.meta, data.support, schedule(steps=1))
    assert problem.inner.variance is not None
    outputs = problem.inner.apply(problem.meta, state, data.query.inputs)
    variances = problem.inner.variance(problem.meta, state, data.query.inputs)
    mean, root, log_noise = (
        problem.meta[f"inner/head/{name}"].numpy() for name in ("prior_mean", "prior_factor", "log_noise")
    )
    covariance, noise = np.linalg.inv(root @ root.T), np.exp(log_noise)
    for task in range(4):
        x, q = embeddings(problem, data.support, task), embeddings(problem, data.query, task)
        gain = q @ covariance @ x.T @ np.linalg.inv(x @ covariance @ x.T + np.eye(len(x)))
        expected = q @ mean + gain @ (data.support.targets[task].numpy() - x @ mean)
        spread = np.diag(q @ covariance @ q.T - gain @ x @ covariance @ q.T)
        np.testing.assert_allclose(outputs[task].numpy(), expected, atol=1e-10)
        np.testing.assert_allclose(variances[task].numpy(), np.outer(1 + spread, noise), atol=1e-10)


def test_alpaca_without_examples_is_its_prior() -> None:
    problem = bayesian_problem()
    state = problem.single.init(problem.meta)
    query = tasks().query
    mean = problem.meta["inner/head/prior_mean"].numpy()
    outputs = problem.single.apply(problem.meta, state, query.inputs[0])
    np.testing.assert_allclose(outputs.numpy(), embeddings(problem, query, 0) @ mean, atol=1e-10)


@pytest.mark.parametrize("name", ["alpaca", "ridge"])
def test_a_task_without_a_solution_is_not_finite_and_leaves_the_others_alone(name: str) -> None:
    problem = small(name, kind="regression")
    data = examples(2, 9, seed=1)
    data.inputs[0], data.targets[0] = torch.nan, 1e300
    state, losses = adapt(problem.inner, problem.meta, data, schedule(2, steps=1))
    assert not losses[0].isfinite().all()
    assert losses[1].isfinite().all()
    assert all(value[1].isfinite().all() for value in state.fast.values())


@pytest.mark.parametrize("name", ["protomaml", "foprotomaml"])
def test_protomaml_begins_as_protonet(name: str) -> None:
    protonet, ours = small("protonet"), small(name)
    data = tasks(kind="classification")
    state, _ = adapt(protonet.inner, protonet.meta, data.support, schedule(steps=1))
    start, losses = adapt(ours.inner, ours.meta, data.support, schedule(steps=0))
    logits, expected = (
        ours.inner.apply(ours.meta, start, data.query.inputs),
        protonet.inner.apply(protonet.meta, state, data.query.inputs),
    )
    torch.testing.assert_close(logits.softmax(-1), expected.softmax(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        losses[:, 0],
        vmap(protonet.loss)(
            protonet.inner.apply(protonet.meta, state, data.support.inputs), data.support.targets, data.support.mask
        ),
    )


def test_protomaml_then_moves_everything() -> None:
    problem = small("protomaml")
    data = tasks(kind="classification")
    start, _ = adapt(problem.inner, problem.meta, data.support, schedule(steps=0))
    after, losses = adapt(problem.inner, problem.meta, data.support, schedule(steps=3))
    assert (losses[:, -1] < losses[:, 0]).all()
    assert sorted(after.fast) == [
        "0.bias",
        "0.weight",
        "2.bias",
        "2.weight",
        "inner/head/bias",
        "inner/head/weight",
    ]
    assert all((after.fast[name] != start.fast[name]).any() for name in after.fast)


def test_protoanil_begins_as_protonet_and_moves_the_layer_on_top_alone() -> None:
    protonet, ours = small("protonet"), small("protoanil")
    data = tasks(kind="classification")
    prototypes, _ = adapt(protonet.inner, protonet.meta, data.support, schedule(steps=1))
    start, _ = adapt(ours.inner, ours.meta, data.support, schedule(steps=0))
    after, losses = adapt(ours.inner, ours.meta, data.support, schedule(steps=3))
    logits, expected = (
        ours.inner.apply(ours.meta, start, data.query.inputs),
        protonet.inner.apply(protonet.meta, prototypes, data.query.inputs),
    )
    torch.testing.assert_close(logits.softmax(-1), expected.softmax(-1), rtol=0, atol=1e-12)
    assert (losses[:, -1] < losses[:, 0]).all()
    assert sorted(after.fast) == ["inner/head/bias", "inner/head/weight"]
    assert all((after.fast[name] != start.fast[name]).any() for name in after.fast)


@pytest.mark.parametrize("ways", [2, 3])
def test_a_step_of_protoanil_is_times_the_number_of_classes(ways: int) -> None:
    """So that the mean over all examples does not shorten it where there are many classes."""
    by_class = ALGORITHMS["protoanil"]
    plain = replace(by_class, by_class=False)
    data = tasks(kind="classification").support
    data = data._replace(mask=data.mask & (data.targets.argmax(-1) < ways))
    moves = []
    for algorithm in (by_class, plain):
        problem = small(algorithm, kind="classification")
        start, after = (adapt(problem.inner, problem.meta, data, schedule(steps=steps))[0] for steps in (0, 1))
        moves.append(after.fast["inner/head/bias"] - start.fast["inner/head/bias"])
    assert isinstance(start.counts, Tensor)
    classes = (start.counts > 0).sum(-1, keepdim=True)
    torch.testing.assert_close(moves[0], classes * moves[1])
    assert moves[1].abs().max() > 0
