"""Networks by name. A bundle names one with its options; `build` makes it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from app.learn.rules import Params


def mlp(inputs: int, outputs: int, hidden: Sequence[int] = (40, 40)) -> nn.Sequential:
    """A perceptron with ReLU between its layers; [batch, inputs] -> [batch, outputs].

    Two hidden layers of 40 are those of Finn et al. 2017 for regression.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], outputs))


def linear(inputs: int, outputs: int) -> nn.Linear:
    """`y = W x + b`; [batch, inputs] -> [batch, outputs]."""
    return nn.Linear(inputs, outputs)


def conv(outputs: int, side: int, channels: int = 1, filters: int = 64, blocks: int = 4) -> nn.Sequential:
    """Blocks of a 3 x 3 convolution of stride 2 and ReLU, then a linear layer; [batch, pixels] -> [batch, outputs].

    An input is a flat image: channel by channel, row by row. Four blocks of 64 filters that stride, where others pool,
    are those of Finn et al. 2017 for Omniglot, here without normalisation.
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (channels, side, side))]
    for before in [channels, *[filters] * (blocks - 1)]:
        layers += [nn.Conv2d(before, filters, kernel_size=3, stride=2, padding=1), nn.ReLU()]
        side = (side + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * side * side, outputs))


NETWORKS: dict[str, Callable[..., nn.Module]] = {"conv": conv, "linear": linear, "mlp": mlp}


def build(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The form of a network without its parameters (on the meta device): give them with each call.

    Raises KeyError for an unknown name and TypeError for options the network does not have.
    """
    with torch.device("meta"):
        return NETWORKS[name](**options)


def initialize(name: str, options: Mapping[str, Any], seed: int) -> Params:
    """Fresh parameters, drawn as the network's layers draw them. The global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {key: value.detach() for key, value in NETWORKS[name](**options).state_dict().items()}
