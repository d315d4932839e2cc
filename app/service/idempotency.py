"""Repeated requests to adapt: the same idempotency key, or the same content where an earlier adaptation will do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from app.errors import KeyReused
from app.service.commands import AdaptCommand
from app.service.fingerprints import content_bytes
from app.service.record import CONTENT, KEY, Adaptation
from app.service.store import Name, NameHolder, Store


class Idempotency:
    """Finds the adaptation that an earlier request made. A request and its repeats take turns, within this process."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """clock: seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def earlier(self, command: AdaptCommand) -> AsyncIterator[tuple[list[Name], Adaptation | None]]:
        """The names of a request, and the adaptation that an earlier request under one of them made, if any.

        Other requests under these names wait until the context ends. Raises KeyReused where the key came with another
        request before.
        """
        names = names_of(command)
        async with AsyncExitStack() as locked:
            for name in names:
                lock = self._locks.setdefault((command.owner, name.name), asyncio.Lock())
                await locked.enter_async_context(lock)
            yield names, await self._find(command, names)

    async def _find(self, command: AdaptCommand, names: Sequence[Name]) -> Adaptation | None:
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


def names_of(command: AdaptCommand) -> list[Name]:
    """The names under which a request and its repeats are one, always in the same order.

    The key comes first, because it alone can be refused. The model counts by its name: a newer bundle does not make
    another request of it.
    """
    content = hashlib.blake2b(digest_size=16)
    for part in command.support.content:
        content.update(content_bytes(part))
    steps, rate = command.settings
    # as version 0.1 wrote it, so that a key from before an upgrade is recognised after it
    settings = f"Asked(steps={steps!r}, learning_rate={rate!r})"
    content.update(f"({command.model.bundle.name!r}, {settings}, {command.pinned!r}, {command.assess!r})".encode())
    names = []
    if command.key is not None:
        request = content.copy()
        request.update(repr((command.ttl_s, command.label, command.reuse)).encode())
        names.append(Name(KEY + command.key, request.digest()))
    if command.reuse:
        content.update(command.model.digest.encode())
        names.append(Name(CONTENT + content.hexdigest(), b""))
    return names
