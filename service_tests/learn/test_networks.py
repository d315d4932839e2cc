from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

from app.learn.networks import ACTIVATIONS, NETWORKS, NORMS, build, initialize, width
from service_tests.device import to_device

OPTIONS: dict[str, dict[str, Any]] = {
    "context_mlp": {"inputs": 3, "outputs": 2, "context": 4},
    "conv4": {"outputs": 2, "side": 1, "channels": 3, "filters": 8, "blocks": 2, "pool": False},
    "conv": {"outputs": 2, "side": 1, "channels": 3, "filters": 4, "blocks": 2},
    "ensemble": {
        "inputs": 3,
        "width": 1,
        "members": [{"pooled": "mixture"}, {"features": "linear", "outputs": 1}],
        "trees": {"trees": 2, "nodes": 3, "depth": 1},
    },
    "gaussian_mlp": {"inputs": 3, "actions": 1, "hidden": [5]},
    "linear_map": {"size": 3},
    "linear": {"inputs": 3, "outputs": 2},
    "mlp": {"inputs": 3, "outputs": 2, "hidden": [5, 4]},
    "stem_conv4": {"side": 1, "channels": 3, "filters": [2]},
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_built_and_initialized_fit_each_other(name: str) -> None:
    network, params = build(name, OPTIONS[name]), to_device(initialize(name, OPTIONS[name], seed=0))
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in params.items()
    }
    outputs = OPTIONS[name].get("size", 2)
    assert functional_call(network, params, (torch.ones(7, 3),)).shape == (7, outputs)


def test_a_linear_map_begins_with_inputs_as_they_are() -> None:
    network, inputs = build("linear_map", {"size": 3, "scale": 2.0}), torch.randn(4, 3)
    params = initialize("linear_map", {"size": 3, "scale": 2.0}, seed=0)
    torch.testing.assert_close(functional_call(network, params, (inputs,)), 2 * inputs)


def test_the_seed_decides_and_the_global_generator_stays() -> None:
    before = torch.get_rng_state()
    one, two, other = (initialize("mlp", OPTIONS["mlp"], seed) for seed in (0, 0, 1))
    assert torch.equal(one["0.weight"], two["0.weight"])
    assert not torch.equal(one["0.weight"], other["0.weight"])
    assert torch.equal(before, torch.get_rng_state())


def test_mlp_is_mamls() -> None:
    shapes = [tuple(value.shape) for value in initialize("mlp", {"inputs": 1, "outputs": 1}, 0).values()]
    assert shapes == [(40, 1), (40,), (40, 40), (40,), (1, 40), (1,)]


def test_conv_is_four_strided_convolutions_and_takes_flat_images_channel_by_channel() -> None:
    options = {"outputs": 5, "side": 28, "channels": 2}
    network, params = build("conv", options), to_device(initialize("conv", options, seed=0))
    inputs = images = torch.rand(3, 2, 28, 28)
    for layer in (1, 3, 5, 7):
        weight, bias = params[f"{layer}.weight"], params[f"{layer}.bias"]
        assert weight.shape == (64, 2 if layer == 1 else 64, 3, 3)
        images = nn.functional.conv2d(images, weight, bias, stride=2, padding=1).relu()
    expected = nn.functional.linear(images.flatten(1), params["10.weight"], params["10.bias"])
    assert torch.equal(functional_call(network, params, (inputs.flatten(1),)), expected)


@pytest.mark.parametrize("side", [1, 2, 5, 28])
def test_conv_takes_any_side(side: int) -> None:
    network = build("conv", {"outputs": 1, "side": side, "filters": 3})
    assert network(torch.empty(2, side * side, device="meta")).shape == (2, 1)


def test_stem_conv4_strides_once_and_then_pools_before_it_normalises() -> None:
    network, params = build("stem_conv4", {}), to_device(initialize("stem_conv4", {}, seed=0))
    inputs = images = torch.rand(3, 1, 28, 28)
    images = nn.functional.conv2d(images, params["1.weight"], params["1.bias"], stride=2, padding=2)
    for norm, convolution, width_before in ((2, 4, 64), (6, 8, 64), (10, 12, 128)):
        assert images.shape[1] == width_before
        scale, shift = params[f"{norm}.weight"], params[f"{norm}.bias"]
        images = nn.functional.group_norm(images, 1, scale, shift).relu()
        images = nn.functional.conv2d(images, params[f"{convolution}.weight"], params[f"{convolution}.bias"], padding=1)
        images = nn.functional.max_pool2d(images, 2)
    assert images.shape == (3, 128, 1, 1)
    assert torch.equal(functional_call(network, params, (inputs.flatten(1),)), images.flatten(1))


