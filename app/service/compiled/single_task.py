"""A single task, on the CPU: the default number of inner steps as one compiled program, without a task axis.

Through one connection a server adapts one task at a time, and then almost all of the time goes into what is around the
arithmetic. Here the numbers of a task are copied into buffers that stay, one set for each number of examples, and the
program runs on these (`Recording`). A program that cannot be recorded, such as one with convolutions, is called as it
is. `single-task-program` of the ablation benchmark: 1.29 times the requests to adapt through one connection.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import grad_and_value

from app.bundles.bundle import Bundle
from app.learn.inner import Examples, Schedule, adapt, batch_of_one, with_packed_state
from app.learn.pytrees import leaves
from app.learn.update_rules import Params
from app.service.compiled.program import AS_SUMS, Program, Recording
from app.service.task import Task

FUSED = {"cpp.enable_floating_point_contract_flag": "fast"}
"""A product and its sum in one instruction: 28 us a task, not 33."""
RECORDINGS = 64
"""Numbers of examples with buffers of their own; for others new buffers are made at each call."""


class _Buffers(NamedTuple):
    """The numbers of one task, as arrays that share the memory of the program's tensors; `run` runs the program."""

    inputs: np.ndarray
    targets: np.ndarray
    rate: np.ndarray
    run: Callable[[], tuple[Tensor, list[float]]]


class SingleTask:
    """Adapts one task at a time by `steps` steps. One thread at a time calls it."""

    def __init__(self, bundle: Bundle, meta: Params, initial_state: Tensor, steps: int) -> None:
        """Compile it. Raises RuntimeError where that fails.

        meta: the bundle's, on the CPU
        initial_state: before any step, packed: [number]
        """
        single = batch_of_one(bundle.inner_loop(grad_and_value))
        inner, _ = with_packed_state(single, single.init(meta))

        def run(meta: Params, state: Tensor, support: Examples, rate: Tensor) -> tuple[Tensor, Tensor]:
            batch = Examples(*(part.unsqueeze(0) for part in support[:3]))
            schedule = Schedule(rate.unsqueeze(0), torch.full((1,), steps), steps)
            return adapt(inner, meta, batch, schedule, state.unsqueeze(0))

        self._constants = meta, initial_state
        self._widths = bundle.manifest.schema.features, bundle.manifest.schema.targets
        self._buffers: dict[int, _Buffers] = {}
        example = (*self._constants, self._zeros(shots=11), torch.tensor(0.0))
        self._program = Program(run, example, (0, 0, 1, 0), FUSED, AS_SUMS)

    def __call__(self, task: Task) -> tuple[Tensor, list[float]]:
        """The state after the steps, [1, number], and the losses. The task has at least two examples."""
        shots = len(task.inputs)
        buffers = self._buffers.get(shots)
        if buffers is None:
            buffers = self._new_buffers(shots)
            if len(self._buffers) < RECORDINGS:
                self._buffers[shots] = buffers
        buffers.inputs[...], buffers.targets[...], buffers.rate[...] = task.inputs, task.targets, task.learning_rate
        return buffers.run()

    def _zeros(self, shots: int) -> Examples:
        inputs, targets = (torch.zeros(shots, width) for width in self._widths)
        return Examples(inputs, targets, torch.ones(shots, dtype=torch.bool))

    def _new_buffers(self, shots: int) -> _Buffers:
        support, rate = self._zeros(shots), torch.tensor(0.0)
        arguments = (*self._constants, support, rate)
        arrays = support.inputs.numpy(), support.targets.numpy(), rate.numpy()
        call: Callable[[], Sequence[Tensor]]
        try:
            call = Recording(self._program.run, leaves(arguments))
        except TypeError:
            call = partial(self._program, *arguments)

        def run() -> tuple[Tensor, list[float]]:
            state, losses = call()
            return state.clone(), losses[0].tolist()  # the next call of a recording overwrites them

        return _Buffers(*arrays, run)
