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
from app.learn.inner import Examples, InnerLoop, State, adapt, batched, stack, trajectory
from app.service.task import Task, pad, real_rows

log = logging.getLogger(__name__)
T = TypeVar("T")


def _compiled(function: Callable[..., T], options: dict[str, Any]) -> Callable[..., T]:
    compiled: Callable[..., T] = torch.compile(  # type: ignore[call-overload]  # its stub lacks isolate_recompiles
        function,
        # a break in the graph fails here instead of being slow for ever
        fullgraph=True,
        # else all bundles share one limit of 8 compilations, beyond which torch falls back to eager in silence
        isolate_recompiles=True,
        options=options,
    )
    return compiled


def _options(device: torch.device) -> dict[str, Any]:
    """Inductor's options, with `small_matmul` where it can be had."""
    # the functions are pure and stay as they are, so only shapes are checked at a call: 42 us a step, not 67
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe}
    if device.type == "cpu":
        try:
            from app.service.small_matmul import SmallMatmul  # it needs interfaces that another torch may lack

            options["post_grad_custom_post_pass"] = SmallMatmul()
        except (ImportError, AttributeError, TypeError, RuntimeError) as error:
            log.warning("compiling without the kernel for small matrices: %s", error)
    return options


class Model:
    """One bundle, held by one device. Its methods run on one thread at a time; `compile` may run beside them."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle = bundle
        self.device = device
        self.meta = {name: value.to(device) for name, value in bundle.meta.items()}
        self._eager = batched(bundle.inner_loop())
        self.untouched: State = self._eager.init(self.meta)
        self.inner = self._eager
        """What serves: over many tasks, compiled once `compile` is done."""

    @property
    def digest(self) -> str:
        """Of its bundle."""
        return self.bundle.manifest.digest

    @property
    def compiled(self) -> bool:
        """Whether the compiled inner loop serves."""
        return self.inner is not self._eager

    @torch.no_grad()
    def adapt(self, tasks: Sequence[Task]) -> tuple[State, list[Adapted]]:
        """Run the inner loop on all tasks at once: their states, stacked, padding behind, and what came of each."""
        support, rate, steps = self._batch(tasks)
        longest = max(task.steps for task in tasks)
        states, losses = adapt(self.inner, self.meta, support, rate, steps, longest)
        untouched_loss = self.bundle.manifest.untouched_loss
        outcomes = []
        for task, row in zip(tasks, losses.tolist(), strict=False):
            taken = tuple(row[: task.steps + 1])
            outcomes.append(Adapted(taken, judge(taken, untouched_loss)))
        return states, outcomes

    def _batch(self, tasks: Sequence[Task]) -> tuple[Examples, torch.Tensor, torch.Tensor]:
        """Support sets, rates and steps of tasks, padded."""
        inputs, targets = pad([task.inputs for task in tasks]), pad([task.targets for task in tasks])
        mask = real_rows([len(task.inputs) for task in tasks])
        padding = len(inputs) - len(tasks)
        rate = torch.tensor([task.learning_rate for task in tasks] + [0.0] * padding, device=self.device)
        steps = torch.tensor([task.steps for task in tasks] + [0] * padding, device=self.device)
        return Examples(*(part.to(self.device) for part in (inputs, targets, mask))), rate, steps

    @torch.no_grad()
    def walk(self, task: Task) -> Generator[float, None, tuple[State, Adapted]]:
        """Run the inner loop on one task, step by step: yield each support loss as soon as it is known.

        Returns the state, stacked as from `adapt`, and what came of the task.
        """
        support, rate, steps = self._batch([task])
        losses = []
        for states, loss in trajectory(self.inner, self.meta, support, rate, steps, task.steps):  # noqa: B007
            losses.append(loss[0].item())
            yield losses[-1]
        return states, Adapted(tuple(losses), judge(losses, self.bundle.manifest.untouched_loss))

    def parameters(self, states: State) -> dict[str, np.ndarray]:
        """All parameters of the network by name, after the first of the stacked states."""
        fast = {name: value[0] for name, value in states.fast.items()}
        return {name: value.cpu().numpy() for name, value in (self.meta | fast).items()}

    @torch.no_grad()
    def predict(self, states: State, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Answer `queries[i]`, float32 [query, feature], with row i of the stacked states; float32 [query, target]."""
        inputs = pad(queries)
        outputs = self.inner.apply(self.meta, states, inputs.to(self.device)).cpu().numpy()
        return [row[: len(each)] for row, each in zip(outputs, queries, strict=False)]

    @torch.no_grad()
    def compile(self) -> None:
        """Compile the inner step, the loss and the prediction, and serve with them where they measure faster.

        Each is compiled once, general in the number of tasks and of examples; the loop over steps stays Python, so no
        step count compiles anew. Raises RuntimeError where compiling fails or gives other numbers than eager.
        """
        eager = batched(self.bundle.inner_loop())  # not the one that serves meanwhile, on another thread
        options = _options(self.device)
        fast = InnerLoop(
            init=eager.init,
            step=_compiled(eager.step, options),
            loss=_compiled(eager.loss, options),
            apply=_compiled(eager.apply, options),
        )
        started = perf_counter()
        self._warm_up(fast)
        for tasks in (2, 64):
            self._check(fast, eager, tasks)
        ratio = min(self._time(eager) for _ in range(3)) / min(self._time(fast) for _ in range(3))
        took = perf_counter() - started
        if ratio > 1:
            self.inner = fast
        verdict = "serves" if ratio > 1 else "does not serve"
        log.info("%s: compiled in %.1f s, %.1f times eager's speed, %s", self.bundle.name, took, ratio, verdict)

    def _example(self, tasks: int, shots: int) -> tuple[State, Examples, torch.Tensor, torch.Tensor]:
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

    def _warm_up(self, inner: InnerLoop) -> None:
        """Compile for any number of tasks and examples from 2 on, by one call with these sizes marked dynamic."""
        states, support, rate, active = self._example(tasks=3, shots=5)
        for tensor in (*tree_leaves(states), *support, rate, active):
            torch._dynamo.mark_dynamic(tensor, 0)
        for tensor in support:
            torch._dynamo.mark_dynamic(tensor, 1)
        inner.step(self.meta, states, support, rate, active)
        inner.loss(self.meta, states, support)
        inner.apply(self.meta, states, support.inputs)

    def _check(self, inner: InnerLoop, eager: InnerLoop, tasks: int) -> None:
        """Raises RuntimeError where a step of `inner` is further than 1e-4 from one of `eager`."""
        states, support, rate, active = self._example(tasks, shots=10)
        for one, two in zip(
            tree_leaves(inner.step(self.meta, states, support, rate, active)),
            tree_leaves(eager.step(self.meta, states, support, rate, active)),
            strict=True,
        ):
            if not torch.allclose(one, two, rtol=1e-4, atol=1e-4):
                raise RuntimeError("the compiled step gives other numbers than the eager one")

    def _time(self, inner: InnerLoop) -> float:
        """Seconds that a small and a large batch take."""
        started = perf_counter()
        for tasks in (2, 64):
            states, support, rate, active = self._example(tasks, shots=10)
            for _ in range(5):
                states, _ = inner.step(self.meta, states, support, rate, active)
            if self.device.type == "cuda":
                torch.cuda.synchronize()
        return perf_counter() - started
