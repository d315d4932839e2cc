"""A bundle on a device: many tasks adapted, and many queries answered, in one fused call."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np
import torch

from app.bundles.bundle import Bundle
from app.learn.adaptation_outcome import Adapted, judge
from app.learn.inner import Examples, InnerLoop, Schedule, adapt, repeat_state, trajectory
from app.learn.pytrees import leaves, rebuild
from app.learn.update_rules import LEARNED_PREFIX
from app.service import decisions, work_cost
from app.service.answers import KINDS
from app.service.fused_batches import (
    MIN_WAYS,
    column,
    declared_classes,
    have_weights,
    pad,
    padded_ways,
    padded_weights,
    row_mask,
)
from app.service.serving_functions import ServingFunctions, eager
from app.service.task import Task

MAX_PEAKS = 256
"""Measurements of memory that a model keeps: each takes about 5 ms."""


class Model:
    """One bundle on one device. Its methods run on one thread at a time.

    `functions` are what it serves with, eager at first. Another thread may replace them at any time, so
    each call reads them once.

    Where targets are labels, a model serves tasks of up to `ways` classes; `for_task` gives the one for another number.
    """

    def __init__(self, bundle: Bundle, device: torch.device, ways: int = MIN_WAYS) -> None:
        manifest = bundle.manifest
        labels, self.staged = KINDS[manifest.kind].labels, KINDS[manifest.kind].staged
        self.bundle = bundle
        self.digest = manifest.digest
        """The digest of the bundle."""
        self.encodes = bundle.encoder.slow or not bundle.encoder.keeps_features
        """Whether the worker may have to encode the inputs of a record (`app.service.feature_cache`)."""
        self.device = device
        self.max_classes = manifest.schema.targets if labels and not bundle.algorithm.embeds else None
        """The number of the network's outputs, where there is one for each class; None for any number of classes."""
        self.ways = (self.max_classes or ways) if labels else None
        """The width of the class axis; None where targets are numbers."""
        self.varies = labels and self.max_classes is None
        """Whether the number of classes has variants (`for_task`)."""
        self._variants: dict[int, Model] = {}
        self._peaks: dict[tuple[int, int], int] = {}
        self.meta = {name: value.to(device) for name, value in bundle.meta.items()}
        self.functions: ServingFunctions = eager(bundle, self.meta, self.ways)
        inner = self.functions.inner
        self.initial_state = inner.init(self.meta)
        """The state of a task before any step, packed: [number]."""
        self.has_spread = inner.variance is not None
        """Whether the algorithm gives a standard deviation with each prediction (`spread`)."""
        self.compiling = False
        """Whether something is being compiled for this model."""
        self.row_price = work_cost.multiply_adds(self._try_out) + manifest.schema.features
        """What passing a row through the network costs, in multiply-adds."""
        self.outputs = self.ways or manifest.schema.targets
        """Numbers in the answer to one query, about."""
        self.answer_price = self.row_price + work_cost.NUMBER_PRICE * self.outputs
        """What the answer to one query costs, in multiply-adds."""

    @torch.no_grad()
    def _try_out(self) -> None:
        """Answer one query of zeros. Raises whatever the network raises, which may be a user's own code."""
        inputs = torch.zeros(1, 1, self.bundle.manifest.schema.features, device=self.device)
        self.functions.alone.apply(self.meta, self.initial_state.unsqueeze(0), inputs)

    def for_task(self, task: Task | None) -> "Model":
        """The model for as many classes as the task has. It is made at first use and kept as long as this one."""
        if not self.varies or task is None:
            return self
        ways = padded_ways(len(task.classes))
        if ways == self.ways:
            return self
        if ways not in self._variants:
            variant = self._variants[ways] = Model(self.bundle, self.device, ways)
            variant.meta = self.meta  # one copy on the device is enough
        return self._variants[ways]

    def encoding_seconds(self, task: Task | None) -> float:
        """About how long encoding the inputs of a task, and the words of its classes, takes.

        0 where they are features, or the task has these.
        """
        if not self.encodes or task is None or task.kept_by is None or task.encoded_for(self.digest) is not None:
            return 0.0
        known, encoder = task.encoding_seconds, self.bundle.encoder
        if self.digest not in known:
            known[self.digest] = sum(
                encoder.seconds(stage.inputs) + encoder.seconds([*stage.names.values()]) for stage in task.stages
            )
        return known[self.digest]

    @property
    def variants(self) -> Sequence["Model"]:
        """This model, and those that `for_task` has made."""
        return [self, *self._variants.values()]

    @property
    def compilable(self) -> bool:
        """Whether the functions can be compiled. Labels would need one for each number of ways, so they are not."""
        return self.ways is None and self.bundle.algorithm.compilable

    @property
    def compiled(self) -> bool:
        """Whether the compiled inner loop serves."""
        return self.functions.compiled

    def peak_bytes(self, task: Task | None, queries: int) -> int:
        """The memory that adapting to a task takes at its peak, or answering so many queries at once, if that is more.

        It is found by doing both with tensors that have shapes and no data; or, where a network cannot do that, with
        two rows, as if each row took as much as these.
        """
        stages = [] if task is None else [len(stage.inputs) for stage in task.stages]
        size = max(stages, default=0), queries
        if size not in self._peaks:
            if len(self._peaks) == MAX_PEAKS:
                del self._peaks[next(iter(self._peaks))]
            self._peaks[size] = self._measured_peak(*size)
        return self._peaks[size]

    def _measured_peak(self, rows: int, queries: int) -> int:
        try:
            return self._peak_bytes(torch.device("meta"), rows, queries)
        except (NotImplementedError, RuntimeError):
            return self._peak_bytes(self.device, 2, 2) * max(rows, queries)

    @torch.no_grad()
    def _peak_bytes(self, device: torch.device, rows: int, queries: int) -> int:
        """As `peak_bytes`, for a stage of `rows` examples."""
        meta = {name: value.to(device) for name, value in self.meta.items()}
        inner, schema = self.functions.alone, self.bundle.manifest.schema
        start = inner.init(meta).unsqueeze(0)
        width = self.ways or schema.targets + self.staged  # a decision has its weight behind the action
        support = Examples(
            start.new_zeros(1, rows, schema.features),
            start.new_zeros(1, rows, width),
            torch.ones(1, rows, dtype=torch.bool, device=device),
        )
        schedule = Schedule(start.new_zeros(1), torch.ones(1, dtype=torch.int64, device=device), 1)
        answering = work_cost.peak_bytes(inner.apply, meta, start, start.new_zeros(1, queries, schema.features))
        return max(answering, work_cost.peak_bytes(adapt, inner, meta, support, schedule, start) if rows else 0)

    def adapt(self, tasks: Sequence[Task]) -> tuple[torch.Tensor, list[Adapted]]:
        """Run the inner loop on all tasks at once: their states, [task, number], padding at the end; their outcomes.

        All tasks have the same number of stages. Each stage begins with the weights, and with what the update rule
        remembers, after the one before; its rate may differ. The outcome of a task is that of its first stage whose
        fast weights are not usable, else of its last.
        """
        if not self.staged:
            return self._adapt_stage(tasks)
        first, *later = zip(*(task.stages for task in tasks), strict=True)
        states, outcomes = self._adapt_stage([self._weighted(task) for task in first])
        for stage in later:
            states, new = self._adapt_stage([self._weighted(task) for task in stage], states)
            outcomes = [one if not one.status.usable else two for one, two in zip(outcomes, new, strict=True)]
        return states, outcomes

    def _weighted(self, task: Task) -> Task:
        """A stage of decisions with its targets as the loss takes them."""
        return replace(task, targets=decisions.with_weights(task, self.bundle.manifest.schema))

    def _adapt_stage(
        self, tasks: Sequence[Task], start: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[Adapted]]:
        """One stage of all tasks, whose targets are as the loss takes them. start: the states before, as in `adapt`."""
        functions = self._functions_for(tasks)
        if (
            functions.single is not None
            and len(tasks) <= functions.max_singles
            and start is None
            and all(task.steps == functions.steps and len(task.inputs) in functions.single_shots for task in tasks)
        ):
            results = [functions.single(task) for task in tasks]
            states = results[0][0] if len(results) == 1 else torch.cat([state for state, _ in results])
            losses = [row for _, row in results]
        else:
            support, rate, steps = self._batch(tasks, functions.min_adapt)
            max_steps = max(task.steps for task in tasks)
            with torch.no_grad():
                if start is None:
                    start = repeat_state(self.initial_state, len(rate))
                if functions.unrolled is not None and max_steps == functions.steps:
                    states, all_losses = functions.unrolled(self.meta, start, support, rate, steps)
                else:
                    inner = functions.inner_for(len(rate))
                    states, all_losses = adapt(inner, self.meta, support, Schedule(rate, steps, max_steps), start)
            losses = all_losses.tolist()
        initial_loss = self.bundle.manifest.initial_loss
        outcomes = []
        for task, row in zip(tasks, losses, strict=False):
            task_losses = tuple(row[: task.steps + 1])
            outcomes.append(Adapted(task_losses, judge(task_losses, initial_loss)))
        return states, outcomes

    def _functions_for(self, tasks: Sequence[Task]) -> ServingFunctions:
        """The functions that adapt to these tasks."""
        return self.functions.for_weights if have_weights(tasks) else self.functions

    def _batch(self, tasks: Sequence[Task], min_size: int) -> tuple[Examples, torch.Tensor, torch.Tensor]:
        """Support sets, rates and steps of tasks, padded to at least `min_size` tasks and examples."""
        inputs = pad([task.inputs for task in tasks], min_size)
        targets = pad([task.targets if self.ways is None else task.one_hot(self.ways) for task in tasks], min_size)
        if have_weights(tasks):
            mask = padded_weights(tasks, inputs)
        else:
            mask = row_mask([len(task.inputs) for task in tasks], inputs)
        rate = column([task.learning_rate for task in tasks], np.float32, len(inputs))
        steps = column([task.steps for task in tasks], np.int64, len(inputs))
        declared = () if self.ways is None else declared_classes(tasks, self.ways, len(inputs))
        batch = Examples(inputs, targets, mask, declared), rate, steps
        if self.device.type != "cpu":
            batch = rebuild(batch, (part.to(self.device) for part in leaves(batch)))
        return batch

    @torch.no_grad()
    def walk(self, task: Task) -> Generator[float, None, tuple[torch.Tensor, Adapted]]:
        """Run the inner loop on one task of one stage, step by step: yield each support loss as it is computed.

        Returns the states, as from `adapt`, and the outcome.
        """
        functions = self._functions_for([task])
        if self.staged:
            task = self._weighted(task)
        support, rate, steps = self._batch([task], functions.min_adapt)
        losses = []
        inner, start = functions.inner_for(len(rate)), repeat_state(self.initial_state, len(rate))
        for states, loss in trajectory(inner, self.meta, support, Schedule(rate, steps, task.steps), start):  # noqa: B007
            losses.append(loss[0].item())
            yield losses[-1]
        return states, Adapted(tuple(losses), judge(losses, self.bundle.manifest.initial_loss))

    def parameters(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """All parameters of the network for the first of the states, by name; a solved head is among them."""
        state = self.functions.unpack(states[:1])
        network = {name: value for name, value in self.meta.items() if not name.startswith(LEARNED_PREFIX)}
        whole = network | {name: value[0] for name, value in (state.fast | state.statistics).items()}
        return {name: value.cpu().numpy() for name, value in whole.items()}

    @torch.no_grad()
    def predict(self, states: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Answer `queries[i]`, float32 [query, feature], with row i of the states; float32 [query, target].

        Raises ValueError where there are fewer states than queries.
        """
        return self._answer(lambda inner: inner.apply, states, queries)

    @torch.no_grad()
    def predict_rows(self, states: torch.Tensor, rows: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Answer `queries[i]` with row `rows[i]` of the states, without gathering these where that is faster.

        Arguments and results are otherwise those of `predict`.
        """
        look_up = self.functions.look_up
        if look_up is None or max(map(len, queries)) > 1:
            return self._answer(lambda inner: inner.apply, states.index_select(0, rows), queries)
        inputs = torch.from_numpy(np.concatenate(queries)).unsqueeze(1)
        if len(queries) == 1:  # compiled code is not for one
            rows, inputs = rows.expand(2).contiguous(), inputs.expand(2, -1, -1).contiguous()
        outputs = look_up(self.meta, rows, inputs.to(self.device), states).cpu().numpy()
        return list(outputs[: len(queries)])

    @torch.no_grad()
    def spread(self, states: torch.Tensor, queries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The standard deviation of each number that `predict` gives for the same arguments, in the same shapes."""
        return [np.sqrt(variance) for variance in self._answer(lambda inner: inner.variance, states, queries)]

    def _answer(
        self,
        function: Callable[[InnerLoop[torch.Tensor]], Callable[..., torch.Tensor] | None],
        states: torch.Tensor,
        queries: Sequence[np.ndarray],
    ) -> list[np.ndarray]:
        """Apply a function of the inner loop to each of the states with its queries."""
        functions = self.functions
        inputs = pad(queries, functions.min_predict)
        if len(states) < len(queries):  # compiled code does not check it
            raise ValueError(f"{len(queries)} states expected")
        states = states[: len(queries)] if len(queries) == len(inputs) else states[:1].expand(len(inputs), -1)
        answer = function(functions.inner_for(len(inputs)))
        assert answer is not None, "`spread` needs `has_spread`"
        outputs = answer(self.meta, states.contiguous(), inputs.to(self.device)).cpu().numpy()
        return [output[: len(rows)] for output, rows in zip(outputs, queries, strict=False)]
