"""Changes of stored adaptations: more examples, fewer, another label or expiry, a newer bundle, deletion.

Changes of one adaptation may come at once, through several servers that share a store: the store replaces a record only
if nobody else has, and a change that comes second is made again, on top of the first. So none is lost.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from app.errors import Invalid, Outgrown, PinnedBundleGone, StoreFailed, UnknownAdaptation
from app.service.adaptation_defaults import AdaptationDefaults
from app.service.changed_records import (
    on_model,
    with_edit,
    with_examples,
    with_revision,
    without_example,
    without_last_stage,
)
from app.service.commands import EditCommand, check_version
from app.service.deadlines import Caller
from app.service.diverged_error import check_usable
from app.service.expiry import check_not_expired
from app.service.fingerprints import has_applied, request_fingerprint
from app.service.idempotency import Idempotency
from app.service.job import Job
from app.service.model import Model
from app.service.record import Adaptation, Change
from app.service.request_checks import (
    check_classes,
    check_declared,
    check_examples,
    check_extended_size,
    check_labels,
)
from app.service.store_protocol import Store
from app.service.support_set import SupportSet
from app.service.version_choice import VersionChoice
from app.service.worker_protocol import Worker


class Changes:
    """The operations that change an adaptation. Methods raise RequestError where the client has to change the request.

    `owner` is the owner of the adaptations; those of other owners do not exist for it. A change of the examples takes
    the record that it starts from, as `to_change` returned it.
    """

    def __init__(
        self,
        models: VersionChoice,
        worker: Worker,
        store: Store,
        defaults: AdaptationDefaults,
        clock: Callable[[], float],
    ) -> None:
        """clock: seconds since the epoch"""
        self._models = models
        self._worker = worker
        self._store = store
        self._defaults = defaults
        self._clock = clock
        self._idempotency = Idempotency(store, clock)

    async def get(self, owner: str, id: str) -> Adaptation:
        """The record of that id. Raises UnknownAdaptation and ExpiredAdaptation."""
        return check_not_expired(await self._store.get(owner, id), id, self._clock())

    async def to_change(self, owner: str, id: str) -> Adaptation:
        """The record of that id, when it is known which model serves it (`VersionChoice.of`).

        If it is pinned, load its bundle. Raises what `get` raises, and PinnedBundleGone.
        """
        adaptation = await self.get(owner, id)
        if adaptation.pinned:
            await self._models.restore(adaptation)
        while (model := self._models.of(adaptation)).digest != adaptation.digest and model.encodes:
            job = Job(model, object(), on_model(adaptation, model).task, keep=False)
            try:
                await self._worker.submit(job)
                break
            except Outgrown:
                self._models.refuse(model, adaptation)
        return adaptation

    async def current(
        self, owner: str, id: str, pinned: bool | None = None, caller: Caller | None = None
    ) -> tuple[Adaptation, Model]:
        """A record with the model that serves it: derived again, as a new revision, where there is a newer bundle.

        pinned: whether the bundle that it was derived with serves it as long as that is there; None for the record's
            own choice
        """
        adaptation = await self.get(owner, id)
        if adaptation.pinned and pinned is not False:
            await self._models.restore(adaptation)
        while (model := self._models.of(adaptation, pinned)).digest != adaptation.digest:
            if adaptation.pinned:  # `pinned` is of this request alone
                return on_model(adaptation, model), model
            try:
                adaptation = await self._change(adaptation, Change.rederived, lambda old: old, caller=caller)
            except StoreFailed:  # it cannot be written, but it can be answered: derived again at each request
                return on_model(adaptation, model), model
        return adaptation, model

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
            check_version(self._models.of(old), version)
            try:
                return self._extended(old, more)
            except Invalid as error:
                raise more.locate(error) from error

        if key is None:
            return await self._change(adaptation, Change.extended, change, caller=caller)
        columns = self._models.columns(more, self._models.of(adaptation), version)
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
            check_examples(self._models.of(old), size, more.labels, "labels", names_count=new.label_names, known=known)
        check_classes(len(new.labels), self._models.of(old), "labels" if more.labels else "targets")
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
        return self._models.of(adaptation).bundle.algorithm.needs_examples and not named

    async def edit(self, owner: str, id: str, command: EditCommand) -> Adaptation:
        """Change the label or the expiry. The fast weights stay, and there is no revision."""
        while True:
            old = await self.get(owner, id)
            new = with_edit(old, command, self._clock())
            if new.pinned:
                with suppress(PinnedBundleGone):  # then it cannot be kept any longer, but its record can
                    await self._models.restore(new)
            if await self._store.replace(new, old.version, erase=False):
                return new

    async def delete(self, owner: str, id: str) -> None:
        """Remove an adaptation. Raises UnknownAdaptation and ExpiredAdaptation."""
        adaptation = await self.get(owner, id)
        if not await self._store.delete(owner, id):
            raise UnknownAdaptation(id)
        await self._drop(adaptation, features=True)

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
            model = self._models.of(old, False if change is Change.rederived else None)
            new = changed(old)
            if new.value_names is None:  # an older server wrote the record
                new = replace(new, value_names=model.bundle.value_names)
            if model.digest != old.digest:
                new = on_model(new, model)
            elif change is Change.rederived:
                return old
            # not cached: until it is stored, its revision may become another's
            try:
                result = await self._worker.submit(Job(model, object(), new.task, keep=False), caller)
            except Outgrown:
                if model.digest == old.digest:
                    raise
                self._models.refuse(model, old)
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
        if (model := self._models.derived(adaptation)) is not None:
            await self._worker.drop(model, (adaptation.id, adaptation.revision))
