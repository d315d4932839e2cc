"""Large work, divided where it can be: the queries of a job, and the jobs of a cross-validation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from app.device import return_freed_memory
from app.errors import Invalid
from app.learn.adaptation_outcome import Adapted
from app.service.deadlines import ClientDisconnected
from app.service.engine import Engine
from app.service.feature_cache import FeatureCache
from app.service.fused_batches import MAX_TASKS
from app.service.job import Job, Result
from app.service.model import Model
from app.service.nearest_example import Distances
from app.service.task import Task
from app.service.work_cost import KERNELS, LABEL_COPIES, LARGE, NUMBER_BYTES

BY_QUERY = ("predictions", "spread", "distances", "similarity", "nearest")
"""The fields of a `Result` that have a row for each query."""
ENCODING_S = 0.5
"""Queries are encoded in parts that take so long: in smaller ones, each query takes longer."""
Abandoned = Callable[[], bool]
"""Whether nobody waits for the result any more."""


class LargeJob(NamedTuple):
    """A job, and its fast weights, [1, number], where they are known. price: of what is left to do"""

    job: Job
    state: torch.Tensor | None
    price: int


class LargeResult(NamedTuple):
    """The result of a job; and its fast weights, [1, number], where it keeps them and they are usable."""

    result: Result
    state: torch.Tensor | None


class LargeWork:
    """Runs large work in pieces that cost `LARGE` at most, if it can be divided. One thread at a time calls it.

    It has models and fast weights of its own, because the engine uses its own at the same time.
    """

    def __init__(self, max_bytes: int, features: FeatureCache | None = None) -> None:
        """max_bytes: the memory that one job may take, besides the request; features: a cache to share"""
        self._max_bytes = max_bytes
        self._engine = Engine(cache_bytes=0, features=features)
        self._models: WeakKeyDictionary[Model, Model] = WeakKeyDictionary()

    def run(self, jobs: Sequence[LargeJob], abandoned: Abandoned) -> list[LargeResult]:
        """Run jobs. Those that are small share fused calls.

        Raises Invalid, before any work, where a job would take too much memory; ClientDisconnected once abandoned.
        """
        ours = [each._replace(job=self._own(each.job)) for each in jobs]
        for job, state, _ in ours:
            self._check_memory(job, None if state is not None else job.task)
        results: list[LargeResult] = []
        try:
            for group in _groups(ours):
                for job, state, _ in group:
                    if state is not None:
                        self._engine.put(job, state)
                results += self._run_group([each.job for each in group], abandoned)
        finally:
            return_freed_memory()
        return results

    def walk(self, job: Job) -> Iterator[float | Adapted]:
        """As `Engine.walk`; afterwards `take` has the fast weights. Raises Invalid."""
        ours = self._own(job)
        self._check_memory(ours, ours.task)
        return self._engine.walk(ours)

    def take(self, job: Job) -> torch.Tensor | None:
        """The fast weights of a job if it keeps them and they are usable, [1, number]. They are no longer kept here."""
        return self._take(self._own(job))

    def _run_group(self, jobs: Sequence[Job], abandoned: Abandoned) -> list[LargeResult]:
        if len(jobs) == 1:
            return [LargeResult(self._run_divided(jobs[0], abandoned), self._take(jobs[0]))]
        if abandoned():
            raise ClientDisconnected
        return [LargeResult(each, self._take(job)) for job, each in zip(jobs, self._engine.run(jobs), strict=True)]

    def _run_divided(self, job: Job, abandoned: Abandoned) -> Result:
        """Run one job, some of its queries after others."""
        first: Result | None = None
        wholes: dict[str, Any] = {}
        done = 0
        if job.compares:
            job = self._engine.encoded(job)  # once for all parts
        for queries in self._parts(job):
            if abandoned():
                raise ClientDisconnected
            (part,) = self._engine.run([replace(job, queries=queries, keep=True)])
            if part.predictions is None:  # the inner loop has diverged, or there are no queries
                return part
            if first is None:
                first, wholes = part, {name: _empty_for(job, getattr(part, name)) for name in BY_QUERY}
            for name, whole in wholes.items():
                if whole is not None:
                    whole[done : done + len(part.predictions)] = getattr(part, name)
            done += len(part.predictions)
        assert first is not None, "there is at least one part"
        return first._replace(**wholes)

    def _parts(self, job: Job) -> Iterator[np.ndarray | None]:
        """The queries of a job as features, `queries_at_once` in each part."""
        if job.queries is None:
            yield None
            return
        at_once = job.queries_at_once
        for queries in _encoded_at_once(job):
            (encoded,) = self._engine.with_encoded_queries(job.model, [replace(job, queries=queries)])
            assert encoded.queries is not None, "there are queries"
            for start in range(0, len(queries), at_once):
                yield encoded.queries[start : start + at_once]

    def _own(self, job: Job) -> Job:
        """The job with a model of this thread."""
        model = self._models.get(job.model)
        if model is None:
            model = self._models[job.model] = Model(job.model.bundle, job.model.device)
        return replace(job, model=model)

    def _take(self, job: Job) -> torch.Tensor | None:
        state = self._engine.fast_weights(job) if job.keep else None
        self._engine.drop(job.model, job.key)
        return state

    def _check_memory(self, job: Job, task: Task | None) -> None:
        """Raises Invalid where a job needs too much memory. task: where its fast weights are not known"""
        queries = 0 if job.queries is None else len(job.queries)
        working = KERNELS * job.variant.peak_bytes(task, min(queries, job.queries_at_once))
        needed = working + queries * (NUMBER_BYTES * job.variant.outputs + LABEL_COPIES * _longest_label(job.task))
        if needed > self._max_bytes:
            place, rows = (job.place, job.place) if task is None else ("support", "examples")
            limit, amount = (f"{each / 2**20:,.1f} MiB" for each in (self._max_bytes, needed))
            expected = f"work within {limit} of memory (INNERLOOP_MAX_WORK_BYTES)"
            raise Invalid(place, expected, amount, f"send fewer {rows}")


def _longest_label(task: Task | None) -> int:
    """The bytes of the longest label; 0 where there is none."""
    return 0 if task is None else max((len(str(label).encode()) for label in task.classes), default=0)


def _groups(jobs: Sequence[LargeJob]) -> Iterator[list[LargeJob]]:
    """Jobs in a row that cost no more than `LARGE` together, or one that costs more."""
    group: list[LargeJob] = []
    price = 0
    for each in jobs:
        if group and (price + each.price > LARGE or len(group) == MAX_TASKS):
            yield group
            group, price = [], 0
        group.append(each)
        price += each.price
    if group:
        yield group


def _encoded_at_once(job: Job) -> Iterator[np.ndarray]:
    """The queries of a job in parts that take about `ENCODING_S` to encode."""
    assert job.queries is not None, "there are queries"
    rows = len(job.queries)
    at_once = max(1, int(rows * ENCODING_S / job.query_seconds)) if job.query_seconds else max(1, rows)
    for start in range(0, rows, at_once):
        yield job.queries[start : start + at_once]


def _empty_for(job: Job, part: Distances | None) -> np.ndarray | None:
    """An array for the answers to all queries, as those of a part are.

    Parts that were kept until the end would lie in memory between the large arrays that come and go, which then find
    no room there again: 2 GiB for 8 million queries.
    """
    if part is None or job.queries is None:
        return None
    rows = np.asarray(part)
    return np.empty((len(job.queries), *rows.shape[1:]), rows.dtype)
