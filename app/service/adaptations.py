"""The life of an adaptation: made, asked, listed, deleted, expired."""

import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from app.errors import Diverged, ExpiredAdaptation, Invalid, UnknownAdaptation, UnknownModel
from app.learn.adapted import Adapted
from app.service.engine import UNTOUCHED, Job, Result
from app.service.model import Model
from app.service.store import Adaptation, Store
from app.service.task import Task

REMEMBERED_S = 86_400
"""For this long an expired id is answered "expired", and after that "unknown"."""


class Worker(Protocol):
    """What runs jobs: the batcher."""

    async def submit(self, job: Job) -> Result:
        """Run a job."""


@dataclass(frozen=True, eq=False)
class Question:
    """Queries, float32 [query, feature], and what is to answer them.

    With an adaptation, that one (`task` is then its own); with a task alone, a passing adaptation to it; with neither,
    the initialization itself.
    """

    model: Model
    queries: np.ndarray
    task: Task | None = None
    adaptation: Adaptation | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """predictions: float32 [query, target]; adapted: what came of the inner loop, where it had to run."""

    question: Question
    predictions: np.ndarray
    adapted: Adapted | None


class Adaptations:
    """All that a route may ask for. Methods raise RequestError for what the client has to change."""

    def __init__(
        self, models: Mapping[str, Model], worker: Worker, store: Store, ttl_s: int, clock: Callable[[], float]
    ) -> None:
        """ttl_s: how long an adaptation lives that does not say; clock: seconds since the epoch."""
        self._models = models
        self._worker = worker
        self._store = store
        self._ttl_s = ttl_s
        self._clock = clock

    def model(self, name: str) -> Model:
        """The model of that name. Raises UnknownModel."""
        if name not in self._models:
            raise UnknownModel(name, sorted(self._models))
        return self._models[name]

    async def adapt(self, model: Model, task: Task, ttl_s: int | None, label: str | None) -> Adaptation:
        """Adapt to a task and keep the record. Raises Diverged, and keeps nothing then."""
        new_id = uuid.uuid4().hex
        result = _not_diverged(await self._worker.submit(Job(model.bundle.name, new_id, task, queries=None)))
        adapted = result.adapted
        assert adapted is not None, "the key is new, so the inner loop has run"
        now = self._clock()
        manifest = model.bundle.manifest
        adaptation = Adaptation(
            id=new_id,
            model=model.bundle.name,
            model_digest=manifest.digest,
            kind=manifest.kind,
            task=task,
            losses=adapted.losses,
            status=adapted.status,
            label=label,
            created_at=now,
            expires_at=now + (self._ttl_s if ttl_s is None else ttl_s),
        )
        await self._store.forget_expired(now - REMEMBERED_S)
        await self._store.put(adaptation)
        return adaptation

    async def predict(self, question: Question) -> Answer:
        """Answer queries. Raises Diverged, and Invalid at the first query whose prediction is not finite."""
        if question.adaptation is not None:
            key: Hashable = question.adaptation.id
        else:
            key = UNTOUCHED if question.task is None else object()
        keep = question.adaptation is not None
        job = Job(question.model.bundle.name, key, question.task, question.queries, keep)
        result = _not_diverged(await self._worker.submit(job))
        assert result.predictions is not None, "a job with queries that has not diverged has predictions"
        bad = np.flatnonzero(~np.isfinite(result.predictions).all(axis=1))
        if bad.size:
            raise Invalid("the prediction leaves the range of float32: ask for a smaller input", f"queries[{bad[0]}]")
        return Answer(question, result.predictions, result.adapted)

    async def get(self, id: str) -> Adaptation:
        """The record of that id. Raises UnknownAdaptation and ExpiredAdaptation."""
        adaptation = await self._store.get(id)
        now = self._clock()
        if adaptation is None or adaptation.expires_at + REMEMBERED_S <= now:
            raise UnknownAdaptation(id)
        if adaptation.expires_at <= now:
            raise ExpiredAdaptation(id, datetime.fromtimestamp(adaptation.expires_at, UTC))
        return adaptation

    async def newest(self, limit: int) -> Sequence[Adaptation]:
        """At most `limit` adaptations that are alive, the newest first."""
        return await self._store.newest(limit, self._clock())

    async def delete(self, id: str) -> None:
        """Remove an adaptation. Raises UnknownAdaptation and ExpiredAdaptation."""
        await self.get(id)
        await self._store.delete(id)


def _not_diverged(result: Result) -> Result:
    """The same result. Raises Diverged where the inner loop came to nothing that can be used."""
    if result.adapted is not None and not result.adapted.status.usable:
        raise Diverged(result.adapted.status.value, result.adapted.losses)
    return result
