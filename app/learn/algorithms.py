"""The algorithms, each a composition of four choices:

which parameters move in the inner loop (`moves`), how they move (`rule`; or `head`, solved at once), what flows back
through the steps (`first_order`) and how the outer loop moves (`outer`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.func import grad_and_value

from app.learn.heads import Head, bayesian, closed_form, from_prototypes, prototypes, ridge
from app.learn.inner import InnerLoop, Start, State, from_meta, from_zero, functional_forward, gradient_descent
from app.learn.losses import KINDS, Loss
from app.learn.outer import Outer, displacement, likelihood, mean_of_adapted, multi_step, query_gradient
from app.learn.partition import Partition, body, context, everything, head
from app.learn.policies import is_gaussian
from app.learn.statistics import with_statistics
from app.learn.update_rules import Params, Rule, chain, factor_per_step, rate_per_parameter, rate_per_step, sgd

CLASSIFICATION, REGRESSION = frozenset({"classification"}), frozenset({"regression"})


@dataclass(frozen=True)
class Algorithm:
    """A composition (module docstring).

    start: where what moves begins: where training has put it, or at 0
    first_order: the share of training, from its beginning, in which no gradient flows back through the steps' own
        gradients
    head: (columns of a target, width of an embedding) -> the head that is solved instead of taking steps
    prototype_head: whether the network's embeddings get a linear layer that begins as prototypes are compared
    kinds: what it can predict
    """

    outer: Outer
    partition: Partition = everything
    start: Callable[[Collection[str]], Start] = from_meta
    rule: Rule = field(default_factory=sgd)
    first_order: float = 0.0
    head: Callable[[int, int], Head] | None = None
    prototype_head: bool = False
    kinds: frozenset[str] = frozenset(KINDS)

    @property
    def closed_form(self) -> bool:
        """Whether the inner loop is one solve: there is no rate, and no other number of steps."""
        return self.head is not None

    @property
    def learned_rate(self) -> bool:
        """Whether the inner rates are part of the bundle, so that no request may name one."""
        return self.rule.learned_rate

    @property
    def embeds(self) -> bool:
        """Whether the network gives embeddings, and classes may be any number; else its outputs are the targets."""
        return self.closed_form or self.prototype_head

    def inner_loop(
        self,
        network: nn.Module,
        loss: Loss,
        differentiate: Callable[..., Any] = grad_and_value,
        ways: int | None = None,
        targets: int = 0,
        width: int = 0,
        progress: float = 1.0,
    ) -> InnerLoop[State]:
        """Bind the algorithm to a network and a loss.

        differentiate: as for `gradient_descent`
        ways: the width of the class axis, where there are classes
        targets, width: numbers in a target and in an output of the network (`networks.width`); only what `embeds` reads
            them
        progress: the share of training that is done, which `first_order` is about

        Raises ValueError where the network lacks the part that moves.
        """
        if self.head is not None:
            inner = closed_form(network, self.head(targets if ways is None else ways, width), loss, ways)
        else:
            if self.prototype_head:
                forward, start = from_prototypes(network, ways or targets, width)
            else:
                forward, start = functional_forward(network), self.start(self.partition(network))
            first_order = progress < self.first_order or self.first_order == 1
            inner = gradient_descent(forward, loss, self.rule, start, ways, first_order, differentiate)
        return with_statistics(inner, network)

    def check(self, network: nn.Module, targets: int, width: int, kind: str) -> None:
        """Raise ValueError where a network does not fit: it lacks the part that moves, or gives other outputs.

        targets, width: as for `inner_loop`
        """
        self.partition(network)
        if KINDS[kind].weighted:
            is_gaussian(width, targets)
        elif not self.embeds and width != targets:
            raise ValueError(f"the network gives [{width}], not {targets} targets")

    def initial_meta(
        self, network: nn.Module, params: Params, targets: int, width: int, rate: float, steps: int
    ) -> Params:
        """The meta-parameters that training begins with: the network's, and what the algorithm learns besides.

        params: fresh ones of the network
        targets, width: as for `inner_loop`
        rate, steps: of the inner loop; what is learned begins at that rate, and for so many steps
        """
        moving = self.partition(network)
        besides = self.rule.initial_meta({name: value for name, value in params.items() if name in moving}, rate, steps)
        if self.head is not None:
            besides |= self.head(targets, width).initial_meta(next(iter(params.values())))
        return {**params, **besides}


ALGORITHMS: dict[str, Algorithm] = {
    # Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"
    "maml": Algorithm(query_gradient),
    # the same, section 5.2: the gradient at the adapted parameters, without the second derivatives
    "fomaml": Algorithm(query_gradient, first_order=1.0),
    # Nichol et al. 2018, "On First-Order Meta-Learning Algorithms"
    "reptile": Algorithm(displacement),
    # the next parameters are the mean of the adapted ones
    "averaging": Algorithm(mean_of_adapted),
    # Li et al. 2017, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning"
    "metasgd": Algorithm(query_gradient, rule=rate_per_parameter()),
    # the same, and its rates differ by step as those of MAML++ do
    "metasgdpp": Algorithm(query_gradient, rule=chain(factor_per_step(), rate_per_parameter())),
    # Antoniou et al. 2019, "How to train your MAML"
    "mamlpp": Algorithm(multi_step, rule=rate_per_step(), first_order=0.3),
    # Raghu et al. 2020, "Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML"
    "anil": Algorithm(query_gradient, partition=head),
    # Oh et al. 2021, "BOIL: Towards Representation Change for Few-shot Learning"
    "boil": Algorithm(query_gradient, partition=body),
    # Zintgraf et al. 2019, "Fast Context Adaptation via Meta-Learning"
    "cavia": Algorithm(query_gradient, partition=context, start=from_zero),
    # Snell et al. 2017, "Prototypical Networks for Few-shot Learning"
    "protonet": Algorithm(query_gradient, head=prototypes, kinds=CLASSIFICATION),
    # Triantafillou et al. 2020, "Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples"
    "protomaml": Algorithm(query_gradient, prototype_head=True, kinds=CLASSIFICATION),
    # the same, without the second derivatives of the steps; the gradient flows through the prototypes all the same
    "foprotomaml": Algorithm(query_gradient, prototype_head=True, first_order=1.0, kinds=CLASSIFICATION),
    # Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers" (R2D2)
    "ridge": Algorithm(query_gradient, head=ridge, kinds=CLASSIFICATION | REGRESSION),
    # Harrison et al. 2018, "Meta-Learning Priors for Efficient Online Bayesian Regression"
    "alpaca": Algorithm(likelihood, head=bayesian, kinds=REGRESSION),
}
