"""The engine: any mix of adapting and predicting on one device, fused by model.

It runs on one thread, the batcher's. It knows no HTTP, no store and no clock.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.learn.adapted import Adapted
from app.learn.inner import stack
from app.service.fast_weights import FastWeights
from app.service.model import Model
from app.service.task import MOST_TASKS, Task, fused

UNTOUCHED = None
"""The key of the initialization itself."""


@dataclass(frozen=True, eq=False)
class Job:
    """Adapt to `task` unless its fast weights are cached under `key`, then answer `queries`.

    key: under which the fast weights are cached; an adaptation's id, or anything unique
    task: None for the initialization itself, whose key is UNTOUCHED
    queries: float32 [query, feature], or None to adapt only
    keep: whether the fast weights stay cached
    """

    model: str
    key: Hashable
    task: Task | None
    queries: np.ndarray | None
    keep: bool = True


@dataclass(frozen=True, eq=False)
class Result:
    """adapted: what came of the inner loop, None where it did not have to run.

    predictions: float32 [query, target]; None where none were asked for, or where `adapted` is not usable
    """

    adapted: Adapted | None
    predictions: np.ndarray | None


class Engine:
    """Runs jobs; holds the fast weights of each model in a cache of about `cache_bytes`."""

    def __init__(self, models: Mapping[str, Model], cache_bytes: int) -> None:
        self._models = models
        # twice what one fused call takes, so that nothing it has put there is given up before it is gathered
        least = 2 * MOST_TASKS
        self._fast = {name: FastWeights(model.untouched, cache_bytes, least) for name, model in models.items()}

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Run all jobs, in fused calls; `results[i]` is that of `jobs[i]`."""
        results: dict[int, Result] = {}
        for name in {job.model for job in jobs}:
            mine = [index for index, job in enumerate(jobs) if job.model == name]
            for start in range(0, len(mine), MOST_TASKS):
                some = mine[start : start + MOST_TASKS]
                results |= zip(some, self._run_model(name, [jobs[index] for index in some]), strict=True)
        return [results[index] for index in range(len(jobs))]

    def _run_model(self, name: str, jobs: Sequence[Job]) -> list[Result]:
        model, fast = self._models[name], self._fast[name]
        adapted = self._derive(model, fast, {job.key: job.task for job in jobs if not fast.touch(job.key)})
        predictions = self._predict(model, fast, jobs)
        for job in jobs:
            if not job.keep:
                fast.drop(job.key)
        return [Result(adapted.get(job.key), predictions.get(index)) for index, job in enumerate(jobs)]

    def _derive(
        self, model: Model, fast: FastWeights, missing: Mapping[Hashable, Task | None]
    ) -> dict[Hashable, Adapted]:
        """Put the missing fast weights into the cache; what came of each."""
        if UNTOUCHED in missing:
            fast.put([UNTOUCHED], [0], stack(model.untouched, 1))
        tasks = [(key, task) for key, task in missing.items() if task is not None]
        adapted: dict[Hashable, Adapted] = {}
        for batch in fused([len(task.inputs) for _, task in tasks]):
            states, outcomes = model.adapt([tasks[index][1] for index in batch])
            keys = [tasks[index][0] for index in batch]
            usable = [row for row, outcome in enumerate(outcomes) if outcome.status.usable]
            fast.put([keys[row] for row in usable], usable, states)
            adapted |= zip(keys, outcomes, strict=True)
        return adapted

    def _predict(self, model: Model, fast: FastWeights, jobs: Sequence[Job]) -> dict[int, np.ndarray]:
        """Answer the jobs that have queries and fast weights, by their index in `jobs`."""
        asked = [(index, job.key, job.queries) for index, job in enumerate(jobs) if job.queries is not None]
        asked = [item for item in asked if item[1] in fast]
        predictions: dict[int, np.ndarray] = {}
        for batch in fused([len(queries) for _, _, queries in asked]):
            indices, keys, queries = zip(*(asked[at] for at in batch), strict=True)
            states = fast.gather(keys if len(keys) > 1 else keys * 2)  # `pad` makes at least two
            predictions |= zip(indices, model.predict(states, queries), strict=True)
        return predictions