@pytest.mark.parametrize(("pool", "numbers"), [(True, 64), (False, 256)])
@pytest.mark.parametrize("norm", sorted(NORMS))
def test_conv4_embeds_an_image_alone(norm: str, pool: bool, numbers: int) -> None:
    """Whatever else is in the call, an embedding is the same (promise 2)."""
    options = {"norm": norm, "pool": pool}
    network, params = build("conv4", options), to_device(initialize("conv4", options, seed=0))
    assert width(network, 784) == numbers
    images = torch.rand(3, 784, generator=torch.Generator().manual_seed(0))
    together = functional_call(network, params, (images,))
    torch.testing.assert_close(functional_call(network, params, (images[1:2],)), together[1:2], rtol=1e-5, atol=1e-5)


def test_an_mlp_without_outputs_embeds() -> None:
    assert width(build("mlp", {"inputs": 3, "hidden": [7, 5]}), 3) == 5


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_an_mlp_may_have_another_activation(activation: str) -> None:
    options = {"inputs": 3, "outputs": 2, "hidden": [5], "activation": activation}
    network, params = build("mlp", options), to_device(initialize("mlp", options, seed=0))
    inputs = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    hidden = getattr(nn.functional, activation)(nn.functional.linear(inputs, params["0.weight"], params["0.bias"]))
    expected = nn.functional.linear(hidden, params["2.weight"], params["2.bias"])
    torch.testing.assert_close(functional_call(network, params, (inputs,)), expected)


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="activation: expected one of relu, silu, tanh, got 'step'"):
        build("mlp", {"inputs": 1, "activation": "step"})
    with pytest.raises(
        ValueError, match="normalisation: expected one of group, instance, layer, none, support, got 'batch'"
    ):
        build("conv4", {"norm": "batch"})


def test_the_context_stands_beside_the_inputs() -> None:
    options = {"inputs": 3, "outputs": 2, "hidden": [5], "context": 4}
    network, params = build("context_mlp", options), to_device(initialize("context_mlp", options, seed=0))
    assert not params["context"].any()
    params["context"] = torch.arange(4.0)
    inputs = torch.rand(6, 3)
    hidden = nn.functional.linear(
        torch.cat([inputs, torch.arange(4.0).expand(6, 4)], dim=1), params["layers.0.weight"], params["layers.0.bias"]
    )
    expected = nn.functional.linear(hidden.relu(), params["layers.2.weight"], params["layers.2.bias"])
    torch.testing.assert_close(functional_call(network, params, (inputs,)), expected)


def test_any_module_by_its_import_path() -> None:
    assert isinstance(build("torch.nn:Linear", {"in_features": 2, "out_features": 3}), nn.Linear)
    assert sorted(initialize("torch.nn:Linear", {"in_features": 2, "out_features": 3}, seed=0)) == ["bias", "weight"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unheard-of", "network: expected one of .*, got 'unheard-of'"),
        (
            "no.such.module:Net",
            r"network: expected a module that can be imported, got no\.such\.module \(\"ModuleNotFoundError: No module",
        ),
        ("torch.nn:Unheard", "network: expected a class of the module torch.nn, got Unheard, which does not exist$"),
        ("os:system", "network: expected a subclass of torch.nn.Module, got "),
        ("torch.nn.functional:relu", "network: expected a subclass of torch.nn.Module, got "),
    ],
)
def test_what_is_no_network_is_not_called(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(name, {})


def test_options_that_a_network_does_not_take_are_refused_with_those_that_it_takes() -> None:
    for options, problem in (
        ({"inputs": 1, "depth": 2}, "inputs, depth: depth is unknown"),
        ({"outputs": 1}, "outputs: inputs is missing"),
        ({"foo": 1}, "foo: foo is unknown, inputs is missing"),
        ({}, "none: inputs is missing"),
    ):
        with pytest.raises(ValueError, match=f"'mlp': expected inputs, outputs, hidden, activation, got {problem}$"):
            build("mlp", options)
    with pytest.raises(ValueError, match=r"expected in_features, out_features, .*: foo is unknown$"):
        initialize("torch.nn:Linear", {"in_features": 2, "out_features": 3, "foo": 1}, seed=0)


def test_a_constructor_that_fails_keeps_its_cause() -> None:
    with pytest.raises(ValueError, match=r"'torch\.nn:Linear' cannot be built: TypeError: ") as caught:
        build("torch.nn:Linear", {"in_features": "one", "out_features": 3})
    assert isinstance(caught.value.__cause__, TypeError)


def test_width_refuses_what_is_no_row_of_numbers() -> None:
    with pytest.raises(
        ValueError, match=r'^features: expected the number of features .* takes, got 2: the network fails with "'
    ):
        width(build("mlp", {"inputs": 3, "outputs": 1}), 2)
    with pytest.raises(ValueError, match="a row of numbers"):
        width(build("torch.nn:Unflatten", {"dim": 1, "unflattened_size": [1, 2]}), 2)
