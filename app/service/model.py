"""A bundle on a device: many tasks adapted, and many queries answered, in one fused call."""

import logging
from collections.abc import Callable, Generator, Sequence
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from app.bundles import Bundle
from app.learn.adapted import Adapted, judge
from app.learn.inner import Examples, InnerLoop, State, adapt, alone, batched, packed, stack, trajectory
from app.service.task import Task, column, pad, real_rows

log = logging.getLogger(__name__)
T = TypeVar("T")


def _compiled(
    function: Callable[..., T], arguments: tuple[Any, ...], axes: Sequence[int], options: dict[str, Any]
) -> Callable[..., T]:
    """Compile a function for any number of tasks and examples (`Program`, whose arguments these are)."""
    try:
        from app.service.program import Program  # it needs interfaces that another torch may lack

        return Program(function, arguments, axes, options)
    except (ImportError, AttributeError, TypeError) as error:
        log.warning("compiling by torch.compile, which is slower for few tasks: %s", error)
    compiled: Callable[..., T] = torch.compile(  # type: ignore[call-overload]  # its stub lacks isolate_recompiles
        function,
        # a break in the graph fails here instead of being slow for ever
        fullgraph=True,
        # else all bundles share one limit of 8 compilations, beyond which torch falls back to eager in silence
        isolate_recompiles=True,
        # the functions are pure and stay as they are, so only shapes are checked at a call: 42 us a step, not 67
        options={**options, "guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe},
    )
    for argument, count in zip(arguments, axes, strict=True):
        for tensor in tree_leaves(argument):
            for axis in range(count):
                torch._dynamo.mark_dynamic(tensor, axis)
    compiled(*arguments)
    return compiled


def _options(device: torch.device) -> dict[str, Any]:
    """Inductor's options, with `small_matmul` where it can be had."""
    if device.type == "cpu":
        try:
            from app.service.small_matmul import SmallMatmul  # it needs interfaces that another torch may lack

            return {"post_grad_custom_post_pass": SmallMatmul()}
        except (ImportError, AttributeError, TypeError, RuntimeError) as error:
            log.warning("compiling without the kernel for small matrices: %s", error)
    return {}


class Model:
    """One bundle, held by one device. Its methods run on one thread at a time; `compile` may run beside them."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle = bundle
        self.device = device
        self.meta = {name: value.to(device) for name, value in bundle.meta.items()}
        self._eager, self._unpack = self._inner_loop()
        self.untouched = self._eager.init(self.meta)
        """The state of a task before any step, packed: [number]."""
        self.inner = self._eager
        """What serves: over many tasks, compiled once `compile` is done."""
        self._alone, _ = self._inner_loop(alone)

    def _inner_loop(
        self, over: Callable[[InnerLoop[State]], InnerLoop[State]] = batched
    ) -> tuple[InnerLoop[torch.Tensor], Callable[[torch.Tensor], State]]:
        """An inner loop over tasks for one thread, and what unpacks the states of one."""
        inner = over(self.bundle.inner_loop())
        return packed(inner, inner.init(self.meta))

    def _serving(self, tasks: int) -> InnerLoop[torch.Tensor]:
        """What serves so many tasks."""
        return self._alone if tasks == 1 else self.inner

    @property
    def _least(self) -> int:
        """Tasks and examples that a call has at least."""
        return 2 if self.compiled else 1

    @property
    def digest(self) -> str:
        """Of its bundle."""
        return self.bundle.manifest.digest

    @property
    def compiled(self) -> bool:
        """Whether the compiled inner loop serves."""
        return self.inner is not self._eager

    @torch.no_grad()
    def adapt(self, tasks: Sequence[Task]) -> tuple[torch.Tensor, list[Adapted]]:
        """Run the inner loop on all tasks at once: their states, [task, number], padding behind; what came of each."""
        support, rate, steps = self._batch(tasks)
        longest = max(task.steps for task in tasks)
        start = stack(self.untouched, len(rate))
        states, losses = adapt(self._serving(len(rate)), self.meta, support, rate, steps, longest, start)
        untouched_loss = self.bundle.manifest.untouched_loss
        outcomes = []
        for task, row in zip(tasks, losses.tolist(), strict=False):
            taken = tuple(row[: task.steps + 1])
            outcomes.append(Adapted(taken, judge(taken, untouched_loss)))
        return states, outcomes

    def _batch(self, tasks: Sequence[Task]) -> tuple[Examples, torch.Tensor, torch.Tensor]:
        """Support sets, rates and steps of tasks, padded."""
        inputs, targets = (
            pad(arrays, self._least) for arrays in ([task.inputs for task in tasks], [task.targets for task in tasks])
        )
        mask = real_rows([len(task.inputs) for task in tasks], inputs)
        rate = column([task.learning_rate for task in tasks], np.float32, len(inputs))
        steps = column([task.steps for task in tasks], np.int64, len(inputs))
        parts: Sequence[torch.Tensor] = (inputs, targets, mask, rate, steps)
        if self.device.type != "cpu":
            parts = [part.to(self.device) for part in parts]
        return Examples(*parts[:3]), parts[3], parts[4]

    @torch.no_grad()
    def walk(self, task: Task) -> Generator[float, None, tuple[torch.Tensor, Adapted]]:
        """Run the inner loop on one task, step by step: yield each support loss as soon as it is known.

        Returns the states, as from `adapt`, and what came of the task.
        """
        support, rate, steps = self._batch([task])
        losses = []
        inner, start = self._serving(len(rate)), stack(self.untouched, len(rate))
        for states, loss in trajectory(inner, self.meta, support, rate, steps, task.steps, start):  # noqa: B007
            losses.append(loss[0].item())
            yield losses[-1]
        return states, Adapted(tuple(losses), judge(losses, self.bundle.manifest.untouched_loss))

    def parameters(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """All parameters of the network by name, after the first of the states."""
        fast = self._unpack(states[:1]).fast
        whole = self.meta | {name: value[0] for name, value in fast.items()}
        return {name: value.cpu().numpy() for name, value in whole.items()}

    @torch.no_grad()
    def predict(self, states: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Answer `queries[i]`, float32 [query, feature], with row i of the states; float32 [query, target].

        Raises ValueError where there are fewer states than queries.
        """
        inputs = pad(queries, self._least)
        if len(states) < len(queries):  # compiled code does not look
            raise ValueError(f"{len(queries)} states expected")
        states = states[: len(queries)] if len(queries) == len(inputs) else states[:1].expand(len(inputs), -1)
        inner = self._serving(len(inputs))
        outputs = inner.apply(self.meta, states.contiguous(), inputs.to(self.device)).cpu().numpy()
        return [row[: len(each)] for row, each in zip(outputs, queries, strict=False)]

    @torch.no_grad()
    def compile(self) -> None:
        """Compile the inner step, the loss and the prediction, and serve with them where they measure faster.

        Each is compiled once, general in the number of tasks and of examples; the loop over steps stays Python, so no
        step count compiles anew. Raises RuntimeError where compiling fails or gives other numbers than eager.
        """
        started = perf_counter()
        eager, _ = self._inner_loop()  # not the one that serves meanwhile, on another thread
        options = _options(self.device)
        states, support, rate, active = self._example(tasks=7, shots=11)
        meta = self.meta

        fast = InnerLoop(
            init=eager.init,
            step=_compiled(eager.step, (meta, states, support, rate, active), (0, 1, 2, 1, 1), options),
            loss=_compiled(eager.loss, (meta, states, support), (0, 1, 2), options),
            apply=_compiled(eager.apply, (meta, states, support.inputs), (0, 1, 2), options),
        )
        for tasks in (2, 64):
            self._check(fast, eager, tasks)
        ratio = min(self._time(eager) for _ in range(3)) / min(self._time(fast) for _ in range(3))
        took = perf_counter() - started
        if ratio > 1:
            self.inner = fast
        verdict = "serves" if ratio > 1 else "does not serve"
        log.info("%s: compiled in %.1f s, %.1f times eager's speed, %s", self.bundle.name, took, ratio, verdict)

    def _example(self, tasks: int, shots: int) -> tuple[torch.Tensor, Examples, torch.Tensor, torch.Tensor]:
        """States, support sets, rates and activity to try an inner loop on."""
        schema = self.bundle.manifest.schema
        inputs = torch.linspace(-1, 1, tasks * shots * schema.features, device=self.device)
        targets = torch.linspace(1, -1, tasks * shots * schema.targets, device=self.device)
        support = Examples(
            inputs.reshape(tasks, shots, -1),
            targets.reshape(tasks, shots, -1),
            torch.ones(tasks, shots, dtype=torch.bool, device=self.device),
        )
        rate = torch.full((tasks,), self.bundle.manifest.inner_loop.learning_rate, device=self.device)
        return stack(self.untouched, tasks), support, rate, torch.ones(tasks, dtype=torch.bool, device=self.device)

    def _check(self, inner: InnerLoop[torch.Tensor], eager: InnerLoop[torch.Tensor], tasks: int) -> None:
        """Raises RuntimeError where a step of `inner` is further than 1e-4 from one of `eager`."""
        states, support, rate, active = self._example(tasks, shots=10)
        for one, two in zip(
            tree_leaves(inner.step(self.meta, states, support, rate, active)),
            tree_leaves(eager.step(self.meta, states, support, rate, active)),
            strict=True,
        ):
            if not torch.allclose(one, two, rtol=1e-4, atol=1e-4):
                raise RuntimeError("the compiled step gives other numbers than the eager one")

    def _time(self, inner: InnerLoop[torch.Tensor]) -> float:
        """Seconds that a small and a large batch take."""
        started = perf_counter()
        for tasks in (2, 64):
            states, support, rate, active = self._example(tasks, shots=10)
            for _ in range(5):
                states, _ = inner.step(self.meta, states, support, rate, active)
            if self.device.type == "cuda":
                torch.cuda.synchronize()
        return perf_counter() - started
