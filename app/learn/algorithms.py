"""The algorithms. Each is a composition of four choices:

which parameters move in the inner loop (`partition`), how they move (`rule`, or `head`, which is solved at once),
whether gradients flow back through the steps (`first_order`), and how the outer loop moves (`outer`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.func import grad_and_value

from app.errors import expectation
from app.learn.adapted_parameters import Partition, body, context, everything, head, nothing
from app.learn.ensemble_head import NO_MEMBERS, discounts_of, ensemble
from app.learn.heads import PROTOTYPE_HEAD, Head, bayesian, closed_form, from_prototypes, prototypes, ridge
from app.learn.inner import InnerLoop, Start, State, from_meta, from_zero, functional_forward, gradient_descent
from app.learn.losses import KINDS, Loss
from app.learn.outer_directions import Outer, displacement, likelihood, mean_of_adapted, multi_step, query_gradient
from app.learn.policies import is_gaussian
from app.learn.support_norm import with_statistics
from app.learn.update_rules import Params, Rule, chain, factor_per_step, rate_per_parameter, rate_per_step, sgd

NewHead = Callable[[int, int, Sequence[float]], Head]
"""(length of a target, length of an embedding, discounts of the members that it is of) -> a head."""


def on_all(head: Callable[[int, int], Head]) -> NewHead:
    """A head on the whole embedding, whatever members it is of."""
    return lambda columns, width, discounts: head(columns, width)


CLASSIFICATION, REGRESSION = frozenset({"classification"}), frozenset({"regression"})


@dataclass(frozen=True)
class Algorithm:
    """One composition (see the module docstring).

    partition: which parameters move
    start: names of the parameters that move -> their values before the first step
    first_order: the share of training, from its start, in which the outer gradient treats the inner gradients as
        constants; 1 for all of it
    head: makes the head that is solved instead of taking steps
    prototype_head: whether a linear layer that starts from prototypes is put on top of the network, and moves with the
        parameters of `partition` (`app.learn.heads.from_prototypes`)
    by_class: whether gradients are times the number of classes (`app.learn.inner.gradient_descent`)
    kinds: the kinds that the algorithm can predict, keys of `KINDS`
    summary: what adapts, in a few words for people
    compilable: whether compiling it for serving is worth the time that it takes
    """

    outer: Outer
    partition: Partition = everything
    start: Callable[[Collection[str]], Start] = from_meta
    rule: Rule = field(default_factory=sgd)
    first_order: float = 0.0
    head: NewHead | None = None
    prototype_head: bool = False
    by_class: bool = False
    kinds: frozenset[str] = frozenset(KINDS)
    summary: str = ""
    compilable: bool = True

    @property
    def closed_form(self) -> bool:
        """Whether the inner loop is a single solve, without a rate and with exactly one step."""
        return self.head is not None

    @property
    def gives_variance(self) -> bool:
        """Whether it says how sure it is of a number."""
        return self.head is not None and self.head(1, 1, NO_MEMBERS).variance is not None

    @property
    def learned_rate(self) -> bool:
        """Whether the inner rates are meta-parameters, so that a request cannot set a rate."""
        return self.rule.learned_rate

    @property
    def takes_rate(self) -> bool:
        """Whether a request can set the inner learning rate."""
        return not (self.closed_form or self.learned_rate)

    @property
    def needs_examples(self) -> bool:
        """Whether the output for a class is made of its examples, so that a class without any has none."""
        return self.prototype_head or (self.head is not None and self.head(1, 1, NO_MEMBERS).needs_examples)

    @property
    def embeds(self) -> bool:
        """Whether the network returns embeddings, for any number of classes, instead of predictions."""
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
        """The inner loop of the algorithm with a network and a loss.

        differentiate: as for `gradient_descent`
        ways: the width of the class axis; None where there are no classes
        targets, width: the lengths of a target and of an output of the network (`networks.width`); used only if the
            algorithm `embeds`
        progress: the share of training that has passed, for `first_order`

        Raises ValueError where the network lacks the parameters that should move.
        """
        if self.head is not None:
            solved = self.head(targets if ways is None else ways, width, discounts_of(network))
            inner = closed_form(network, solved, loss, ways)
        else:
            if self.prototype_head:
                forward, start = from_prototypes(network, ways or targets, width, self.partition(network))
            else:
                forward, start = functional_forward(network), self.start(self.partition(network))
            inner = gradient_descent(
                forward, loss, self.rule, start, ways, self.is_first_order_at(progress), differentiate, self.by_class
            )
        return with_statistics(inner, network)

    def is_first_order_at(self, progress: float) -> bool:
        """Whether training is in the part that `first_order` says. progress: the share of training that has passed"""
        return progress < self.first_order or self.first_order == 1

    def check(self, network: nn.Module, targets: int, width: int, kind: str) -> None:
        """Raise ValueError if a network does not fit: it lacks the parameters that move, or has other outputs.

        targets, width: as for `inner_loop`
        """
        self.partition(network)
        if KINDS[kind].weighted:
            is_gaussian(width, targets)
        elif not self.embeds and width != targets:
            expected = f"as many outputs as a target has numbers ({targets})"
            raise ValueError(expectation("network", expected, width))

    def initial_meta(
        self, network: nn.Module, params: Params, targets: int, width: int, rate: float, steps: int
    ) -> Params:
        """The meta-parameters before training: those of the network, and the algorithm's own.

        params: the network's parameters
        targets, width: as for `inner_loop`
        rate, steps: learned rates start at `rate`, for `steps` steps
        """
        moving = {name: params[name] for name in self.partition(network)}
        if self.prototype_head:  # its shape depends on the task, so that only rates for whole tensors can be learned
            moving |= dict.fromkeys(PROTOTYPE_HEAD, next(iter(params.values())))
        own = self.rule.initial_meta(moving, rate, steps)
        if self.head is not None:
            own |= self.head(targets, width, discounts_of(network)).initial_meta(next(iter(params.values())))
        return {**params, **own}


ALGORITHMS: dict[str, Algorithm] = {
    # Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"
    "maml": Algorithm(query_gradient, summary="gradient steps on all parameters"),
    # the same, section 5.2: the gradient at the adapted parameters, without the second derivatives
    "fomaml": Algorithm(
        query_gradient, first_order=1.0, summary="gradient steps on all parameters, trained without second derivatives"
    ),
    # Nichol et al. 2018, "On First-Order Meta-Learning Algorithms"
    "reptile": Algorithm(
        displacement, summary="gradient steps on all parameters, trained by moving towards the adapted weights"
    ),
    # the next parameters are the mean of the adapted ones
    "averaging": Algorithm(
        mean_of_adapted, summary="gradient steps on all parameters, trained by averaging the adapted weights"
    ),
    # Li et al. 2017, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning"
    "metasgd": Algorithm(
        query_gradient, rule=rate_per_parameter(), summary="gradient steps at a learned rate for each parameter"
    ),
    # the same, and its rates differ by step as those of MAML++ do
    "metasgdpp": Algorithm(
        query_gradient,
        rule=chain(factor_per_step(), rate_per_parameter()),
        summary="gradient steps at a learned rate for each parameter and step",
    ),
    # Antoniou et al. 2019, "How to train your MAML"
    "mamlpp": Algorithm(
        multi_step,
        rule=rate_per_step(),
        first_order=0.3,
        summary="gradient steps at a learned rate for each layer and step",
    ),
    # Raghu et al. 2020, "Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML"
    "anil": Algorithm(query_gradient, partition=head, summary="gradient steps on the last layer"),
    # Oh et al. 2021, "BOIL: Towards Representation Change for Few-shot Learning"
    "boil": Algorithm(query_gradient, partition=body, summary="gradient steps on all layers but the last"),
    # Zintgraf et al. 2019, "Fast Context Adaptation via Meta-Learning"
    "cavia": Algorithm(
        query_gradient, partition=context, start=from_zero, summary="gradient steps on a context vector"
    ),
    # Snell et al. 2017, "Prototypical Networks for Few-shot Learning"
    "protonet": Algorithm(
        query_gradient,
        head=on_all(prototypes),
        kinds=CLASSIFICATION,
        summary="the network turns each input into a row of numbers, its embedding; a query gets the class whose mean "
        "embedding is nearest",
    ),
    # Triantafillou et al. 2020, "Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples"
    "protomaml": Algorithm(
        query_gradient,
        prototype_head=True,
        kinds=CLASSIFICATION,
        summary="gradient steps that start from the mean embedding of each class",
    ),
    # the same, without the second derivatives of the steps; the gradient flows through the prototypes all the same
    "foprotomaml": Algorithm(
        query_gradient,
        prototype_head=True,
        first_order=1.0,
        kinds=CLASSIFICATION,
        summary="gradient steps that start from the mean embedding of each class, trained without second derivatives",
    ),
    # the same with the last layer alone, as in ANIL, and with the rates of MAML++
    "protoanil": Algorithm(
        query_gradient,
        partition=nothing,
        rule=rate_per_step(),
        prototype_head=True,
        by_class=True,
        kinds=CLASSIFICATION,
        summary="gradient steps at learned rates on the last layer, which starts from the mean embedding of each class",
    ),
    # Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers" (R2D2)
    "ridge": Algorithm(
        query_gradient,
        head=on_all(ridge),
        kinds=CLASSIFICATION | REGRESSION,
        summary="ridge regression on learned features",
    ),
    # Harrison et al. 2018, "Meta-Learning Priors for Efficient Online Bayesian Regression"
    "alpaca": Algorithm(
        likelihood, head=on_all(bayesian), kinds=REGRESSION, summary="Bayesian linear regression on learned features"
    ),
    # a mean of the same on the embeddings of several members, with weights by the number of examples
    "ensemble": Algorithm(
        likelihood,
        head=ensemble,
        kinds=REGRESSION,
        summary="Bayesian linear regressions on the features of several models, and their mean by the number of known "
        "rows",
        compilable=False,  # hundreds of trees: minutes for each program
    ),
}
