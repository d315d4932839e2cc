"""Which parameters of a network move in the inner loop: a function from the network to their names.

The head of a network is its last direct child that has parameters, the body is all the rest. That fits any module, and
`torch.nn.Sequential` most plainly.
"""

from collections.abc import Callable

from torch import nn

Partition = Callable[[nn.Module], frozenset[str]]
"""Network -> names of its `state_dict`. Raises ValueError where the network has no such part."""


def everything(network: nn.Module) -> frozenset[str]:
    """Every parameter (MAML)."""
    return frozenset(name for name, _ in network.named_parameters())


def head(network: nn.Module) -> frozenset[str]:
    """The last layer (ANIL: Raghu et al. 2020)."""
    children = [name for name, child in network.named_children() if any(True for _ in child.parameters())]
    if not children:
        raise ValueError("a network without layers inside has no head that could move apart from its body")
    return frozenset(name for name in everything(network) if name.startswith(f"{children[-1]}."))


def body(network: nn.Module) -> frozenset[str]:
    """All but the last layer (BOIL: Oh et al. 2021)."""
    return everything(network) - head(network)


def context(network: nn.Module) -> frozenset[str]:
    """The parameter `context`, which the network takes beside its inputs (CAVIA: Zintgraf et al. 2019)."""
    if "context" not in everything(network):
        raise ValueError("the network has no parameter `context`; `context_mlp` has one")
    return frozenset({"context"})
