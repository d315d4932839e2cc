"""The functions that a model serves with. The eager ones are made here; compiled ones may replace them at any time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from app.bundles.bundle import Bundle
from app.learn.inner import (
    Examples,
    InnerLoop,
    State,
    autograd_grad_and_value,
    batch_of_one,
    batched,
    with_packed_state,
)
from app.learn.update_rules import Params
from app.service.task import Task

Unrolled = Callable[[Params, torch.Tensor, Examples, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(meta, states, support, rate, steps) -> the states after the steps, and the losses [task, step]."""
LookUp = Callable[[Params, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(meta, rows [task], queries [task, 1, feature], states [row, number]) -> the answers [task, 1, target]."""
Single = Callable[[Task], tuple[torch.Tensor, list[float]]]
"""task -> its state after the steps, [1, number], and its losses."""


@dataclass(frozen=True, slots=True)
class ServingFunctions:
    """What a model serves with. States are packed: [task, number].

    inner: the inner loop over many tasks
    alone: the same for one task, where a call may have a single one
    unpack: packed states -> their tensors by name
    min_adapt, min_predict: the tasks and rows that a call of `inner` has at least. Compiled code is general in every
        size but 1, so a smaller call is padded to 2
    steps: the number of steps that `unrolled` and `single` take; other numbers go step by step
    unrolled: all steps of many tasks in one call
    look_up: answers one query a task straight from the cache of fast weights, without gathering them first
    single: all steps of a single task, which has one of the numbers of examples in `single_shots`
    max_singles: the most tasks that `single` adapts one after another; more than that share a call
    weighted: the inner loop over many tasks whose examples have weights. It is never compiled
    """

    inner: InnerLoop[torch.Tensor]
    alone: InnerLoop[torch.Tensor]
    unpack: Callable[[torch.Tensor], State]
    min_adapt: int = 1
    min_predict: int = 1
    steps: int = 0
    unrolled: Unrolled | None = None
    look_up: LookUp | None = None
    single: Single | None = None
    single_shots: range = range(0)
    max_singles: int = 1
    weighted: InnerLoop[torch.Tensor] | None = None

    @property
    def compiled(self) -> bool:
        """Whether `inner` is compiled, in part or whole."""
        return self.min_predict > 1

    @property
    def for_weights(self) -> "ServingFunctions":
        """The functions that adapt to examples with weights: compiled code has a mask of booleans instead."""
        return replace(self, inner=self.weighted or self.inner, min_adapt=1, unrolled=None, single=None)

    def inner_for(self, tasks: int) -> InnerLoop[torch.Tensor]:
        """The inner loop for a call with this number of tasks."""
        return self.alone if tasks == 1 else self.inner


def eager(bundle: Bundle, meta: Params, ways: int | None) -> ServingFunctions:
    """The eager functions of a bundle. One thread at a time may call them: a call swaps the network's parameters.

    meta: the bundle's, on the device that serves
    ways: the width of the class axis, where there are classes
    """
    inner, unpack = _packed(batched(bundle.inner_loop(ways=ways)), meta)
    single, _ = _packed(batch_of_one(bundle.inner_loop(autograd_grad_and_value, ways)), meta)
    return ServingFunctions(inner, single, unpack, weighted=inner)


def _packed(inner: InnerLoop[State], meta: Params) -> tuple[InnerLoop[torch.Tensor], Callable[[torch.Tensor], State]]:
    return with_packed_state(inner, inner.init(meta))
