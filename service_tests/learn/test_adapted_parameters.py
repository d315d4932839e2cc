import pytest
from torch import nn

from app.learn.adapted_parameters import body, context, everything, head
from app.learn.networks import build


def test_head_and_body_of_a_perceptron() -> None:
    network = build("mlp", {"inputs": 1, "outputs": 1})
    assert head(network) == {"4.weight", "4.bias"}
    assert body(network) | head(network) == everything(network) == set(network.state_dict())
    assert not body(network) & head(network)


def test_the_head_is_the_last_child_that_has_parameters() -> None:
    network = nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 3)), nn.Flatten())
    assert head(network) == {"1.1.weight", "1.1.bias"}


def test_buffers_do_not_move() -> None:
    assert everything(nn.BatchNorm1d(3)) == {"weight", "bias"}


def test_a_network_of_one_layer_has_no_head_apart() -> None:
    with pytest.raises(ValueError, match="at least 1 layer as a child module, which is the head, got none"):
        head(nn.Linear(1, 1))


def test_the_context() -> None:
    assert context(build("context_mlp", {"inputs": 1, "outputs": 1})) == {"context"}
    with pytest.raises(ValueError, match="expected a parameter `context`, got none"):
        context(nn.Linear(1, 1))
