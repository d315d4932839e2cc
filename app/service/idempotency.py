"""Requests to adapt that are repeated: the same key, or the same content where another's adaptation to it will do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from app.errors import KeyReused
from app.service.commands import AdaptCommand
from app.service.record import CONTENT, KEY, Adaptation, content_bytes
from app.service.store import Name, NameHolder, Store


class Repeats:
    """Finds what an earlier request has made. A request and its repeats take turns, within this process."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """clock: seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, wanted: AdaptCommand) -> AsyncIterator[tuple[list[Name], Adaptation | None]]:
        """The names of a request, and what an earlier one of these names has made; others of them wait meanwhile."""
        names = names_of(wanted)
        async with AsyncExitStack() as held:
            for name in names:
                lock = self._locks.setdefault((wanted.owner, name.name), asyncio.Lock())
                await held.enter_async_context(lock)
            yield names, await self._found(wanted, names)

    async def _found(self, wanted: AdaptCommand, names: Sequence[Name]) -> Adaptation | None:
        for name in names:
            taken = await self._store.name_holder(wanted.owner, name.name, self._clock())
            if taken is not None and (found := await self.earlier(wanted, names, taken)) is not None:
                return found
        return None

    async def earlier(self, wanted: AdaptCommand, names: Sequence[Name], taken: NameHolder) -> Adaptation | None:
        """The record that has one of these names already; None where it has gone meanwhile. Raises KeyReused."""
        if taken.name not in names:
            raise KeyReused
        found = await self._store.get(wanted.owner, taken.id)
        return None if found is None or found.expires_at <= self._clock() else found


def names_of(wanted: AdaptCommand) -> list[Name]:
    """What a request is recognised by, in one order always; the key first, as it can be refused."""
    content = hashlib.blake2b(digest_size=16)
    for part in wanted.examples.content:
        content.update(content_bytes(part))
    # by the model's name: a newer bundle does not make another request of it
    steps, rate = wanted.asked
    # in the words of version 0.1, so that a key that came before an upgrade is recognised after it
    settings = f"Asked(steps={steps!r}, learning_rate={rate!r})"
    content.update(f"({wanted.model.bundle.name!r}, {settings}, {wanted.pinned!r}, {wanted.assess!r})".encode())
    names = []
    if wanted.key is not None:
        request = content.copy()
        request.update(repr((wanted.ttl_s, wanted.label, wanted.reuse)).encode())
        names.append(Name(KEY + wanted.key, request.digest()))
    if wanted.reuse:
        content.update(wanted.model.digest.encode())
        names.append(Name(CONTENT + content.hexdigest(), b""))
    return names
