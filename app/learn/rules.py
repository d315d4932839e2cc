"""How parameters move in the inner loop: pairs of pure functions, as in optax.

state = rule.init(params)
updates, state = rule.update(gradients, state, rate)
params = params + updates
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from app.learn.shapes import Float

Params = dict[str, Tensor]
"""The parameters of a network by the names of its `state_dict`."""


class Rule(NamedTuple):
    """`init` makes what the rule remembers between steps (a pytree); `update` turns gradients into updates."""

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Tensor], tuple[Params, Any]]


def sgd() -> Rule:
    """Gradient descent, `-rate * gradient`: what `torch.optim.SGD` does without momentum."""

    def init(params: Params) -> dict[str, Tensor]:
        return {}

    def update(
        gradients: Params, state: dict[str, Tensor], rate: Float[Tensor, ""]
    ) -> tuple[Params, dict[str, Tensor]]:
        return {name: -rate * gradient for name, gradient in gradients.items()}, state

    return Rule(init, update)
