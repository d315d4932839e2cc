"""A task alone, on the CPU: the default number of inner steps as one compiled program, without a task axis.

Through one connection a server adapts one task at a time, and then almost all of the time goes into what is around the
arithmetic. Here the numbers of a task are put into buffers that stay, one set for each number of examples, and the
program runs on these (`Recording`); one that cannot be recorded, such as one with convolutions, is called as it is.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.learn.inner import Examples, InnerLoop, Schedule, adapt
from app.learn.pytrees import leaves
from app.learn.update_rules import Params
from app.service.compiled.program import AS_SUMS, Program, Recording
from app.service.task import Task

FUSED = {"cpp.enable_floating_point_contract_flag": "fast"}
"""A product and its sum in one instruction: 28 us a task, not 33."""
RECORDINGS = 64
"""Numbers of examples with buffers of their own; others are called as they are."""


class _Buffers(NamedTuple):
    """One task's numbers, as arrays that share the memory of the tensors that the program gets; `run` runs it."""

    inputs: np.ndarray
    targets: np.ndarray
    rate: np.ndarray
    run: Callable[[], tuple[Tensor, Tensor]]


class SingleTask:
    """Adapts one task at a time with `steps` steps. One thread at a time calls it."""

    def __init__(
        self, inner: InnerLoop[Tensor], meta: Params, state: Tensor, form: tuple[int, int], steps: int
    ) -> None:
        """Compile it. Raises RuntimeError where that fails.

        inner: `alone` and packed, its gradients by `grad_and_value`
        state: before any step, [number]
        form: the numbers in an input and in a target
        """

        def run(meta: Params, state: Tensor, support: Examples, rate: Tensor) -> tuple[Tensor, Tensor]:
            one = Examples(*(part.unsqueeze(0) for part in support))
            taken = torch.full((1,), steps)
            return adapt(inner, meta, one, Schedule(rate.unsqueeze(0), taken, steps), state.unsqueeze(0))

        self._fixed = meta, state
        self._form = form
        self._buffers: dict[int, _Buffers] = {}
        example = (*self._fixed, self._support(shots=11), torch.tensor(0.0))
        self._program = Program(run, example, (0, 0, 1, 0), FUSED, AS_SUMS)

    def __call__(self, task: Task) -> tuple[Tensor, Tensor]:
        """The state after the steps, [1, number], and the losses [1, step]. The task has two examples at least."""
        shots = len(task.inputs)
        buffers = self._buffers.get(shots)
        if buffers is None:
            buffers = self._made(shots)
            if len(self._buffers) < RECORDINGS:
                self._buffers[shots] = buffers
        buffers.inputs[...], buffers.targets[...], buffers.rate[...] = task.inputs, task.targets, task.learning_rate
        return buffers.run()

    def _support(self, shots: int) -> Examples:
        inputs, targets = (torch.zeros(shots, width) for width in self._form)
        return Examples(inputs, targets, torch.ones(shots, dtype=torch.bool))

    def _made(self, shots: int) -> _Buffers:
        support, rate = self._support(shots), torch.tensor(0.0)
        arguments = (*self._fixed, support, rate)
        inputs, targets, kept_rate = support.inputs.numpy(), support.targets.numpy(), rate.numpy()
        try:
            recording = Recording(self._program.run, leaves(arguments))
        except TypeError:
            return _Buffers(inputs, targets, kept_rate, lambda: self._program(*arguments))

        def again() -> tuple[Tensor, Tensor]:
            state, losses = recording()
            return state.clone(), losses  # the next call overwrites them

        return _Buffers(inputs, targets, kept_rate, again)
