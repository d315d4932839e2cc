"""The engine: any mix of adapting and predicting on one device, fused by model.

One thread at a time runs it. It knows no HTTP, no store and no clock.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from app.learn.adapted import Adapted
from app.learn.inner import stack
from app.service.fast_weights import FastWeights
from app.service.model import Model
from app.service.task import MAX_TASKS, Task, fused

INITIAL = None
"""The key of the initialization itself."""


@dataclass(eq=False, slots=True)
class Job:
    """Adapt to `task` unless its fast weights are cached under `key`, then answer `queries`.

    key: under which the fast weights are cached; an adaptation with its revision, or anything unique
    task: None for the initialization itself, whose key is INITIAL
    queries: float32 [query, feature], or None to adapt only
    keep: whether the fast weights stay cached
    weights: whether the result holds the parameters
    """

    model: Model
    key: Hashable
    task: Task | None
    queries: np.ndarray | None = None
    keep: bool = True
    weights: bool = False

    @property
    def view(self) -> Model:
        """The model for as many classes as the task has."""
        return self.model if self.model.ways is None else self.model.for_task(self.task)

    @property
    def bytes(self) -> int:
        """Of its arrays."""
        size = 0 if self.task is None else self.task.bytes
        return size if self.queries is None else size + self.queries.nbytes

    def rows(self, adapted: bool) -> int:
        """Rows that the network has to see: the measure of its work. adapted: whether the fast weights are there."""
        rows = 0 if adapted or self.task is None else self.task.rows * (self.task.steps + 1)
        return rows if self.queries is None else rows + len(self.queries)


class Result(NamedTuple):
    """adapted: what came of the inner loop, None where it did not have to run.

    predictions: float32 [query, target], where targets are labels the logits [query, class]; None where none were asked
        for, or where `adapted` is not usable
    weights: the parameters by name, where they were asked for
    spread: the standard deviation of each prediction, where the algorithm knows it
    """

    adapted: Adapted | None
    predictions: np.ndarray | None
    weights: dict[str, np.ndarray] | None
    spread: np.ndarray | None = None


class _Size(NamedTuple):
    """A class of work: up to the next power of two of rows, with nothing to adapt to or with something."""

    compiled: bool
    adapted: bool
    rows: int


class _Held:
    """What the engine holds of one model: fast weights, and how long it took by the size of the work."""

    def __init__(self, model: Model, cache_bytes: int) -> None:
        # twice what one fused call takes, so that nothing it has put there is given up before it is gathered
        self.fast = FastWeights(model.initial_state, cache_bytes, least=2 * MAX_TASKS)
        self._took: dict[_Size, float] = {}

    def size(self, model: Model, jobs: Sequence[Job]) -> _Size:
        """The class of work that takes about as long."""
        adapted = [job.key in self.fast for job in jobs]
        rows = sum([job.rows(known) for job, known in zip(jobs, adapted, strict=True)])
        return _Size(model.compiled, all(adapted), rows.bit_length())

    def seconds(self, size: _Size) -> float:
        """How long work of that size took before; infinity where there was none."""
        return self._took.get(size, float("inf"))

    def took(self, size: _Size, seconds: float) -> None:
        """Note it: the least of the last ones, as whatever else runs on the machine only ever adds time."""
        self._took[size] = min(seconds, 1.1 * self._took.get(size, seconds))


class Engine:
    """Runs jobs, and caches the fast weights of each model in about `cache_bytes` for as long as the model lives.

    Each variant of a classifier (`Model.for_task`) has a cache of its own, as its fast weights have another size.
    """

    def __init__(self, cache_bytes: int) -> None:
        self._cache_bytes = cache_bytes
        self._models: WeakKeyDictionary[Model, _Held] = WeakKeyDictionary()

    def _held(self, model: Model) -> _Held:
        held = self._models.get(model)
        if held is None:
            held = self._models[model] = _Held(model, self._cache_bytes)
        return held

    def seconds(self, jobs: Sequence[Job]) -> float:
        """How long they may take, by what work of that size took before; infinity where there was none."""
        together = 0.0
        for model, at in _by_model(jobs).items():
            held = self._models.get(model)
            together += float("inf") if held is None else held.seconds(held.size(model, [jobs[index] for index in at]))
        return together

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Run all jobs, in fused calls; `results[i]` is that of `jobs[i]`."""
        by_model = _by_model(jobs)
        if len(by_model) == 1:
            return self._run_all(next(iter(by_model)), jobs)
        results: dict[int, Result] = {}
        for model, at in by_model.items():
            results |= zip(at, self._run_all(model, [jobs[index] for index in at]), strict=True)
        return [results[index] for index in range(len(jobs))]

    def _run_all(self, model: Model, jobs: Sequence[Job]) -> list[Result]:
        """Run jobs of one model, and note how long that takes."""
        held = self._held(model)
        size, started = held.size(model, jobs), perf_counter()
        results: list[Result] = []
        for start in range(0, len(jobs), MAX_TASKS):
            results += self._run_model(model, held.fast, jobs[start : start + MAX_TASKS])
        held.took(size, perf_counter() - started)
        return results

    def walk(self, job: Job) -> Iterator[float | Adapted]:
        """Adapt step by step: each support loss as soon as it is known, and at last what came of it.

        The fast weights are cached then, if they are usable.
        """
        assert job.task is not None, "the initialization takes no steps"
        view = job.view
        state, adapted = yield from view.walk(job.task)
        if adapted.status.usable:
            self._held(view).fast.put([job.key], [0], state)
        yield adapted

    def drop(self, model: Model, key: Hashable) -> None:
        """Forget the fast weights under a key, if there are any."""
        for view in model.variants:
            if view in self._models:
                self._models[view].fast.drop(key)

    def _run_model(self, model: Model, fast: FastWeights, jobs: Sequence[Job]) -> list[Result]:
        missing = {job.key: job.task for job in jobs if not fast.touch(job.key)}
        adapted = self._derive(model, fast, missing) if missing else {}
        predictions = self._predict(
            model, fast, jobs, lambda keys, queries: model.predict_rows(fast.states, fast.rows(keys), queries)
        )
        results = [
            Result(
                adapted.get(job.key), predictions.get(index), self._weights(model, fast, job) if job.weights else None
            )
            for index, job in enumerate(jobs)
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
        """Put the missing fast weights into the cache; what came of each."""
        if INITIAL in missing:
            fast.put([INITIAL], [0], stack(model.initial_state, 1))
        tasks = [(key, task) for key, task in missing.items() if task is not None]
        adapted: dict[Hashable, Adapted] = {}
        for alike in _by_stages(tasks):
            for batch in fused([len(task.inputs) for _, task in alike]):
                states, outcomes = model.adapt([alike[index][1] for index in batch])
                keys = [alike[index][0] for index in batch]
                usable = [row for row, outcome in enumerate(outcomes) if outcome.status.usable]
                fast.put([keys[row] for row in usable], usable, states)
                adapted |= zip(keys, outcomes, strict=True)
        return adapted

    def _predict(
        self,
        model: Model,
        fast: FastWeights,
        jobs: Sequence[Job],
        answers: Callable[[Sequence[Hashable], Sequence[np.ndarray]], list[np.ndarray]],
    ) -> dict[int, np.ndarray]:
        """Answer the jobs that have queries and fast weights, by their index in `jobs`."""
        asked = [
            (index, job.key, job.queries)
            for index, job in enumerate(jobs)
            if job.queries is not None and job.key in fast
        ]
        if not asked:
            return {}
        predictions: dict[int, np.ndarray] = {}
        for batch in fused([len(queries) for _, _, queries in asked]):
            indices, keys, queries = zip(*(asked[at] for at in batch), strict=True)
            predictions |= zip(indices, answers(keys, queries), strict=True)
        if model.ways is not None:  # classes that only pad the batch are nobody's
            tasks = {index: jobs[index].task for index in predictions}
            predictions = {index: predictions[index][:, : len(task.classes)] for index, task in tasks.items() if task}
        return predictions

    def _weights(self, model: Model, fast: FastWeights, job: Job) -> dict[str, np.ndarray] | None:
        if job.key not in fast:
            return None
        return model.parameters(fast.gather([job.key]))


def _by_model(jobs: Sequence[Job]) -> dict[Model, list[int]]:
    """The jobs of each model, by their index."""
    found: dict[Model, list[int]] = {}
    for index, job in enumerate(jobs):
        found.setdefault(job.view, []).append(index)
    return found


def _by_stages(tasks: list[tuple[Hashable, Task]]) -> Iterable[list[tuple[Hashable, Task]]]:
    """Tasks of as many stages together; mostly all have one."""
    if all(task.before is None for _, task in tasks):
        return [tasks] if tasks else []
    alike: dict[int, list[tuple[Hashable, Task]]] = {}
    for key, task in tasks:
        alike.setdefault(len(task.stages), []).append((key, task))
    return alike.values()
