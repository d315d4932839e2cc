"""The life of an adaptation: made, asked for predictions, extended, undone, listed, deleted, expired."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from app.errors import (
    Invalid,
    Outgrown,
    PinnedBundleGone,
    StoreFailed,
    UnknownAdaptation,
    UnknownModel,
    UnknownVersion,
)
from app.learn.adaptation_outcome import Adapted
from app.learn.target_scale import TargetScale
from app.service.adaptation_defaults import AdaptationDefaults
from app.service.answers import QUICK_NUMBERS, answer_queries
from app.service.catalogue import Catalogue
from app.service.changed_records import with_edit, with_examples, with_revision, without_example, without_last_stage
from app.service.columns_by_name import Columns, columns_of
from app.service.commands import (
    AdaptCommand,
    EditCommand,
    PredictCommand,
    PredictResult,
    bounded,
    check_version,
    names_count,
)
from app.service.cut_texts import cut_examples, cut_of
from app.service.deadlines import Caller, in_time
from app.service.diverged_error import check_usable
from app.service.expiry import check_not_expired
from app.service.fingerprints import has_applied, names_of, request_fingerprint
from app.service.health import Health
from app.service.idempotency import Idempotency, Turn
from app.service.job import Job
from app.service.model import Model
from app.service.model_compatibility import Compatibility
from app.service.new_adaptation import NewAdaptation
from app.service.new_ids import ids
from app.service.pinned_bundles import PinnedBundles
from app.service.prediction_jobs import checked_predictions, query_job
from app.service.record import Adaptation, Change
from app.service.request_checks import (
    check_classes,
    check_declared,
    check_examples,
    check_extended_size,
    check_labels,
)
from app.service.store_protocol import Filter, Name, Store
from app.service.support_set import SupportSet
from app.service.worker_protocol import Worker


class Adaptations:
    """Every operation on adaptations. Methods raise RequestError where the client has to change the request.

    `owner` is the owner of the adaptations; those of other owners do not exist for it. A change takes the record that
    it starts from, as `get` or `current` returned it.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        worker: Worker,
        store: Store,
        defaults: AdaptationDefaults,
        clock: Callable[[], float],
        health: Health | None = None,
    ) -> None:
        """clock: seconds since the epoch; health: receives a report when the bundle of a pinned one is damaged."""
        self._catalogue = catalogue
        self._worker = worker
        self._store = store
        self._kept = PinnedBundles(store.bundles, health)
        self._defaults = defaults
        self._clock = clock
        self._ids = ids(clock)
        self._idempotency = Idempotency(store, clock)
        self._compatibility = Compatibility()

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
        return names_of(command, self._columns(command.support, command.model, command.version))

    def _columns(self, support: SupportSet, model: Model, version: str | None) -> Sequence[Columns]:
        """The columns of a support set that a model has read. version: as in an `AdaptCommand`"""
        meant = model if version is None else self._catalogue.exact(model.bundle.name, version)
        bundle = None if meant is None else meant.bundle
        return columns_of(support, model.bundle, bundle, has_version=version is not None)

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

    async def get(self, owner: str, id: str) -> Adaptation:
        """The record of that id. Raises UnknownAdaptation and ExpiredAdaptation."""
        return check_not_expired(await self._store.get(owner, id), id, self._clock())

    async def cut_examples(self, adaptation: Adaptation) -> list[int]:
        """The numbers of the examples of which only the beginning is encoded; none where no model serves them."""
        if "O" not in [stage.inputs.dtype.kind for stage in adaptation.stages]:  # numbers are never cut
            return []
        try:
            return await cut_examples(self.model_of(adaptation), adaptation)
        except (UnknownModel, Outgrown):
            return []

    async def to_change(self, owner: str, id: str) -> Adaptation:
        """The record of that id, when it is known which model serves it (`model_of`).

        If it is pinned, load its bundle. Raises what `get` raises, and PinnedBundleGone.
        """
        adaptation = await self.get(owner, id)
        if adaptation.pinned:
            await self._restore(adaptation)
        while (model := self.model_of(adaptation)).digest != adaptation.digest and model.encodes:
            job = Job(model, object(), _on_model(adaptation, model).task, keep=False)
            try:
                await self._worker.submit(job)
                break
            except Outgrown:
                self._compatibility.refuse(model, adaptation)
        return adaptation

    async def _restore(self, adaptation: Adaptation) -> None:
        """Load the bundle that an adaptation is pinned to, from the store if necessary. Raises PinnedBundleGone."""
        model = await self._version(adaptation.model, adaptation.digest)
        if model is None:
            raise PinnedBundleGone(adaptation.model, adaptation.digest)
        # that of a record that an older server wrote is not kept yet
        await self._kept.keep(model.bundle, adaptation.expires_at)

    async def version(self, name: str, digest: str) -> Model:
        """That version of a model, from the store if necessary.

        Raises UnknownModel, UnknownVersion and StoreFailed.
        """
        model = await self._version(name, digest)
        if model is None:
            self._catalogue.named(name, "path.name")
            raise UnknownVersion(name, digest)
        return model

    async def _version(self, name: str, digest: str) -> Model | None:
        """The model with a name and a digest; None if the server has it no longer."""
        model = self._catalogue.exact(name, digest)
        if model is None and (bundle := await self._kept.read(digest)) is not None:
            model = self._catalogue.restore(name, bundle)
        return model

    async def current(
        self, owner: str, id: str, pinned: bool | None = None, caller: Caller | None = None
    ) -> tuple[Adaptation, Model]:
        """A record with the model that serves it: derived again, as a new revision, where there is a newer bundle.

        pinned: whether the bundle that it was derived with serves it as long as that is there; None for the record's
            own choice
        """
        adaptation = await self.get(owner, id)
        if adaptation.pinned and pinned is not False:
            await self._restore(adaptation)
        while (model := self.model_of(adaptation, pinned)).digest != adaptation.digest:
            if adaptation.pinned:  # `pinned` is of this request alone
                return _on_model(adaptation, model), model
            try:
                adaptation = await self._change(adaptation, Change.rederived, lambda old: old, caller=caller)
            except StoreFailed:  # it cannot be written, but it can be answered: derived again at each request
                return _on_model(adaptation, model), model
        return adaptation, model

    def model(self, name: str) -> Model:
        """The model of that name. Raises UnknownModel."""
        return self._catalogue.named(name)

    def model_of(self, adaptation: Adaptation, pinned: bool | None = None) -> Model:
        """The model that serves an adaptation. Raises UnknownModel and Outgrown."""
        pinned = adaptation.pinned if pinned is None else pinned
        model = self._catalogue.serving(adaptation, pinned)
        if model.digest != adaptation.digest and not self._compatibility(model, adaptation):
            model = self._catalogue.serving(adaptation, pinned=True)
            if model.digest != adaptation.digest:
                raise Outgrown(adaptation.model)
        return model

    async def extend(
        self,
        adaptation: Adaptation,
        more: SupportSet,
        caller: Caller | None = None,
        key: str | None = None,
        version: str | None = None,
    ) -> Adaptation:
        """Adapt to more examples too: the same as adapting to all of them at once. Raises Diverged, and OtherVersion.

        Episodes are a stage of their own, after those that are there.

        key: the client's idempotency key, by which a repeat changes nothing
        version: as in an `AdaptCommand`
        """

        def change(old: Adaptation) -> Adaptation:
            check_version(self.model_of(old), version)
            try:
                return self._extended(old, more)
            except Invalid as error:
                raise more.locate(error) from error

        if key is None:
            return await self._change(adaptation, Change.extended, change, caller=caller)
        columns = self._columns(more, self.model_of(adaptation), version)
        request = request_fingerprint(key, Change.extended, more, columns)
        return await self._change_once(adaptation, Change.extended, change, caller, request)

    def _extended(self, old: Adaptation, more: SupportSet) -> Adaptation:
        """The record with more examples. Raises Invalid where they are too many, or have a label that is not there."""
        place = "inputs" if more.episodes is None else "episodes"
        check_extended_size(more.size, old.support_size, self._defaults.max_support, place)
        new = with_examples(old, more)
        if new.declares_labels:
            check_declared(more.targets, (*old.all_labels, *more.labels), "targets")
            check_labels(len(new.labels), self._defaults.max_support, "labels")
            known, size = [each for each in old.labels if each not in more.labels], old.support_size + more.size
            check_examples(self.model_of(old), size, more.labels, "labels", names_count=new.label_names, known=known)
        check_classes(len(new.labels), self.model_of(old), "labels" if more.labels else "targets")
        return new

    async def forget(self, adaptation: Adaptation, number: int, caller: Caller | None = None) -> Adaptation:
        """Adapt without one example, which leaves every revision and the store for good.

        Raises UnknownExample and LastExample. The example is forgotten even where the inner loop diverges without it.
        """

        def change(old: Adaptation) -> Adaptation:
            return without_example(old, number, self._needs_examples(old))

        return await self._change(adaptation, Change.forgot, change, number, caller)

    async def undo(self, adaptation: Adaptation, caller: Caller | None = None, key: str | None = None) -> Adaptation:
        """Adapt without the examples that were added last. Raises NothingToUndo.

        key: as for `extend`
        """

        def change(old: Adaptation) -> Adaptation:
            return without_last_stage(old, self._needs_examples(old))

        if key is None:
            return await self._change(adaptation, Change.undone, change, caller=caller)
        request = request_fingerprint(key, Change.undone)
        return await self._change_once(adaptation, Change.undone, change, caller, request)

    def _needs_examples(self, adaptation: Adaptation) -> bool:
        """Whether a support set without examples will not do. Where names count, those of all classes do instead."""
        named = adaptation.label_names and len(adaptation.task.names) == len(adaptation.labels)
        return self.model_of(adaptation).bundle.algorithm.needs_examples and not named

    async def weights(
        self, owner: str, id: str, caller: Caller | None = None
    ) -> tuple[Adaptation, dict[str, np.ndarray], TargetScale | None]:
        """The record, all parameters of its adapted network by name, and the scale of the network's outputs."""
        adaptation, model = await self.current(owner, id, caller=caller)
        key = (adaptation.id, adaptation.revision)
        result = await self._worker.submit(Job(model, key, adaptation.task, weights=True), caller)
        if result.adapted is not None:
            check_usable(result.adapted, model, stored=True)
        assert result.weights is not None, "an adaptation that has not diverged has weights"
        return adaptation, result.weights, model.bundle.manifest.target_scale

    async def collect_bundles(self) -> None:
        """Remove bundles that no adaptation is pinned to any more, again and again."""
        await self._kept.collect(self._clock)

    async def check_bundles(self) -> None:
        """Find out whether damaged bundles that adaptations are pinned to can be loaded again."""
        await self._kept.check()

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
            self._catalogue.named(model, "query.model")
        return page, False

    async def edit(self, owner: str, id: str, command: EditCommand) -> Adaptation:
        """Change the label or the expiry. The fast weights stay, and there is no revision."""
        while True:
            old = await self.get(owner, id)
            new = with_edit(old, command, self._clock())
            if new.pinned:
                with suppress(PinnedBundleGone):  # then it cannot be kept any longer, but its record can
                    await self._restore(new)
            if await self._store.replace(new, old.version, erase=False):
                return new

    async def delete(self, owner: str, id: str) -> None:
        """Remove an adaptation. Raises UnknownAdaptation and ExpiredAdaptation."""
        adaptation = await self.get(owner, id)
        if not await self._store.delete(owner, id):
            raise UnknownAdaptation(id)
        await self._drop(adaptation, features=True)

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
            await self._kept.keep(model.bundle, record.expires_at)
        while (holder := await self._store.put(record, names, self._clock())) is not None:
            if (earlier := await self._idempotency.held_by(holder, new.command, names)) is not None:
                await self._worker.drop(model, (new.id, 1))
                return earlier
        return record

    async def _change_once(
        self,
        old: Adaptation,
        change: Change,
        changed: Callable[[Adaptation], Adaptation],
        caller: Caller | None,
        request: bytes,
    ) -> Adaptation:
        """Do the same as `_change`, while repeats of the request wait for the result. request: as for `_change`"""
        async with self._idempotency.turn(old.owner, [f"{old.id} {request[:16].hex()}"], caller) as callers:
            return await self._change(await self.get(old.owner, old.id), change, changed, None, callers, request)

    async def _change(
        self,
        old: Adaptation,
        change: Change,
        changed: Callable[[Adaptation], Adaptation],
        forgotten: int | None = None,
        caller: Caller | None = None,
        request: bytes | None = None,
    ) -> Adaptation:
        """Derive a changed record and store it as the next revision; where another change was faster, on top of that.

        request: by which a repeat is recognised, which changes nothing. Raises KeyReused.
        """
        while True:
            if request is not None and has_applied(old, request):
                return old
            # a request that needs a newer bundle gets it; every other change stays with a pinned one
            model = self.model_of(old, False if change is Change.rederived else None)
            new = changed(old)
            if new.value_names is None:  # an older server wrote the record
                new = replace(new, value_names=model.bundle.value_names)
            if model.digest != old.digest:
                new = _on_model(new, model)
            elif change is Change.rederived:
                return old
            # not cached: until it is stored, its revision may become another's
            try:
                result = await self._worker.submit(Job(model, object(), new.task, keep=False), caller)
            except Outgrown:
                if model.digest == old.digest:
                    raise
                self._compatibility.refuse(model, old)
                continue
            assert result.adapted is not None, "the key is new, so the inner loop has run"
            if change is not Change.forgot:
                check_usable(result.adapted, model, stored=True)
            new = with_revision(new, result.adapted, change, model.digest, self._clock(), forgotten, request)
            erase = change in (Change.forgot, Change.undone)
            if await self._store.replace(new, old.version, erase=erase):
                await self._drop(old, erase)
                return new
            old = await self.get(old.owner, old.id)

    async def _drop(self, adaptation: Adaptation, features: bool) -> None:
        """Free the slot of fast weights that are not needed any more. features: whether to free these too"""
        if features and any(stage.inputs.dtype == object for stage in adaptation.stages):
            await self._worker.forget(adaptation.owner, [*adaptation.rows, *adaptation.task.names.values()])
        try:
            model = self._catalogue.serving(adaptation, pinned=True)
        except UnknownModel:
            return
        await self._worker.drop(model, (adaptation.id, adaptation.revision))


def _on_model(adaptation: Adaptation, model: Model) -> Adaptation:
    """An adaptation with the settings that it has on another model."""
    steps, rate = bounded(adaptation.settings, model)
    return replace(adaptation, steps=steps, learning_rate=rate, label_names=names_count(adaptation.settings, model))
