"""Records in a redis server (or Valkey), which several servers can share.

Records are as durable as that server makes them: `appendonly yes` with `appendfsync always` equals a file with fsync.
Deleted records stay in its append-only file until it rewrites that, and in its snapshots until the next one.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import QuotaExceeded, StoreFailed
from app.service.health import Health
from app.service.record import Adaptation
from app.service.store_protocol import PAGE_BYTES, Filter, Name, NameHolder, Quota, Usage
from app.storage import redis_errors
from app.storage import redis_scripts as scripts
from app.storage.bundle_redis import BundleRedis
from app.storage.record_encoding import check_new, decode, encode, id_bytes
from app.storage.redis_pipeline import Calls, Word
from app.storage.sweep_in_batches import sweep_in_batches

log = logging.getLogger(__name__)

MIGRATIONS = ("",)
"""Lua scripts; each migrates the layout from the version that is its index here to the next. Released ones stay."""
CONNECTIONS = 16
TIMEOUT_S = 5.0
"""For an answer; after that the server counts as failed."""
PAGE_ROWS = 256
"""Records that one script reads for a page, expired ones included: the server does nothing else meanwhile."""
HEAD_SIZE = 4
"""Bytes of the number before the head of a record, which is its length (`redis_scripts`)."""

CONDITION = "store"
UNLIMITED = 2**53
"""The largest number that a script compares exactly."""


class RedisStore:
    """Keeps records in redis. Methods raise StoreFailed where it does not answer; the next call tries again."""

    def __init__(
        self, url: str, quota: Quota, *, prefix: str = "innerloop", fsync: bool = True, health: Health | None = None
    ) -> None:
        """Nothing is opened yet.

        url: redis://, rediss:// or unix://
        prefix: of all keys
        fsync: log a warning if redis does not wait for its disk
        health: receives a report when redis fails, and when it works again
        """
        self._url = url
        self._quota = quota
        self._prefix = prefix
        self._fsync = fsync
        self._health = health or Health()
        self._ready = False  # whether the layout is known to be the current one
        self._failing = False
        self._silent = False  # whether it did not answer in time, and has not answered since
        self.bundles = BundleRedis(self._run)

    async def __aenter__(self) -> Self:
        try:
            pool = BlockingConnectionPool.from_url(
                self._url,
                protocol=2,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT_S,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),  # what was sent may have been executed
            )
        except ValueError as error:
            raise StoreFailed(redis_errors.invalid_url(error)) from error
        self._client = Redis.from_pool(pool)
        self._calls = Calls(self._client)
        try:
            await self._prepare()
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._calls.close()
        await self._client.aclose()

    async def _prepare(self) -> None:
        """Migrate; where redis does not answer, `check` tries again. Raises StoreFailed for a newer layout."""
        try:
            await self._migrate()
            await self._check_durability()
        except StoreFailed as error:
            if not isinstance(error.__cause__, RedisError | OSError):
                raise
        else:
            self._ready = True

    async def check(self) -> None:
        """Find out whether redis answers and can write, and migrate where it has not answered before."""
        try:
            # it changes nothing, and is refused where a record would be
            await self._call("SETRANGE", f"{self._prefix}:probe", 0, "", probing=True)
            if not self._ready:
                await self._prepare()
        except StoreFailed:  # it has been reported
            return
        if self._failing and self._ready:
            self._failing = False
            self._health.end(CONDITION)

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Store a new record, or return the holder of one of its names. Raises QuotaExceeded and ValueError."""
        check_new(adaptation, names)
        holders = [word for name in names for word in (name.name, adaptation.id.encode() + name.fingerprint)]
        answer = await self._run(scripts.PUT, *self._record(adaptation), now, *self._quota_words, *holders)
        match [_text(word) for word in answer[:2]]:
            case ["taken", name]:
                return _name_holder(name, answer[2])
            case ["exists"]:
                raise ValueError(f"an adaptation {adaptation.id!r} exists already")
        self._check_quota(answer)
        return None

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """The record that a name belongs to; None where there is none, or it has expired by `now`."""
        holder = await self._run(scripts.NAME_HOLDER, quote(owner, safe=""), name, now)
        return _name_holder(name, holder) if holder else None

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record with this id, even if it has expired; None where there is none."""
        packed = await self._call("GET", self._key("record", owner, id)) if id_bytes(id) else None
        return _unpack(owner, id, packed) if packed else None

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Replace the record with the same id, if it has the version `expected`. Raises QuotaExceeded."""
        max_usage = (UNLIMITED, UNLIMITED) if erase else self._quota_words
        answer = await self._run(scripts.REPLACE, *self._record(adaptation), expected, *max_usage)
        self._check_quota(answer)
        return bool(answer[0] == b"done")

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a record and free its names. Returns whether there was one."""
        return id_bytes(id) is not None and bool(await self._run(scripts.DELETE, quote(owner, safe=""), id))

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None, now: float
    ) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first."""
        if before is not None and id_bytes(before) is None:
            return []
        page: list[Adaptation] = []
        size = 0
        begin, key = "+" if before is None else f"({before}", self._page_key(owner, filter)
        while len(page) < limit:
            last, records = await self._run(
                scripts.PAGE, quote(owner, safe=""), key, begin, now, limit - len(page), PAGE_ROWS, PAGE_BYTES
            )
            if not last:
                break
            page += [
                _unpack(owner, record_id.decode(), packed)
                for record_id, packed in zip(records[::2], records[1::2], strict=True)
            ]
            begin = f"({last.decode()}"
            size += sum(map(len, records[1::2]))
            if size > PAGE_BYTES:
                break
        return page

    async def sweep(self, before: float, limit: int) -> int:
        """Delete at most `limit` records that expired before a time. Returns their number."""

        async def sweep(size: int) -> int:
            return int(await self._run(scripts.SWEEP, before, size))

        return await sweep_in_batches(sweep, limit)

    async def usage(self, owner: str) -> Usage:
        """What the owner stores."""
        records, size = await self._call("HMGET", self._key("usage", owner), "records", "bytes")
        return Usage(int(records or 0), int(size or 0))

    async def _migrate(self) -> None:
        """Migrate an older layout. Raises StoreFailed for a newer one."""
        version = int(await self._call("GET", f"{self._prefix}:schema", probing=True) or 0)
        if version > len(MIGRATIONS):
            failure = redis_errors.newer_schema(self._url, len(MIGRATIONS), version)
            self._health.begin(CONDITION, failure, redis_errors.AWAY)
            raise StoreFailed(failure)
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            await self._run(scripts.MIGRATE.format(script=script), number, probing=True)

    async def _check_durability(self) -> None:
        """Warn about a server that may lose what it acknowledged."""
        async with self._store_errors(probing=True):
            try:
                answer = await self._calls.call("CONFIG", "GET", "append*")
            except ResponseError:  # a managed server may refuse to show its settings
                return
        words = [_text(word) for word in answer]
        settings = dict(zip(words[::2], words[1::2], strict=True))
        if settings.get("appendonly") != "yes":
            log.warning(
                "%s keeps adaptations in memory only and loses them when it stops: set `appendonly yes` in its "
                "configuration",
                redis_errors.place(self._url),
            )
        elif self._fsync and settings.get("appendfsync") != "always":
            log.warning(
                "%s loses up to a second of changes in a power failure: set `appendfsync always` in its configuration",
                redis_errors.place(self._url),
            )

    async def _call(self, *words: Word, probing: bool = False) -> Any:
        """Run a command. probing: also where redis did not answer the last time, or may have another layout."""
        async with self._store_errors(probing):
            return await self._calls.call(*words)

    async def _run(self, script: str, *arguments: Word, probing: bool = False) -> Any:
        async with self._store_errors(probing):
            return await self._calls.run(script, self._prefix, *arguments)

    @asynccontextmanager
    async def _store_errors(self, probing: bool) -> AsyncIterator[None]:
        """Raise StoreFailed for the errors of redis."""
        if not probing and (self._silent or not self._ready):
            raise StoreFailed(self._health.degraded.get(CONDITION, self._not_open))
        try:
            yield
        except (RedisError, OSError) as error:
            # a server that hangs is asked again by `check` alone, so that requests do not wait for it in vain
            self._silent = isinstance(error, TimeoutError | RedisTimeoutError)
            self._failing = True
            failure = redis_errors.failure(self._url, error)
            self._health.begin(CONDITION, failure, redis_errors.status(error))
            raise StoreFailed(failure) from error
        if self._silent:
            self._silent = False

    @property
    def _not_open(self) -> str:
        return f"The connection to {redis_errors.place(self._url)} is still being opened: try again"

    @property
    def _quota_words(self) -> tuple[int, int]:
        return self._quota.records, self._quota.bytes

    def _check_quota(self, answer: Sequence[bytes]) -> None:
        """Raise QuotaExceeded where a script refused a record for it."""
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
        """The owner, the id and the packed record, as the scripts take them."""
        label = None if adaptation.label is None else quote(adaptation.label, safe="")
        head = msgspec.msgpack.encode(
            (adaptation.version, adaptation.expires_at, quote(adaptation.model, safe=""), label, adaptation.names)
        )
        packed = len(head).to_bytes(HEAD_SIZE, "big") + head + encode(adaptation)
        return quote(adaptation.owner, safe=""), adaptation.id, packed


def _unpack(owner: str, id: str, packed: bytes) -> Adaptation:
    head = int.from_bytes(packed[:HEAD_SIZE], "big")
    return decode(owner, id, packed[HEAD_SIZE + head :])


def _name_holder(name: str, holder: bytes) -> NameHolder:
    return NameHolder(holder[:32].decode(), Name(name, holder[32:]))


def _text(word: bytes | str) -> str:
    return word if isinstance(word, str) else word.decode()
