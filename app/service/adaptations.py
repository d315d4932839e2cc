"""Adaptations: made, asked for predictions and weights, listed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np

from app.errors import (
    Outgrown,
    UnknownModel,
)
from app.learn.adaptation_outcome import Adapted
from app.learn.target_scale import TargetScale
from app.service.adaptation_defaults import AdaptationDefaults
from app.service.answers import QUICK_NUMBERS, answer_queries
from app.service.commands import (
    AdaptCommand,
    PredictCommand,
    PredictResult,
)
from app.service.concurrent_changes import Changes
from app.service.cut_texts import cut_examples, cut_of
from app.service.deadlines import Caller, in_time
from app.service.diverged_error import check_usable
from app.service.fingerprints import names_of
from app.service.idempotency import Idempotency, Turn
from app.service.job import Job
from app.service.new_adaptation import NewAdaptation
from app.service.new_ids import ids
from app.service.prediction_jobs import checked_predictions, query_job
from app.service.record import Adaptation
from app.service.store_protocol import Filter, Name, Store
from app.service.version_choice import VersionChoice
from app.service.worker_protocol import Worker


class Adaptations:
    """Adapting, and what is asked of adaptations. `app.service.concurrent_changes` changes them.

    Methods raise RequestError where the client has to change the request. `owner` is the owner of the adaptations;
    those of other owners do not exist for it.
    """

    def __init__(
        self,
        models: VersionChoice,
        changes: Changes,
        worker: Worker,
        store: Store,
        defaults: AdaptationDefaults,
        clock: Callable[[], float],
    ) -> None:
        """clock: seconds since the epoch"""
        self._models = models
        self._changes = changes
        self._worker = worker
        self._store = store
        self._defaults = defaults
        self._clock = clock
        self._ids = ids(clock)
        self._idempotency = Idempotency(store, clock)

    async def adapt(self, command: AdaptCommand, caller: Caller | None = None) -> Adaptation:
        """Adapt to a support set and keep the record. Raises Diverged, and keeps nothing then."""
        if command.key is None and not command.reuse:
            return await self._adapt(self._new(command), (), caller)
        names = self._names(command)
        repeats = self._idempotency.note(command.owner, names)
        async with self._turn(command, names, caller) as callers:
            new = self._new(command)
            if repeats or not new.is_quick:
                return await self._idempotency.earlier(command, names) or await self._adapt(new, names, callers)
            try:  # `Store.put` finds an earlier record too
                return await self._adapt(new, names, callers)
            except Exception:  # whatever it is, an earlier request may have succeeded
                if (earlier := await self._idempotency.earlier(command, names)) is None:
                    raise
                return earlier

    def _names(self, command: AdaptCommand) -> Sequence[Name]:
        """The names under which a repeat of a request finds its adaptation."""
        if command.key is None:
            return names_of(command)
        return names_of(command, self._models.columns(command.support, command.model, command.version))

    async def stream(self, command: AdaptCommand, caller: Caller | None = None) -> AsyncGenerator[float | Adaptation]:
        """Adapt step by step: yield each support loss as soon as it is known, and last the record, which is kept then.

        Closing the generator cancels the steps that are left. Raises what `adapt` raises.
        """
        names = self._names(command)
        async with self._turn(command, names, caller):
            if (earlier := await self._idempotency.earlier(command, names)) is not None:
                yield earlier
                return
            command.check_version()
            new = self._new(command)
            validation = new.validation()
            adapted: Adapted | None = None
            async with aclosing(self._worker.walk(new.job, caller)) as walk:
                async for event in walk:
                    if isinstance(event, float):
                        yield event
                    else:
                        adapted = check_usable(event, command.model)
            assert adapted is not None, "a walk ends with the outcome"
            quality = None
            if validation is not None:
                quality = validation.quality(await self._worker.submit_all(validation.jobs, caller))
            yield await in_time(caller, self._keep(new, names, adapted, quality))

    async def predict(self, command: PredictCommand, caller: Caller | None = None) -> PredictResult:
        """Answer queries. Raises Diverged, and Invalid at the first query whose prediction is not finite."""
        manifest = command.model.bundle.manifest  # one for all, as a reload may exchange its calibration
        job = query_job(command, manifest)
        result = await self._worker.submit(job, caller)
        predictions = checked_predictions(result, command)
        compared = result.distances, result.spread, result.similarity
        inputs = predictions, command.queries, job.task, manifest, command.options, *compared
        quick = predictions.size <= QUICK_NUMBERS and command.queries.size <= QUICK_NUMBERS
        answer = answer_queries(*inputs) if quick else await asyncio.to_thread(answer_queries, *inputs)
        if result.nearest is not None:
            numbers = result.nearest if command.examples is None else command.examples[result.nearest]
            answer = answer._replace(nearest_examples=numbers)
        return PredictResult(command, answer, result.adapted, await cut_of(command))

    async def cut_examples(self, adaptation: Adaptation) -> list[int]:
        """The numbers of the examples of which only the beginning is encoded; none where no model serves them."""
        if "O" not in [stage.inputs.dtype.kind for stage in adaptation.stages]:  # numbers are never cut
            return []
        try:
            return await cut_examples(self._models.of(adaptation), adaptation)
        except (UnknownModel, Outgrown):
            return []

    async def weights(
        self, owner: str, id: str, caller: Caller | None = None
    ) -> tuple[Adaptation, dict[str, np.ndarray], TargetScale | None]:
        """The record, all parameters of its adapted network by name, and the scale of the network's outputs."""
        adaptation, model = await self._changes.current(owner, id, caller=caller)
        key = (adaptation.id, adaptation.revision)
        result = await self._worker.submit(Job(model, key, adaptation.task, weights=True), caller)
        if result.adapted is not None:
            check_usable(result.adapted, model, stored=True)
        assert result.weights is not None, "an adaptation that has not diverged has weights"
        return adaptation, result.weights, model.bundle.manifest.target_scale

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None
    ) -> tuple[Sequence[Adaptation], bool]:
        """At most `limit` adaptations that have not expired, newest first, and whether there are more.

        before: they are older than the one with this id

        Raises UnknownModel where neither a bundle nor an adaptation has the model that is filtered by.
        """
        now, model = self._clock(), filter.model
        page = await self._store.page(owner, filter, limit + 1, before, now)
        if len(page) > limit:
            return page[:limit], True
        if page:  # it is the last, or has ended early
            return page, bool(await self._store.page(owner, filter, 1, page[-1].id, now))
        if not (model is None or await self._store.page(owner, Filter(model), 1, None, now)):
            self._models.named(model, "query.model")
        return page, False

    def _new(self, command: AdaptCommand) -> NewAdaptation:
        return NewAdaptation.of(command, next(self._ids), self._defaults.pinned)

    def _turn(self, command: AdaptCommand, names: Sequence[Name], caller: Caller | None) -> Turn:
        return self._idempotency.turn(command.owner, [name.name for name in names], caller)

    async def _adapt(self, new: NewAdaptation, names: Sequence[Name], caller: Caller | None) -> Adaptation:
        new.command.check_version()
        validation = new.validation()
        if validation is None:
            result, quality = await self._worker.submit(new.job, caller), None
        else:
            result, *others = await self._worker.submit_all([new.job, *validation.jobs], caller)
            quality = validation.quality(others)
        assert result.adapted is not None, "the key is new, so the inner loop has run"
        return await self._keep(new, names, check_usable(result.adapted, new.command.model), quality)

    async def _keep(
        self, new: NewAdaptation, names: Sequence[Name], adapted: Adapted, quality: Mapping[str, Any] | None
    ) -> Adaptation:
        """Store the record. Where an earlier request under one of its names has made one, return that one instead."""
        model = new.command.model
        record = new.record(adapted, quality, tuple(each.name for each in names), self._clock(), self._defaults.ttl_s)
        if record.pinned:  # first, so that no acknowledged record lacks its bundle
            await self._models.keep(model.bundle, record.expires_at)
        while (holder := await self._store.put(record, names, self._clock())) is not None:
            if (earlier := await self._idempotency.held_by(holder, new.command, names)) is not None:
                await self._worker.drop(model, (new.id, 1))
                return earlier
        return record
