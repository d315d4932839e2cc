"""Repeated requests to adapt: the same idempotency key, or the same content where an earlier adaptation will do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from app.errors import KeyReused
from app.service.commands import AdaptCommand
from app.service.deadlines import Caller
from app.service.record import Adaptation
from app.service.store_protocol import Name, NameHolder, Store

MAX_RECENT = 50_000
"""At least this many names are remembered. They take up to 8 MB."""


class Idempotency:
    """Finds the adaptation that an earlier request made. A request and its repeats take turns, within this process."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """clock: seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._queues: WeakValueDictionary[tuple[str, str], _Queue] = WeakValueDictionary()
        self._recent = _Recent()

    def note(self, owner: str, names: Iterable[Name]) -> bool:
        """Remember the names of a request. Returns whether one of them has come before, as far as is remembered."""
        return self._recent.add([(owner, each.name) for each in names])

    @asynccontextmanager
    async def turn(self, owner: str, names: Iterable[str], caller: Caller | None) -> AsyncIterator[Caller | None]:
        """Let the requests under these names wait until the context ends.

        Yields a caller that counts as connected while any caller that waits for the same result is connected: a client
        that timed out waits again with its repeat, so its work goes on.
        """
        queues = [self._queues.setdefault((owner, name), _Queue()) for name in names]
        held: list[_Queue] = []
        try:
            for queue in queues:
                await queue.enter(caller)
                held.append(queue)
            yield None if caller is None else _Callers(caller, queues)
        finally:
            for queue in held:
                queue.leave()

    async def earlier(self, command: AdaptCommand, names: Sequence[Name]) -> Adaptation | None:
        """The adaptation that an earlier request under one of these names made, if any.

        Raises KeyReused where the key came with another request before.
        """
        for name in names:
            holder = await self._store.name_holder(command.owner, name.name, self._clock())
            if holder is not None and (adaptation := await self.held_by(holder, command, names)) is not None:
                return adaptation
        return None

    async def held_by(self, holder: NameHolder, command: AdaptCommand, names: Sequence[Name]) -> Adaptation | None:
        """The adaptation that holds one of these names; None where it is gone by now. Raises KeyReused."""
        if holder.name not in names:
            raise KeyReused
        adaptation = await self._store.get(command.owner, holder.id)
        return None if adaptation is None or adaptation.expires_at <= self._clock() else adaptation


class _Recent:
    """Hashes of the latest names."""

    def __init__(self) -> None:
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def add(self, names: Iterable[tuple[str, str]]) -> bool:
        """Remember names. Returns whether one of them is known."""
        numbers = [hash(name) for name in names]
        known = not (self._newer.isdisjoint(numbers) and self._older.isdisjoint(numbers))
        if len(self._newer) >= MAX_RECENT:
            self._newer, self._older = set(), self._newer
        self._newer.update(numbers)
        return known


class _Queue:
    """The requests under a name: one has its turn, the callers of the others wait."""

    def __init__(self) -> None:
        self.waiting: list[Caller | None] = []
        self._lock = asyncio.Lock()

    async def enter(self, caller: Caller | None) -> None:
        """Wait for the turn."""
        self.waiting.append(caller)
        try:
            await self._lock.acquire()
        finally:
            self.waiting.remove(caller)

    def leave(self) -> None:
        """End the turn."""
        self._lock.release()


class _Callers:
    """A caller and those that wait for the same result."""

    def __init__(self, caller: Caller, queues: Sequence[_Queue]) -> None:
        self.deadline = caller.deadline
        self._caller = caller
        self._queues = queues

    def disconnected(self) -> bool:
        """Whether all of them have disconnected."""
        others = (each for queue in self._queues for each in queue.waiting)
        return self._caller.disconnected() and all(each is not None and each.disconnected() for each in others)
