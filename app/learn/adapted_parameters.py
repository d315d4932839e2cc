"""Which parameters of a network move in the inner loop: functions from the network to their names.

The head of a network is its last direct child with parameters; the body is all the rest.
"""

from collections.abc import Callable

from torch import nn

from app.errors import expectation

Partition = Callable[[nn.Module], frozenset[str]]
"""Network -> names of its `state_dict`. Raises ValueError if the network does not have that part."""


def everything(network: nn.Module) -> frozenset[str]:
    """Every parameter (MAML)."""
    return frozenset(name for name, _ in network.named_parameters())


def nothing(network: nn.Module) -> frozenset[str]:
    """No parameter: only a layer moves that is put on top of the network."""
    return frozenset()


def head(network: nn.Module) -> frozenset[str]:
    """The last layer (ANIL: Raghu et al. 2020)."""
    children = [name for name, child in network.named_children() if any(True for _ in child.parameters())]
    if not children:
        raise ValueError(expectation("network", "at least 1 layer as a child module, which is the head", "none"))
    return frozenset(name for name in everything(network) if name.startswith(f"{children[-1]}."))


def body(network: nn.Module) -> frozenset[str]:
    """All but the last layer (BOIL: Oh et al. 2021)."""
    return everything(network) - head(network)


def context(network: nn.Module) -> frozenset[str]:
    """The parameter `context`, which the network appends to its inputs (CAVIA: Zintgraf et al. 2019)."""
    if "context" not in everything(network):
        raise ValueError(expectation("network", "a parameter `context`", "none", "use the network `context_mlp`"))
    return frozenset({"context"})
