"""The engine adapts and predicts on one device, in fused calls for each model.

Call it from one thread at a time. It does no HTTP and no storage, and reads no clock but that of its measurements.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from app.learn.adaptation_outcome import Adapted
from app.learn.inner import repeat_state
from app.service.encoding_costs import EncodingCosts
from app.service.fast_weights_cache import FastWeights
from app.service.feature_cache import FeatureCache, Kept, encode_rows, encode_tasks
from app.service.fused_batches import MAX_TASKS, fused_batches
from app.service.job import INITIAL, Job, Result
from app.service.model import Model
from app.service.similar_examples import compare, examples_of
from app.service.task import Task

VARIANTS = 4
"""Variants of a classifier whose fast weights are cached."""
MIN_CACHED, MIN_CACHE_BYTES = 2 * MAX_TASKS, 64 * 2**20
"""A cache holds at least `MIN_CACHED` fast weights, or as many as fit into `MIN_CACHE_BYTES`, at least 2."""


class _Size(NamedTuple):
    """A key under which the engine stores measured times: jobs with the same key take about the same time.

    adapted: whether all fast weights are cached
    log_rows: the number of bits of the number of rows
    """

    compiled: bool
    adapted: bool
    log_rows: int


class _ModelState:
    """What the engine keeps for one model: its fast weights, and the measured time of each size of work.

    tasks: in one fused call at most
    used: the number of the last run of jobs of the model; a smaller one is longer ago
    """

    def __init__(self, model: Model, cache_bytes: int, used: int) -> None:
        fitting = MIN_CACHE_BYTES // model.initial_state.nbytes
        self.fast = FastWeights(model.initial_state, cache_bytes, min(MIN_CACHED, max(2, fitting)))
        # half of the cache, so that nothing that a fused call has put there is evicted before it is gathered
        self.tasks = min(MAX_TASKS, self.fast.capacity // 2)
        self.used = used
        self._seconds: dict[_Size, float] = {}

    def size(self, model: Model, jobs: Sequence[Job]) -> _Size:
        """The size of the work of these jobs."""
        compiled, adapted, rows = model.functions.compiled, True, 0
        for job in jobs:
            cached = job.key in self.fast
            adapted = adapted and cached
            rows += job.rows(cached)
            compiled = compiled and (job.task is None or job.task.weights is None)
        return _Size(compiled, adapted, rows.bit_length())

    def seconds(self, size: _Size) -> float:
        """The measured time of work of this size; infinity before the first measurement."""
        return self._seconds.get(size, float("inf"))

    def record(self, size: _Size, seconds: float) -> None:
        """Record a measured time. The least of the recent ones counts, as other load on the machine only adds time."""
        self._seconds[size] = min(seconds, 1.1 * self._seconds.get(size, seconds))


class Engine:
    """Runs jobs, and caches the fast weights of each model in about `cache_bytes` for as long as the model lives.

    Fast weights of a classifier have another size for each variant (`Model.for_task`). So the `VARIANTS` variants that
    were used last have a cache each, with an equal part of the bytes.
    """

    def __init__(self, cache_bytes: int, features: FeatureCache | None = None) -> None:
        """features: the cache of another engine, to share it."""
        self._cache_bytes = cache_bytes
        self.features = FeatureCache() if features is None else features
        self._encoding = EncodingCosts(self.features)
        self._models: WeakKeyDictionary[Model, _ModelState] = WeakKeyDictionary()
        self._runs = 0

    def _state(self, model: Model, job: Job) -> _ModelState:
        """What is kept for `model`, the variant of a job."""
        self._runs += 1
        state = self._models.get(model)
        if state is None:
            others = [each for each in job.model.variants if each in self._models]
            if len(others) == VARIANTS:
                del self._models[min(others, key=lambda each: self._models[each].used)]
            share = VARIANTS if model.varies else 1
            state = self._models[model] = _ModelState(model, self._cache_bytes // share, self._runs)
        state.used = self._runs
        return state

    def seconds(self, jobs: Sequence[Job]) -> float:
        """The expected time of the jobs, measured on work of the same size; infinity before the first measurement."""
        total = 0.0
        for model, indices in _by_model(jobs).items():
            state = self._models.get(model)
            if state is None:
                return float("inf")
            own = [jobs[index] for index in indices]
            total += state.seconds(state.size(model, own))
            if model.encodes:
                total += self._encoding_seconds(model, state.fast, own)
        return total

    def _encoding_seconds(self, model: Model, fast: FastWeights, jobs: Sequence[Job]) -> float:
        """About how long encoding takes for the jobs that need it; infinity for a slow encoder."""
        seconds = sum(self._encoding.support_seconds(job) for job in jobs if _needs_features(job, fast))
        seconds += sum(self._encoding.query_seconds(job) for job in jobs)
        return float("inf") if seconds and model.bundle.encoder.slow else seconds

    def price(self, job: Job) -> int:
        """`Job.price` without encoding what the cache of features has."""
        return self._encoding.price(job)

    def answer_price(self, job: Job) -> int:
        """`Job.answer_price` without encoding what the cache of features has."""
        return self._encoding.answer_price(job)

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Run all jobs, in fused calls; `results[i]` is that of `jobs[i]`."""
        try:
            return self._run_by_model(jobs)
        except SystemExit as error:  # raised by a user's network, it would end the server
            raise RuntimeError(f"a network exits: {error}") from error

    def _run_by_model(self, jobs: Sequence[Job]) -> list[Result]:
        by_model = _by_model(jobs)
        if len(by_model) == 1:
            return self._run_all(next(iter(by_model)), jobs)
        results: dict[int, Result] = {}
        for model, indices in by_model.items():
            results |= zip(indices, self._run_all(model, [jobs[index] for index in indices]), strict=True)
        return [results[index] for index in range(len(jobs))]

    def _run_all(self, model: Model, jobs: Sequence[Job]) -> list[Result]:
        """Run jobs of one model, and record the time."""
        state = self._state(model, jobs[0])
        size, started = state.size(model, jobs), perf_counter()
        results: list[Result] = []
        for start in range(0, len(jobs), state.tasks):
            part = jobs[start : start + state.tasks]
            if model.encodes:
                began = perf_counter()
                part = self._encoded(model, state.fast, part)
                started += perf_counter() - began
            results += self._run_fused(model, state.fast, part)
        state.record(size, perf_counter() - started)
        return results

    def encoded(self, job: Job) -> Job:
        """The job with the features of its task. Raises Outgrown."""
        if job.task is None or not job.model.encodes:
            return job
        (task,) = encode_tasks(job.model, [job.task], self.features)
        return replace(job, task=task)

    def _encoded(self, model: Model, fast: FastWeights, jobs: Sequence[Job]) -> list[Job]:
        """The jobs, with features for those that need them. Raises Outgrown."""
        missing = {job.key: job.task for job in jobs if job.task is not None and _needs_features(job, fast)}
        encoded = dict(zip(missing, encode_tasks(model, [*missing.values()], self.features), strict=True))
        queries = self._query_features(model, jobs)
        return [
            replace(job, task=encoded.get(job.key, job.task), queries=queries.get(index, job.queries))
            if job.key in encoded or index in queries
            else job
            for index, job in enumerate(jobs)
        ]

    def with_encoded_queries(self, model: Model, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs, of one model, with features as their queries."""
        features = self._query_features(model, jobs)
        return [replace(job, queries=features[index]) if index in features else job for index, job in enumerate(jobs)]

    def _query_features(self, model: Model, jobs: Sequence[Job]) -> dict[int, np.ndarray]:
        """The features of those queries of jobs, of one model, that have to be encoded, by the index of the job."""
        posted = {index: job.queries for index, job in enumerate(jobs) if job.queries is not None and job.asks_posted}
        kept = [Kept(jobs[index].owner, rows) for index, rows in posted.items()]
        return dict(zip(posted, encode_rows(model, kept, self.features), strict=True))

    def fast_weights(self, job: Job) -> torch.Tensor | None:
        """A copy of the fast weights of a job, [1, number]; None where they are not cached."""
        state = self._models.get(job.variant)
        return state.fast.gather([job.key]) if state is not None and state.fast.touch(job.key) else None

    def put(self, job: Job, states: torch.Tensor) -> None:
        """Cache the fast weights of a job, [1, number]."""
        self._state(job.variant, job).fast.put([job.key], [0], states)

    def walk(self, job: Job) -> Iterator[float | Adapted]:
        """Adapt step by step: yield each support loss as soon as it is computed, and the outcome last.

        The fast weights are cached before the outcome is yielded, if they are usable.
        """
        job = self.encoded(job)
        assert job.task is not None, "the initialization takes no steps"
        model = job.variant
        states, adapted = yield from model.walk(job.task)
        if adapted.status.usable:
            self._state(model, job).fast.put([job.key], [0], states)
        yield adapted

    def forget(self, owner: str, rows: Iterable[object]) -> None:
        """Drop the features of rows of an owner, if they are cached."""
        self.features.drop(owner, rows)

    def drop(self, model: Model, key: Hashable) -> None:
        """Drop the fast weights under a key from the cache, if they are there."""
        for variant in model.variants:
            if variant in self._models:
                self._models[variant].fast.drop(key)

    def _run_fused(self, model: Model, fast: FastWeights, jobs: Sequence[Job]) -> list[Result]:
        missing = {job.key: job.task for job in jobs if not fast.touch(job.key)}
        adapted = self._derive(model, fast, missing) if missing else {}
        predictions = self._predict(
            model, fast, jobs, lambda keys, queries: model.predict_rows(fast.states, fast.rows(keys), queries)
        )
        finite = model.ways is None and _are_finite([*predictions.values()])
        results = [
            Result(
                adapted.get(job.key),
                predictions.get(index),
                self._weights(model, fast, job) if job.weights else None,
                finite=finite,
                distances=job.distances(),
                features=examples_of(job.task) if job.features and job.task is not None else None,
            )
            for index, job in enumerate(jobs)
        ]
        results = [
            result._replace(**compare(job.queries, job.task)._asdict())
            if job.similar and job.task is not None and job.queries is not None and result.predictions is not None
            else result
            for job, result in zip(jobs, results, strict=True)
        ]
        if model.has_spread:
            spread = self._predict(model, fast, jobs, lambda keys, queries: model.spread(fast.gather(keys), queries))
            results = [result._replace(spread=spread.get(index)) for index, result in enumerate(results)]
        for job in jobs:
            if not job.keep:
                fast.drop(job.key)
        return results

    def _derive(
        self, model: Model, fast: FastWeights, missing: Mapping[Hashable, Task | None]
    ) -> dict[Hashable, Adapted]:
        """Derive the missing fast weights into the cache. Returns the outcome of each task by its key."""
        if INITIAL in missing:
            fast.put([INITIAL], [0], repeat_state(model.initial_state, 1))
        tasks = [(key, task) for key, task in missing.items() if task is not None]
        adapted: dict[Hashable, Adapted] = {}
        for group in _alike(tasks):
            for batch in fused_batches([len(task.inputs) for _, task in group]):
                states, outcomes = model.adapt([group[index][1] for index in batch])
                keys = [group[index][0] for index in batch]
                usable = [row for row, outcome in enumerate(outcomes) if outcome.status.usable]
                fast.put([keys[row] for row in usable], usable, states)
                adapted |= zip(keys, outcomes, strict=True)
        return adapted

    def _predict(
        self,
        model: Model,
        fast: FastWeights,
        jobs: Sequence[Job],
        answer: Callable[[Sequence[Hashable], Sequence[np.ndarray]], list[np.ndarray]],
    ) -> dict[int, np.ndarray]:
        """Answer the jobs that have queries and fast weights, by their index in `jobs`.

        answer: (keys, queries of each) -> the answers to each
        """
        answerable = [
            (index, job.key, job.queries)
            for index, job in enumerate(jobs)
            if job.queries is not None and job.key in fast
        ]
        if not answerable:
            return {}
        predictions: dict[int, np.ndarray] = {}
        for batch in fused_batches([len(queries) for _, _, queries in answerable]):
            indices, keys, queries = zip(*(answerable[index] for index in batch), strict=True)
            predictions |= zip(indices, answer(keys, queries), strict=True)
        if model.ways is not None:  # without the classes that only pad the batch
            tasks = {index: jobs[index].task for index in predictions}
            predictions = {index: predictions[index][:, : len(task.classes)] for index, task in tasks.items() if task}
        return predictions

    def _weights(self, model: Model, fast: FastWeights, job: Job) -> dict[str, np.ndarray] | None:
        if job.key not in fast:
            return None
        return model.parameters(fast.gather([job.key]))


def _needs_features(job: Job, fast: FastWeights) -> bool:
    """Whether a job needs the features of its support set: to adapt, or to compare queries with it."""
    return job.key not in fast or job.compares


def _are_finite(predictions: Sequence[np.ndarray]) -> bool:
    """Whether all numbers are finite, [query, target] each: one look at many takes no longer than a look at one."""
    if not predictions:
        return False
    together = predictions[0] if len(predictions) == 1 else np.concatenate(predictions)
    return bool(np.vdot(together, together) < np.inf)


def _by_model(jobs: Sequence[Job]) -> dict[Model, list[int]]:
    """The indices of the jobs of each model, or variant of it."""
    indices: dict[Model, list[int]] = {}
    for index, job in enumerate(jobs):
        indices.setdefault(job.variant, []).append(index)
    return indices


def _alike(tasks: list[tuple[Hashable, Task]]) -> Iterable[list[tuple[Hashable, Task]]]:
    """The tasks grouped by their number of stages, which mostly is one, and by whether their examples have weights."""
    if all(task.previous is None and task.weights is None for _, task in tasks):
        return [tasks] if tasks else []
    groups: dict[tuple[int, bool], list[tuple[Hashable, Task]]] = {}
    for key, task in tasks:
        groups.setdefault((len(task.stages), task.weights is None), []).append((key, task))
    return groups.values()
