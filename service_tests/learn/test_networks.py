from typing import Any

import pytest
import torch
from torch.func import functional_call

from app.learn.networks import NETWORKS, build, initialize

OPTIONS: dict[str, dict[str, Any]] = {
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
