"""The algorithms, each a composition of four choices:

which parameters move in the inner loop (`moves`), how they move (`rule`), what flows back through the steps
(`first_order`) and how the outer loop moves (`outer`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.func import grad_and_value

from app.learn.inner import InnerLoop, State, gradient_descent
from app.learn.losses import Loss
from app.learn.outer import Outer, displacement, mean_of_adapted, query_gradient
from app.learn.rules import Rule, sgd


def everything(name: str) -> bool:
    """Move every parameter."""
    return True


@dataclass(frozen=True)
class Algorithm:
    """A composition (module docstring)."""

    outer: Outer
    moves: Callable[[str], bool] = everything
    rule: Rule = field(default_factory=sgd)
    first_order: bool = False

    def inner_loop(
        self, network: nn.Module, loss: Loss, differentiate: Callable[..., Any] = grad_and_value
    ) -> InnerLoop[State]:
        """Bind the algorithm to a network and a loss. differentiate: as for `gradient_descent`."""
        return gradient_descent(network, loss, self.rule, self.moves, self.first_order, differentiate)


ALGORITHMS: dict[str, Algorithm] = {
    # Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"
    "maml": Algorithm(query_gradient),
    # the same, section 5.2: the gradient at the adapted parameters, without the second derivatives
    "fomaml": Algorithm(query_gradient, first_order=True),
    # Nichol et al. 2018, "On First-Order Meta-Learning Algorithms"
    "reptile": Algorithm(displacement),
    # the next parameters are the mean of the adapted ones
    "averaging": Algorithm(mean_of_adapted),
}
