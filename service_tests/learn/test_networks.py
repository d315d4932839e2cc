from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

from app.learn.networks import NETWORKS, build, initialize

OPTIONS: dict[str, dict[str, Any]] = {
    "conv": {"outputs": 2, "side": 1, "channels": 3, "filters": 4, "blocks": 2},
    "linear": {"inputs": 3, "outputs": 2},
    "mlp": {"inputs": 3, "outputs": 2, "hidden": [5, 4]},
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_built_and_initialized_fit_each_other(name: str) -> None:
    network, params = build(name, OPTIONS[name]), initialize(name, OPTIONS[name], seed=0)
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in params.items()
    }
    assert functional_call(network, params, (torch.ones(7, 3),)).shape == (7, 2)


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
    network, params = build("conv", options), initialize("conv", options, seed=0)
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
