"""How parameters move in the inner loop: pure functions, as in optax.

state = rule.init(params)
updates, state = rule.update(gradients, state, rate, meta)
params = params + updates

The meta-parameters that a rule learns itself, such as rates, are in `meta` under names that start with LEARNED_PREFIX.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from app.learn.shape_annotations import Float

Params = dict[str, Tensor]
"""The parameters of a network by the names of its `state_dict`, and an algorithm's own meta-parameters."""
LEARNED_PREFIX = "inner/"
"""The prefix of an algorithm's own meta-parameters. No network has a parameter with a slash in its name."""


def no_meta(params: Params, rate: float, steps: int) -> Params:
    """A rule without meta-parameters of its own."""
    return {}


class Rule(NamedTuple):
    """How parameters move.

    init: the parameters that move -> the state of the rule, a pytree of tensors of the parameters' type
    update: (gradients, state, rate, meta) -> updates, new state
    initial_meta: (the parameters that move, inner rate, number of steps) -> the rule's own meta-parameters, untrained
    learned_rate: whether the rates are learned, so that `rate` is ignored
    """

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Tensor, Params], tuple[Params, Any]]
    initial_meta: Callable[[Params, float, int], Params] = no_meta
    learned_rate: bool = False


def _no_state(params: Params) -> dict[str, Tensor]:
    return {}


def sgd() -> Rule:
    """Gradient descent, `-rate * gradient`: what `torch.optim.SGD` does without momentum."""

    def update(
        gradients: Params, state: dict[str, Tensor], rate: Float[Tensor, ""], meta: Params
    ) -> tuple[Params, dict[str, Tensor]]:
        return {name: -rate * gradient for name, gradient in gradients.items()}, state

    return Rule(_no_state, update)


def chain(*rules: Rule) -> Rule:
    """Apply several rules in turn: each takes the updates of the rule before it as its gradients.

    `chain(factor_per_step(), rate_per_parameter())` scales the learned rates of the parameters by a factor per step.
    """

    def init(params: Params) -> tuple[Any, ...]:
        return tuple(rule.init(params) for rule in rules)

    def update(
        gradients: Params, state: tuple[Any, ...], rate: Float[Tensor, ""], meta: Params
    ) -> tuple[Params, tuple[Any, ...]]:
        new_states = []
        for rule, rule_state in zip(rules, state, strict=True):
            gradients, new_state = rule.update(gradients, rule_state, rate, meta)
            new_states.append(new_state)
        return gradients, tuple(new_states)

    def initial_meta(params: Params, rate: float, steps: int) -> Params:
        return {name: value for rule in rules for name, value in rule.initial_meta(params, rate, steps).items()}

    return Rule(init, update, initial_meta, any(rule.learned_rate for rule in rules))


MAX_RATE = 1.0
"""The upper bound of learned rates."""
RATE_SCALE = 10.0
"""When the outer loop moves a raw rate by 0.01, a small learned rate changes by about so many percent."""


def _raw(rate: float) -> float:
    """The raw value that is stored for a learned rate, the inverse of `_rate`."""
    share = min(max(rate / MAX_RATE, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share)) / RATE_SCALE


def _rate(raw: Tensor) -> Tensor:
    """A learned rate, positive and bounded. Rates of any size and sign, as in Meta-SGD, explode in training."""
    return MAX_RATE * (RATE_SCALE * raw).sigmoid()


def _at_step(raw: Float[Tensor, " step"], step: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The raw value for a step; later steps than there are values take the last one."""
    # a sum over a mask: under `vmap` an index that differs by task is not a single operation
    places = torch.arange(len(raw), device=raw.device)
    return raw.where(places == step.clamp(max=len(raw) - 1), 0.0).sum()


def rate_per_parameter() -> Rule:
    """Gradient descent with a learned rate for each number of each parameter (Meta-SGD).

    Li et al. 2017, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", where rates may have any size.
    More steps than in training may diverge, so train with as many steps as will be taken.
    """

    def update(
        gradients: Params, state: dict[str, Tensor], rate: Float[Tensor, ""], meta: Params
    ) -> tuple[Params, dict[str, Tensor]]:
        return {name: -_rate(meta[f"{LEARNED_PREFIX}rate/{name}"]) * each for name, each in gradients.items()}, state

    def initial_meta(params: Params, rate: float, steps: int) -> Params:
        return {f"{LEARNED_PREFIX}rate/{name}": torch.full_like(value, _raw(rate)) for name, value in params.items()}

    return Rule(_no_state, update, initial_meta, learned_rate=True)


def rate_per_step() -> Rule:
    """Gradient descent with a learned rate for each tensor of parameters and each step (MAML++).

    Antoniou et al. 2019, "How to train your MAML". Steps beyond the last learned rate reuse it.
    """

    def init(params: Params) -> Float[Tensor, ""]:
        return next(iter(params.values())).new_zeros(())

    def update(
        gradients: Params, step: Float[Tensor, ""], rate: Float[Tensor, ""], meta: Params
    ) -> tuple[Params, Float[Tensor, ""]]:
        raw = {name: meta[f"{LEARNED_PREFIX}rate/{name}"] for name in gradients}
        return {name: -_rate(_at_step(raw[name], step)) * each for name, each in gradients.items()}, step + 1

    def initial_meta(params: Params, rate: float, steps: int) -> Params:
        return {
            f"{LEARNED_PREFIX}rate/{name}": value.new_full((max(1, steps),), _raw(rate))
            for name, value in params.items()
        }

    return Rule(init, update, initial_meta, learned_rate=True)


STAGES = 4
"""The number of steps with a factor of their own in `factor_per_step`; later steps reuse the last factor."""


def factor_per_step() -> Rule:
    """Gradients times a learned factor from 0 to 2 for each tensor of parameters and each step; chain it with rates.

    The number of factors is fixed, unlike that of the rates of `rate_per_step`: later stages of episodes count on.
    """

    def init(params: Params) -> Float[Tensor, ""]:
        return next(iter(params.values())).new_zeros(())

    def update(
        gradients: Params, step: Float[Tensor, ""], rate: Float[Tensor, ""], meta: Params
    ) -> tuple[Params, Float[Tensor, ""]]:
        raw = {name: meta[f"{LEARNED_PREFIX}factor/{name}"] for name in gradients}
        return {
            name: 2 * (RATE_SCALE * _at_step(raw[name], step)).sigmoid() * each for name, each in gradients.items()
        }, step + 1

    def initial_meta(params: Params, rate: float, steps: int) -> Params:
        return {f"{LEARNED_PREFIX}factor/{name}": value.new_zeros(STAGES) for name, value in params.items()}

    return Rule(init, update, initial_meta)
