"""Normalising by the support set against `torch.nn.functional.batch_norm`, and the independence that it is for."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from app.learn.algorithms import ALGORITHMS
from app.learn.inner import Examples, InnerLoop, Schedule, State, adapt, batched, final_states
from app.learn.losses import mean_cross_entropy, mean_squared_error
from app.learn.networks import build, initialize, width
from app.learn.support_norm import SupportNorm, moments, support_statistics, with_statistics
from app.learn.update_rules import Params
from service_tests.device import to_device

SIDE, WAYS = 8, 3
OPTIONS = {"side": SIDE, "filters": 4, "blocks": 2, "norm": "support"}


def network(outputs: int | None = None) -> tuple[nn.Module, Params]:
    """A small one, and parameters in float64."""
    options = OPTIONS if outputs is None else OPTIONS | {"outputs": outputs}
    params = to_device(initialize("conv4", options, seed=0))
    return build("conv4", options), {name: value.double() for name, value in params.items()}


def loop(algorithm: str) -> tuple[InnerLoop[State], Params]:
    """Its inner loop over many tasks."""
    chosen = ALGORITHMS[algorithm]
    form, params = network(None if chosen.embeds else WAYS)
    sizes = WAYS, width(form, SIDE * SIDE)
    meta = chosen.initial_meta(form, params, *sizes, 0.1, 2)
    inner = chosen.inner_loop(form, mean_cross_entropy, ways=WAYS, targets=WAYS, width=sizes[1])
    return batched(inner), {name: value.double() for name, value in meta.items()}


def images(tasks: int, shots: int, seed: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(tasks, shots, SIDE * SIDE, generator=generator, dtype=torch.float64)
    targets = torch.eye(WAYS, dtype=torch.float64)[torch.arange(shots) % WAYS].expand(tasks, -1, -1)
    return Examples(inputs, targets, torch.ones(tasks, shots, dtype=torch.bool))


def prepared(inner: InnerLoop[State], meta: Params, support: Examples) -> State:
    """The states before the first step."""
    return final_states(inner, meta, support, Schedule(torch.zeros(2), torch.zeros(2, dtype=torch.int64), 0))


def test_the_support_set_itself_is_normalised_as_by_batch_norm() -> None:
    form, params = network()
    support = images(1, 6)
    one = Examples(*(part[0] for part in support[:3]))
    support_params = {**params, **support_statistics(form, params, one)}

    def by_torch(value: Tensor) -> Tensor:
        for name, layer in form.named_children():
            own = {key.split(".")[1]: param for key, param in params.items() if key.startswith(f"{name}.")}
            if isinstance(layer, SupportNorm):
                value = nn.functional.batch_norm(value, None, None, own["weight"], own["bias"], training=True)
            else:
                value = functional_call(layer, own, (value,))
        return value

    torch.testing.assert_close(functional_call(form, support_params, (one.inputs,)), by_torch(one.inputs))


def test_moments_are_of_the_real_images_alone() -> None:
    drawn = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([True, False, True, True, False])
    drawn[~mask] = torch.nan
    mean, variance = moments(drawn, mask)
    real = drawn[mask].transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean, real.mean(1))
    torch.testing.assert_close(variance, real.var(1, unbiased=False))


@pytest.mark.parametrize("algorithm", ["protonet", "ridge", "maml", "metasgd", "foprotomaml"])
def test_no_query_depends_on_another_nor_on_padding(algorithm: str) -> None:
    """Promise 2, which batch normalisation would break."""
    inner, meta = loop(algorithm)
    support, queries = images(2, 6), images(2, 5, seed=1).inputs
    steps = 1 if ALGORITHMS[algorithm].closed_form else 2
    plan = Schedule(torch.full((2,), 0.1, dtype=torch.float64), torch.full((2,), steps), steps)
    state, losses = adapt(inner, meta, support, plan)
    together = inner.apply(meta, state, queries)
    assert not torch.allclose(together[:, 0], together[:, 1]), "the outputs depend on the query"
    torch.testing.assert_close(inner.apply(meta, state, queries[:, 2:3]), together[:, 2:3])
    padded = Examples(
        torch.cat([support.inputs, torch.full((2, 2, SIDE * SIDE), 7.0, dtype=torch.float64)], 1),
        torch.cat([support.targets, torch.zeros(2, 2, WAYS, dtype=torch.float64)], 1),
        torch.cat([support.mask, torch.zeros(2, 2, dtype=torch.bool)], 1),
    )
    same, again = adapt(inner, meta, padded, plan)
    torch.testing.assert_close(again, losses)
    torch.testing.assert_close(inner.apply(meta, same, queries), together)
    other = adapt(inner, meta, images(2, 6, seed=2), plan)[0]
    assert not torch.equal(other.statistics["2.mean"], state.statistics["2.mean"]), "they are of the support set"


@pytest.mark.parametrize("algorithm", ["protonet", "maml", "foprotomaml"])
def test_an_algorithm_prepares_its_state_as_without_normalisation(algorithm: str) -> None:
    inner, meta = loop(algorithm)
    support = images(2, 4)
    state = prepared(inner, meta, support)
    torch.testing.assert_close(torch.as_tensor(state.counts), support.targets.sum(1))


def test_a_head_from_prototypes_has_those_of_the_normalised_embeddings() -> None:
    probabilities = []
    for algorithm in ("protonet", "foprotomaml"):
        inner, meta = loop(algorithm)
        steps = int(ALGORITHMS[algorithm].closed_form)
        plan = Schedule(torch.zeros(2, dtype=torch.float64), torch.full((2,), steps), steps)
        state = final_states(inner, meta, images(2, 4), plan)
        probabilities.append(inner.apply(meta, state, images(2, 5, seed=1).inputs).softmax(-1))
    torch.testing.assert_close(*probabilities)


def test_a_regression_prepares_only_its_statistics() -> None:
    form, params = network(WAYS)
    inner = batched(ALGORITHMS["maml"].inner_loop(form, mean_squared_error))
    support = images(2, 4)
    state = prepared(inner, params, support)
    for task in range(2):
        expected = support_statistics(form, params, Examples(*(part[task] for part in support[:3])))
        torch.testing.assert_close({name: value[task] for name, value in state.statistics.items()}, expected)


@pytest.mark.parametrize("algorithm", ["protonet", "maml"])
def test_the_meta_gradient_flows_through_the_statistics(algorithm: str) -> None:
    inner, meta = loop(algorithm)
    support, query = images(2, 6), images(2, 4, seed=1)
    plan = Schedule(torch.full((2,), 0.1, dtype=torch.float64), torch.ones(2, dtype=torch.int64), 1)

    def outer_loss(kernel: Tensor) -> Tensor:
        moved = {**meta, "1.weight": kernel}
        outputs = inner.apply(moved, final_states(inner, moved, support, plan), query.inputs)
        return outputs.log_softmax(-1)[..., 0].mean()

    gradient, small = grad(outer_loss)(meta["1.weight"]), 1e-6
    for place in ((0, 0, 0, 0), (3, 0, 2, 1)):
        step = torch.zeros_like(meta["1.weight"])
        step[place] = small
        expected = (outer_loss(meta["1.weight"] + step) - outer_loss(meta["1.weight"] - step)) / (2 * small)
        torch.testing.assert_close(gradient[place], expected, rtol=1e-4, atol=1e-9)


def test_a_network_without_such_layers_is_left_as_it_is() -> None:
    form = build("mlp", {"inputs": 2, "outputs": 1})
    inner = ALGORITHMS["maml"].inner_loop(form, mean_cross_entropy)
    assert with_statistics(inner, form) is inner


@pytest.mark.parametrize("algorithm", ["maml", "anil", "ridge"])
def test_without_examples_the_statistics_stay_those_of_the_initialization(algorithm: str) -> None:
    inner, meta = loop(algorithm)
    support = images(2, 4)
    none = support._replace(mask=torch.zeros_like(support.mask), declared=torch.ones(2, WAYS, dtype=torch.bool))
    states, losses = adapt(inner, meta, none, Schedule(torch.full((2,), 0.1), torch.ones(2, dtype=torch.int64), 1))
    assert not losses.any()
    initial = inner.init(meta)
    for part in ("fast", "statistics"):
        for name, value in getattr(states, part).items():
            torch.testing.assert_close(value, getattr(initial, part)[name].expand_as(value))
