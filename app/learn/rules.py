"""How parameters move in the inner loop: pure functions, as in optax.

state = rule.init(params)
updates, state = rule.update(gradients, state, rate, meta)
params = params + updates

What a rule learns besides, such as rates, is in `meta` under names that begin with LEARNED.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from app.learn.shapes import Float

Params = dict[str, Tensor]
"""The parameters of a network by the names of its `state_dict`, and what an algorithm learns besides."""
LEARNED = "inner/"
"""Names that begin so are an algorithm's: no network has a parameter with a slash in its name."""


def learns_nothing(params: Params, rate: float, steps: int) -> Params:
    """No meta-parameters of its own."""
    return {}


class Rule(NamedTuple):
    """How parameters move.

    init: makes what the rule remembers between steps, a pytree of tensors of the parameters' type
    update: (gradients, remembered, rate, meta) -> updates, and what it remembers then
    learns: (the parameters that move, inner rate, number of steps) -> its fresh meta-parameters
    """

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Tensor, Params], tuple[Params, Any]]
    learns: Callable[[Params, float, int], Params] = learns_nothing


def _remembers_nothing(params: Params) -> dict[str, Tensor]:
    return {}


def sgd() -> Rule:
    """Gradient descent, `-rate * gradient`: what `torch.optim.SGD` does without momentum."""

    def update(
        gradients: Params, state: dict[str, Tensor], rate: Float[Tensor, ""], meta: Params
    ) -> tuple[Params, dict[str, Tensor]]:
        return {name: -rate * gradient for name, gradient in gradients.items()}, state

    return Rule(_remembers_nothing, update)
