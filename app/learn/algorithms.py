"""The algorithms, each a composition of four choices:

which parameters move in the inner loop (`moves`), how they move (`rule`; or `head`, solved at once), what flows back
through the steps (`first_order`) and how the outer loop moves (`outer`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.func import grad_and_value

from app.learn.heads import Head, closed_form, prototypes
from app.learn.inner import InnerLoop, State, forward_of, gradient_descent, learned
from app.learn.losses import LOSSES, Loss
from app.learn.outer import Outer, displacement, mean_of_adapted, query_gradient
from app.learn.partition import Partition, everything
from app.learn.rules import LEARNED, Params, Rule, learns_nothing, sgd


@dataclass(frozen=True)
class Algorithm:
    """A composition (module docstring).

    head: (columns of a target, width of an embedding) -> the head that is solved instead of taking steps
    kinds: what it can predict
    """

    outer: Outer
    moves: Partition = everything
    rule: Rule = field(default_factory=sgd)
    first_order: bool = False
    head: Callable[[int, int], Head] | None = None
    kinds: frozenset[str] = frozenset(LOSSES)

    @property
    def closed_form(self) -> bool:
        """Whether the inner loop is one solve: there is no rate, and no other number of steps."""
        return self.head is not None

    @property
    def learned_rate(self) -> bool:
        """Whether the rates of its rule are among the meta-parameters, so that a task cannot choose one."""
        return self.rule.learns is not learns_nothing

    @property
    def embeds(self) -> bool:
        """Whether the network gives embeddings, and classes may be any number; else its outputs are the targets."""
        return self.head is not None

    def inner_loop(
        self,
        network: nn.Module,
        loss: Loss,
        differentiate: Callable[..., Any] = grad_and_value,
        ways: int | None = None,
        targets: int = 0,
        width: int = 0,
    ) -> InnerLoop[State]:
        """Bind the algorithm to a network and a loss.

        differentiate: as for `gradient_descent`
        ways: the width of the class axis, where there are classes
        targets, width: numbers in a target and in an output of the network (`networks.width`); only what `embeds` reads
            them

        Raises ValueError where the network lacks the part that moves.
        """
        if self.head is not None:
            return closed_form(network, self.head(targets if ways is None else ways, width), loss, ways)
        start = learned(self.moves(network))
        return gradient_descent(forward_of(network), loss, self.rule, start, ways, self.first_order, differentiate)

    def check(self, network: nn.Module, targets: int, width: int) -> None:
        """Raise ValueError where a network does not fit: it lacks the part that moves, or gives other outputs.

        targets, width: as for `inner_loop`
        """
        self.moves(network)
        if not self.embeds and width != targets:
            raise ValueError(f"the network gives [{width}], not {targets} targets")

    def initial(self, network: nn.Module, params: Params, targets: int, width: int, rate: float, steps: int) -> Params:
        """The meta-parameters that training begins with: the network's, and what the algorithm learns besides.

        params: fresh ones of the network
        targets, width: as for `inner_loop`
        rate, steps: of the inner loop; what is learned begins at that rate, and for so many steps
        """
        moving = self.moves(network)
        besides = self.rule.learns({name: value for name, value in params.items() if name in moving}, rate, steps)
        if self.head is not None:
            besides |= self.head(targets, width).learns(next(iter(params.values())))
        return {**params, **{f"{LEARNED}{name}": value for name, value in besides.items()}}


ALGORITHMS: dict[str, Algorithm] = {
    # Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"
    "maml": Algorithm(query_gradient),
    # the same, section 5.2: the gradient at the adapted parameters, without the second derivatives
    "fomaml": Algorithm(query_gradient, first_order=True),
    # Nichol et al. 2018, "On First-Order Meta-Learning Algorithms"
    "reptile": Algorithm(displacement),
    # the next parameters are the mean of the adapted ones
    "averaging": Algorithm(mean_of_adapted),
    # Snell et al. 2017, "Prototypical Networks for Few-shot Learning"
    "protonet": Algorithm(query_gradient, head=prototypes, kinds=frozenset({"classification"})),
}
