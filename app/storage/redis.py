"""Records in a redis server (or Valkey), which several servers share.

As durable as that server makes it: `appendonly yes` with `appendfsync always` is what a file with fsync is. What is
removed stays in its append-only file until it rewrites that, and in its snapshots until the next one.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from app.errors import QuotaExceeded, StoreFailed
from app.service.record import Adaptation
from app.service.store import Filter, Name, NameHolder, Quota, Usage
from app.storage import redis_scripts as scripts
from app.storage.encoding import check_new, decode, encode, id_bytes
from app.storage.redis_calls import Calls, Word

log = logging.getLogger(__name__)

MIGRATIONS = ("",)
"""Lua; each brings the layout from the version that is its place in this list to the next. A released one stays."""
CONNECTIONS = 16
ANSWERS_WITHIN_S = 5.0
"""Else the server counts as failed."""
SWEPT_AT_ONCE = 64
"""Records: the server does nothing else meanwhile."""
LOOKED_AT = 256
"""Records of a page at once, the expired among them: the server does nothing else meanwhile."""
HEAD_SIZE = 4
"""Bytes before the head of a record (`redis_scripts`)."""

UNLIMITED = 2**53
"""The largest number that a script compares exactly."""


class RedisStore:
    """Keeps records in redis. Methods raise StoreFailed where it does not answer; it is asked again the next time."""

    def __init__(self, url: str, quota: Quota, *, prefix: str = "innerloop", fsync: bool = True) -> None:
        """url: redis://, rediss:// or unix://; prefix: of all keys; fsync: warn of a server that does without."""
        self._url = url
        self._quota = quota
        self._prefix = prefix
        self._fsync = fsync

    async def __aenter__(self) -> Self:
        pool = BlockingConnectionPool.from_url(
            self._url,
            protocol=2,
            max_connections=CONNECTIONS,
            timeout=ANSWERS_WITHIN_S,
            socket_timeout=ANSWERS_WITHIN_S,
            socket_connect_timeout=ANSWERS_WITHIN_S,
            retry=Retry(NoBackoff(), 0),  # what was sent may have been done
        )
        self._client = Redis.from_pool(pool)
        self._calls = Calls(self._client)
        try:
            await self._migrate()
            await self._check_durability()
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._calls.close()
        await self._client.aclose()

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Keep a new record, or say whose a name is. Raises QuotaExceeded; ValueError for an id kept already."""
        check_new(adaptation, names)
        holders = [word for name in names for word in (name.name, adaptation.id.encode() + name.fingerprint)]
        answer = await self._run(scripts.PUT, *self._record(adaptation), now, *self._quota_words, *holders)
        match [_text(word) for word in answer[:2]]:
            case ["taken", name]:
                return _taken(name, answer[2])
            case ["known"]:
                raise ValueError(f"an adaptation {adaptation.id!r} is kept already")
        self._raise_over(answer)
        return None

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """Whose a name is, or None where it is nobody's who is alive at `now`."""
        holder = await self._run(scripts.NAMED, quote(owner, safe=""), name, now)
        return _taken(name, holder) if holder else None

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record of that id, expired or not, or None."""
        packed = await self._call("GET", self._key("record", owner, id)) if id_bytes(id) else None
        return _decoded(owner, id, packed) if packed else None

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Put a record in the place of the one that has its id and revision `expected`. Raises QuotaExceeded."""
        most = (UNLIMITED, UNLIMITED) if erase else self._quota_words
        answer = await self._run(scripts.REPLACE, *self._record(adaptation), expected, *most)
        self._raise_over(answer)
        return bool(answer[0] == b"done")

    async def delete(self, owner: str, id: str) -> bool:
        """Remove a record with its names; whether there was one."""
        return id_bytes(id) is not None and bool(await self._run(scripts.DELETE, quote(owner, safe=""), id))

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None, now: float
    ) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first."""
        if before is not None and id_bytes(before) is None:
            return []
        found: list[Adaptation] = []
        begin, key = "+" if before is None else f"({before}", self._page_key(owner, filter)
        while len(found) < limit:
            last, kept = await self._run(
                scripts.PAGE, quote(owner, safe=""), key, begin, now, limit - len(found), LOOKED_AT
            )
            if not last:
                break
            found += [
                _decoded(owner, each.decode(), packed) for each, packed in zip(kept[::2], kept[1::2], strict=True)
            ]
            begin = f"({last.decode()}"
        return found

    async def sweep(self, before: float, limit: int) -> int:
        """Remove at most `limit` records that expired before that time; how many it were."""
        swept = 0
        while swept < limit:
            asked = min(limit - swept, SWEPT_AT_ONCE)
            found = int(await self._run(scripts.SWEEP, before, asked))
            swept += found
            if found < asked:
                break
        return swept

    async def usage(self, owner: str) -> Usage:
        """What the owner keeps."""
        records, size = await self._call("HMGET", self._key("usage", owner), "records", "bytes")
        return Usage(int(records or 0), int(size or 0))

    async def _migrate(self) -> None:
        """Bring an older layout up to date. Raises StoreFailed for a newer one."""
        version = int(await self._call("GET", f"{self._prefix}:schema") or 0)
        if version > len(MIGRATIONS):
            raise StoreFailed(
                f"{self._place} has schema {version} under {self._prefix!r}, and this server knows those up to "
                f"{len(MIGRATIONS)}: start the newer version of the server that wrote it, or choose another prefix"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            await self._run(scripts.MIGRATE.format(script=script), number)

    async def _check_durability(self) -> None:
        """Warn where the server forgets what it acknowledged."""
        try:
            answer = await self._call("CONFIG", "GET", "append*")
        except StoreFailed as error:
            if isinstance(error.__cause__, ResponseError):  # a managed server keeps its settings to itself
                return
            raise
        words = [_text(word) for word in answer]
        settings = dict(zip(words[::2], words[1::2], strict=True))
        if settings.get("appendonly") != "yes":
            log.warning("%s keeps records in memory only: set `appendonly yes` there", self._place)
        elif self._fsync and settings.get("appendfsync") != "always":
            log.warning("%s may lose the last second in a power failure: set `appendfsync always` there", self._place)

    async def _call(self, *words: Word) -> Any:
        async with self._failing():
            return await self._calls.call(*words)

    async def _run(self, script: str, *arguments: Word) -> Any:
        async with self._failing():
            return await self._calls.run(script, self._prefix, *arguments)

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise StoreFailed(f"{self._place}: {error}: check that it runs and can write, then try again") from error

    @property
    def _place(self) -> str:
        """The server, without a password."""
        parts = urlsplit(self._url)
        return f"redis at {parts.hostname}:{parts.port or 6379}" if parts.hostname else f"redis at {parts.path}"

    @property
    def _quota_words(self) -> tuple[int, int]:
        return self._quota.records, self._quota.bytes

    def _raise_over(self, answer: Sequence[bytes]) -> None:
        if answer[0] == b"over":
            unit = _text(answer[1])
            raise QuotaExceeded(self._quota.bytes if unit == "bytes" else self._quota.records, unit)

    def _key(self, kind: str, *parts: str) -> str:
        return ":".join((self._prefix, kind, *(quote(part, safe="") for part in parts)))

    def _page_key(self, owner: str, filter: Filter) -> str:
        page = self._key("page", owner)
        match filter:
            case (None, None):
                return page
            case (model, None):
                return f"{page}:model:{quote(model or '', safe='')}"
            case (None, label):
                return f"{page}:label:{quote(label or '', safe='')}"
        return f"{page}:both:{quote(filter.model or '', safe='')}:{quote(filter.label or '', safe='')}"

    def _record(self, adaptation: Adaptation) -> tuple[Word, Word, Word]:
        """owner, id and packed record, as the scripts take them."""
        label = None if adaptation.label is None else quote(adaptation.label, safe="")
        head = msgspec.msgpack.encode(
            (adaptation.revision, adaptation.expires_at, quote(adaptation.model, safe=""), label, adaptation.names)
        )
        packed = len(head).to_bytes(HEAD_SIZE, "big") + head + encode(adaptation)
        return quote(adaptation.owner, safe=""), adaptation.id, packed


def _decoded(owner: str, id: str, packed: bytes) -> Adaptation:
    head = int.from_bytes(packed[:HEAD_SIZE], "big")
    return decode(owner, id, packed[HEAD_SIZE + head :])


def _taken(name: str, holder: bytes) -> NameHolder:
    return NameHolder(holder[:32].decode(), Name(name, holder[32:]))


def _text(word: bytes | str) -> str:
    return word if isinstance(word, str) else word.decode()
