"""A bundle on a device: many tasks adapted, and many queries answered, in one fused call."""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.func import grad_and_value

from app.bundles import Bundle
from app.learn.adapted import Adapted, judge
from app.learn.inner import (
    Examples,
    InnerLoop,
    Schedule,
    State,
    adapt,
    autograd_grad_and_value,
    batch_of_one,
    batched,
    repeat_state,
    trajectory,
    with_packed_state,
)
from app.learn.update_rules import LEARNED_PREFIX, Params
from app.service import decisions
from app.service.compiled.compiler import (
    Unrolled,
    by_steps,
    compare,
    compiled,
    inductor_options,
)
from app.service.outputs import KINDS
from app.service.task import MIN_WAYS, Task, column, pad, real_rows, ways_of

log = logging.getLogger(__name__)


MAX_UNROLLED = 8
"""Steps in one program: compiling takes 4 s for each."""
SINGLE_SHOTS = tuple(2**power for power in range(2, 11))
"""Numbers of examples at which a program for a single task is tried, until it is no faster any more."""


class Model:
    """One bundle, held by one device. Its methods run on one thread at a time; `compile` may run beside them.

    Where targets are labels, it serves tasks of up to `ways` classes, and `of` gives the one for any other number.
    """

    def __init__(self, bundle: Bundle, device: torch.device, ways: int = MIN_WAYS) -> None:
        manifest = bundle.manifest
        labels, self._staged = KINDS[manifest.kind].labels, KINDS[manifest.kind].staged
        self.bundle = bundle
        self.device = device
        self.max_classes = manifest.schema.targets if labels and not bundle.algorithm.embeds else None
        """Where targets are labels and the network has an output for each; None for any number."""
        self.ways = (self.max_classes or ways) if labels else None
        """The width of the class axis; None where targets are numbers."""
        self._others: dict[int, Model] = {}
        self.meta = {name: value.to(device) for name, value in bundle.meta.items()}
        self._eager, self._unpack = self._inner_loop()
        self.initial = self._eager.init(self.meta)
        """The state of a task before any step, packed: [number]."""
        self.inner = self._eager
        """What serves: over many tasks, compiled once `compile` is done."""
        self._alone = self._lone(autograd_grad_and_value)
        self._look_up: Callable[..., torch.Tensor] | None = None
        """(meta, rows, queries [task, 1, feature], states) -> answers, by states that are not gathered first."""
        self._unrolled: Unrolled | None = None
        self._single: Callable[[Task], tuple[torch.Tensor, torch.Tensor]] | None = None
        self._single_shots = range(0)
        """The numbers of examples at which `_single` serves."""
        self.compiling = False
        """Whether something is compiled for it at present."""

    def _inner_loop(self) -> tuple[InnerLoop[torch.Tensor], Callable[[torch.Tensor], State]]:
        """An inner loop over tasks for one thread, and what unpacks the states of one."""
        inner = batched(self.bundle.inner_loop(ways=self.ways))
        return with_packed_state(inner, inner.init(self.meta))

    def _lone(self, differentiate: Callable[..., Any]) -> InnerLoop[torch.Tensor]:
        """An inner loop for a single task and one thread."""
        inner = batch_of_one(self.bundle.inner_loop(differentiate, self.ways))
        return with_packed_state(inner, inner.init(self.meta))[0]

    def _adapt(
        self,
        support: Examples,
        rate: torch.Tensor,
        steps: torch.Tensor,
        longest: int,
        start: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The states of tasks after their steps, and the losses [task, longest + 1]. start: the states before."""
        start = repeat_state(self.initial, len(rate)) if start is None else start
        if self._unrolled is not None and longest == self._steps:
            return self._unrolled(self.meta, start, support, rate, steps)
        return adapt(self._serving(len(rate)), self.meta, support, Schedule(rate, steps, longest), start)

    def _serving(self, tasks: int) -> InnerLoop[torch.Tensor]:
        """What serves so many tasks."""
        return self._alone if tasks == 1 else self.inner

    def of(self, task: Task | None) -> "Model":
        """The one for as many classes as a task has: made when it is first asked for, and kept as long as this one."""
        if self.ways is None or self.max_classes is not None or task is None:
            return self
        ways = ways_of(len(task.classes))
        if ways == self.ways:
            return self
        if ways not in self._others:
            other = self._others[ways] = Model(self.bundle, self.device, ways)
            other.meta = self.meta  # one copy on the device is enough
        return self._others[ways]

    @property
    def views(self) -> Sequence["Model"]:
        """This one, and those that `of` has made."""
        return [self, *self._others.values()]

    @property
    def _steps(self) -> int:
        """The default number."""
        return self.bundle.manifest.inner_loop.steps

    @property
    def _least(self) -> int:
        """Tasks and examples that a call has at least."""
        return 2 if self.compiled else 1

    @property
    def digest(self) -> str:
        """Of its bundle."""
        return self.bundle.manifest.digest

    @property
    def compilable(self) -> bool:
        """Whether `compile` does anything: with labels, each number of ways would have to be compiled."""
        return self.ways is None

    @property
    def compiled(self) -> bool:
        """Whether the compiled inner loop serves."""
        return self.inner is not self._eager

    def adapt(self, tasks: Sequence[Task]) -> tuple[torch.Tensor, list[Adapted]]:
        """Run the inner loop on all tasks at once: their states, [task, number], padding behind; what came of each.

        All have as many stages, and each goes on with the weights and with what the rule remembers: its rate may differ
        by stage. Where the inner loop comes to nothing in one of them, it is what came of that one.
        """
        if not self._staged:
            return self._stage(tasks)
        first, *later = zip(*(task.stages for task in tasks), strict=True)
        states, outcomes = self._stage([replace(task, targets=self._targets(task)) for task in first])
        for stage in later:
            ready = [replace(task, targets=self._targets(task)) for task in stage]
            states, new = self._stage(ready, states)
            outcomes = [one if not one.status.usable else two for one, two in zip(outcomes, new, strict=True)]
        return states, outcomes

    def _targets(self, task: Task) -> np.ndarray:
        """The targets of decisions as the loss takes them."""
        return decisions.weighed(task, self.bundle.manifest.schema)

    def _stage(self, tasks: Sequence[Task], start: torch.Tensor | None = None) -> tuple[torch.Tensor, list[Adapted]]:
        """One stage of all tasks, whose targets are as the loss takes them. start: the states before, as `adapt`'s."""
        single = self._single if start is None else None
        if single and len(tasks) == 1 and len(tasks[0].inputs) in self._single_shots and tasks[0].steps == self._steps:
            states, losses = single(tasks[0])
        else:
            support, rate, steps = self._batch(tasks)
            with torch.no_grad():
                states, losses = self._adapt(support, rate, steps, max(task.steps for task in tasks), start)
        initial_loss = self.bundle.manifest.initial_loss
        outcomes = []
        for task, row in zip(tasks, losses.tolist(), strict=False):
            taken = tuple(row[: task.steps + 1])
            outcomes.append(Adapted(taken, judge(taken, initial_loss)))
        return states, outcomes

    def _batch(self, tasks: Sequence[Task]) -> tuple[Examples, torch.Tensor, torch.Tensor]:
        """Support sets, rates and steps of tasks, padded."""
        least = 1 if self._staged else self._least  # once: `compile` may change it meanwhile
        inputs = pad([task.inputs for task in tasks], least)
        targets = pad([task.targets if self.ways is None else task.one_hot(self.ways) for task in tasks], least)
        mask = real_rows([len(task.inputs) for task in tasks], inputs)
        rate = column([task.learning_rate for task in tasks], np.float32, len(inputs))
        steps = column([task.steps for task in tasks], np.int64, len(inputs))
        parts: Sequence[torch.Tensor] = (inputs, targets, mask, rate, steps)
        if self.device.type != "cpu":
            parts = [part.to(self.device) for part in parts]
        return Examples(*parts[:3]), parts[3], parts[4]

    @torch.no_grad()
    def walk(self, task: Task) -> Generator[float, None, tuple[torch.Tensor, Adapted]]:
        """Run the inner loop on one task of one stage, step by step: yield each support loss as soon as it is known.

        Returns the states, as from `adapt`, and what came of the task.
        """
        if self._staged:
            task = replace(task, targets=self._targets(task))
        support, rate, steps = self._batch([task])
        losses = []
        inner, start = self._serving(len(rate)), repeat_state(self.initial, len(rate))
        for states, loss in trajectory(inner, self.meta, support, Schedule(rate, steps, task.steps), start):  # noqa: B007
            losses.append(loss[0].item())
            yield losses[-1]
        return states, Adapted(tuple(losses), judge(losses, self.bundle.manifest.initial_loss))

    def parameters(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """All parameters of the network by name, after the first of the states; with its head where that is solved."""
        state = self._unpack(states[:1])
        network = {name: value for name, value in self.meta.items() if not name.startswith(LEARNED_PREFIX)}
        whole = network | {name: value[0] for name, value in (state.fast | state.statistics).items()}
        return {name: value.cpu().numpy() for name, value in whole.items()}

    @torch.no_grad()
    def predict(self, states: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Answer `queries[i]`, float32 [query, feature], with row i of the states; float32 [query, target].

        Raises ValueError where there are fewer states than queries.
        """
        return self._answer(lambda inner: inner.apply, states, queries)

    def looks_up(self, queries: Sequence[np.ndarray]) -> bool:
        """Whether `look_up` answers these."""
        return self._look_up is not None and max(map(len, queries)) == 1

    @torch.no_grad()
    def look_up(self, states: torch.Tensor, rows: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Answer `queries[i]`, a single one, with row `rows[i]` of the states, which `predict` would have gathered."""
        assert self._look_up is not None, "looks_up was asked"
        inputs = torch.from_numpy(np.concatenate(queries)).unsqueeze(1)
        if len(queries) == 1:  # compiled code is not for one
            rows, inputs = rows.expand(2).contiguous(), inputs.expand(2, -1, -1).contiguous()
        outputs = self._look_up(self.meta, rows, inputs.to(self.device), states).cpu().numpy()
        return list(outputs[: len(queries)])

    @property
    def knows_spread(self) -> bool:
        """Whether `spread` can be asked."""
        return self._eager.variance is not None

    @torch.no_grad()
    def spread(self, states: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The standard deviation of what `predict` answers; arguments and shapes are the same."""
        return [np.sqrt(each) for each in self._answer(lambda inner: inner.variance, states, queries)]

    def _answer(
        self,
        function: Callable[[InnerLoop[torch.Tensor]], Callable[..., torch.Tensor] | None],
        states: torch.Tensor,
        queries: Sequence[np.ndarray],
    ) -> list[np.ndarray]:
        """A function of the inner loop that serves, of each of the states and its queries."""
        inputs = pad(queries, self._least)
        if len(states) < len(queries):  # compiled code does not look
            raise ValueError(f"{len(queries)} states expected")
        states = states[: len(queries)] if len(queries) == len(inputs) else states[:1].expand(len(inputs), -1)
        answer = function(self._serving(len(inputs)))
        assert answer is not None, "only what the inner loop knows is asked"
        outputs = answer(self.meta, states.contiguous(), inputs.to(self.device)).cpu().numpy()
        return [row[: len(each)] for row, each in zip(outputs, queries, strict=False)]

    @torch.no_grad()
    def compile(self) -> None:
        """Compile the inner step, the loss and the prediction, and serve with them where they measure faster.

        Each is compiled once, general in the number of tasks and of examples; the loop over steps stays Python, so no
        step count compiles anew. Of a policy it is the prediction alone: the gradient of its likelihood under `vmap`
        fixes the number of tasks in what is compiled. Raises RuntimeError where compiling fails or gives other numbers
        than eager. Does nothing where it is not `compilable`.
        """
        if not self.compilable:
            return
        started = perf_counter()
        eager, _ = self._inner_loop()  # not the one that serves meanwhile, on another thread
        options = inductor_options(self.device)
        states, support, rate, active = self._example(tasks=7, shots=11)
        meta = self.meta

        fast = replace(eager, apply=compiled(eager.apply, (meta, states, support.inputs), (0, 1, 2), options))
        if self._staged:
            ratio = compare(self._asking(fast), self._asking(eager), self.device)
        else:
            fast = replace(
                fast,
                step=compiled(eager.step, (meta, states, support, rate, active), (0, 1, 2, 1, 1), options),
                loss=compiled(eager.loss, (meta, states, support), (0, 1, 2), options),
            )
            ratio = compare(self._trial(by_steps(fast, 5), 5), self._trial(by_steps(eager, 5), 5), self.device)
        took = perf_counter() - started
        if ratio > 1:
            self.inner = fast
        verdict = "serves" if ratio > 1 else "does not serve"
        log.info("%s: compiled in %.1f s, %.1f times eager's speed, %s", self.bundle.name, took, ratio, verdict)

    @torch.no_grad()
    def compile_look_up(self) -> None:
        """Compile the answers to one query each from the cache of fast weights itself, and serve so where it is faster.

        Each weight is read once, where gathering writes and reads it once more: 64 policies of 2-100-100-4 take 152 us
        instead of 576, two 16 instead of 33. Does nothing where compiled predictions do not serve. Raises what
        `compile` raises.
        """
        if not self.compiled:
            return
        inner, started = self._inner_loop()[0], perf_counter()
        support = self._example(tasks=7, shots=2)[1]
        rows, queries = torch.arange(7, device=self.device), support.inputs[:, :1].contiguous()
        cache = repeat_state(self.initial, 13)  # of a size of its own, so that it is general too

        def looked_up(meta: Params, rows: torch.Tensor, queries: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
            return inner.apply(meta, states[rows], queries)

        look_up = compiled(looked_up, (self.meta, rows, queries, cache), (0, 1, 1, 1), inductor_options(self.device))
        ratio = compare(*self._looking(look_up), self.device)
        took = perf_counter() - started
        if ratio > 1:
            self._look_up = look_up
        verdict = "serve" if ratio > 1 else "do not serve"
        log.info("%s: look-ups compiled in %.1f s, %.1f times the speed, %s", self.bundle.name, took, ratio, verdict)

    @torch.no_grad()
    def unroll(self) -> None:
        """Compile the default number of steps as one program too, and serve with it where that measures faster.

        Other numbers of steps go on step by step. For 2 tasks of an MLP 1-40-40-1, 10 examples and 5 steps it takes 125
        instead of 186 us, for 64 876 instead of 957, and 20 s to compile. Does nothing where compiled steps do not
        serve, and for numbers of steps that would take minutes. Raises what `compile` raises.
        """
        steps = self._steps
        if not self.compiled or self._staged or not 0 < steps <= MAX_UNROLLED:
            return
        started = perf_counter()
        whole = by_steps(self._inner_loop()[0], steps)
        states, support, rate, active = self._example(tasks=7, shots=11)
        form = (self.meta, states, support, rate, active.long() * steps)
        unrolled = compiled(whole, form, (0, 1, 2, 1, 1), inductor_options(self.device))
        ratio = compare(self._trial(unrolled, steps), self._trial(by_steps(self.inner, steps), steps), self.device)
        took = perf_counter() - started
        if ratio > 1:
            self._unrolled = unrolled
        verdict = "serves" if ratio > 1 else "does not serve"
        log.info(
            "%s: %d steps unrolled in %.1f s, %.2f times the speed, %s", self.bundle.name, steps, took, ratio, verdict
        )

    @torch.no_grad()
    def compile_single(self) -> None:
        """Compile the default number of steps for a single task, and serve with it where that measures faster.

        That is up to some number of examples, beyond which its sums are slower than products of matrices. Does nothing
        on a GPU, for numbers of steps that would take minutes, for a policy, and where it is not `compilable`. Raises
        what `compile` raises.
        """
        steps = self._steps
        possible = self.compilable and not self._staged and self.device.type == "cpu"
        if not possible or not 0 < steps <= MAX_UNROLLED:
            return
        started = perf_counter()
        try:
            from app.service.compiled.single_task import SingleTask  # it needs interfaces that another torch may lack

            schema = self.bundle.manifest.schema
            form = schema.features, schema.targets
            single = SingleTask(self._lone(grad_and_value), self.meta, self.initial, form, steps)
        except (ImportError, AttributeError, TypeError) as error:
            raise RuntimeError(f"no program for a single task: {error}") from error
        took = perf_counter() - started
        most, usual = 0, self._usual_single(steps)
        for shots in SINGLE_SHOTS:
            if compare(*self._single_trial(single, usual, shots), self.device) < 1:
                break
            most = shots
        self._single, self._single_shots = single, range(2, most + 1)
        log.info(
            "%s: %d steps of a single task compiled in %.1f s, serves up to %d examples",
            self.bundle.name,
            steps,
            took,
            most,
        )

    def _usual_single(self, steps: int) -> Unrolled:
        """What adapts a single task without `_single`, on this thread."""
        if not self.compiled:
            return by_steps(self._lone(autograd_grad_and_value), steps)
        return self._unrolled or by_steps(self.inner, steps)

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
        return repeat_state(self.initial, tasks), support, rate, torch.ones(tasks, dtype=torch.bool, device=self.device)

    def _asking(self, inner: InnerLoop[torch.Tensor]) -> Callable[[], Any]:
        """Asking a few and many tasks for a prediction."""
        examples = [self._example(tasks, shots=2) for tasks in (2, 64)]  # one is none that compiled code is for
        return lambda: [inner.apply(self.meta, states, support.inputs) for states, support, *_ in examples]

    def _looking(self, look_up: Callable[..., torch.Tensor]) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """Asking a few and many of 256 tasks one query each, by looking up and by gathering."""
        cache, support, *_ = self._example(tasks=256, shots=2)
        several = [torch.arange(0, 256, 256 // tasks, device=self.device) for tasks in (2, 64)]

        def gather(rows: torch.Tensor) -> torch.Tensor:
            return self.inner.apply(self.meta, cache.index_select(0, rows), support.inputs[: len(rows)])[:, :1]

        def look(rows: torch.Tensor) -> torch.Tensor:
            return look_up(self.meta, rows, support.inputs[: len(rows), :1].contiguous(), cache)

        return lambda: list(map(look, several)), lambda: list(map(gather, several))

    def _single_trial(
        self, single: Callable[[Task], Any], usual: Unrolled, shots: int
    ) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """Adapting to one task by `single` and in the usual way."""
        states, support, rate, active = self._example(self._least, shots)
        one = Task(support.inputs[0].numpy(), support.targets[0].numpy(), self._steps, rate[0].item())

        def by_usual() -> list[torch.Tensor]:
            return [part[:1] for part in usual(self.meta, states, support, rate, active.long() * self._steps)]

        return partial(single, one), by_usual

    def _trial(self, way: Unrolled, steps: int) -> Callable[[], Any]:
        """Adapting to a few and to many tasks in one way."""
        batches = [self._example(tasks, shots=10) for tasks in (2, 64)]

        def run() -> list[tuple[torch.Tensor, torch.Tensor]]:
            return [
                way(self.meta, states, support, rate, active.long() * steps)
                for states, support, rate, active in batches
            ]

        return run
