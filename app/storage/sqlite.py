"""Records in one sqlite file: durable, for one server.

One thread writes, with many operations in a transaction (`group_commit`). Single records are read on the event loop,
pages on a thread of their own.

Measured with records of 10 examples, 64 at once, on two cores under other load: 24,000-30,000 puts/s with fsync (p50
2.2 ms, p99 6-10 ms; one alone 0.7-1.2 ms) and 35,000-45,000 without. A put takes 8-12 us of the writing thread, and
12-15 us of the event loop, including its encoding. A record takes 369 bytes on the disk. With a thousand, a hundred
thousand and a million records an uncached `get` takes 16, 19 and 21 us, and a page of 100 takes 1.1, 1.0 and 1.2 ms.
"""

import asyncio
import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from app.errors import StoreFailed
from app.service.record import Adaptation
from app.service.store import Filter, Name, NameHolder, Quota, Usage
from app.storage.bundle_folder import BundleFolder
from app.storage.encoding import check_new, decode, encode, id_bytes
from app.storage.group_commit import GroupCommit, Operation
from app.storage.in_batches import sweep_in_batches
from app.storage.record_cache import RecordCache
from app.storage.sqlite_file import FILE, TIMEOUT_S, WriteAheadLog, connect, failed, is_busy, lock, migrate
from app.storage.sqlite_operations import (
    GET,
    MIGRATIONS,
    NAME_HOLDER,
    USAGE,
    Delete,
    Put,
    Replace,
    Row,
    Sweep,
    Tables,
    page_query,
)

PAGES_PER_TRANSACTION = 8
"""Pages of 4 KiB that a transaction writes to the log besides the records: about."""
BUSY_S = 0.01
"""Between two attempts to begin a transaction while another program has one."""
LAST_ID = b"\xff" * 17
"""Sorts behind every id."""


class SqliteStore:
    """Keeps records in `adaptations.sqlite` in a folder. Methods raise StoreFailed for sqlite's errors."""

    def __init__(self, folder: Path, quota: Quota, *, fsync: bool = True) -> None:
        """fsync: acknowledged changes survive a power failure; without, they survive the end of the process."""
        self._folder = folder
        self._quota = quota
        self._fsync = fsync
        self._cache = RecordCache()
        self._opened = AsyncExitStack()
        self.bundles = BundleFolder(folder)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.callback(os.close, lock(self._folder))
            try:
                writer, copier, self._reader, self._pager = (
                    stack.enter_context(closing(connect(self._folder / FILE, self._fsync))) for _ in range(4)
                )
                migrate(writer, MIGRATIONS)
            except sqlite3.Error as error:
                raise failed(self._folder, error) from error
            self._pages = stack.enter_context(ThreadPoolExecutor(1, "pages"))
            log = WriteAheadLog(self._folder, writer, copier)
            stack.callback(log.close)
            writer.execute("PRAGMA busy_timeout = 0")  # `_begin` waits, and on the event loop never
            transactions = _Transactions(self._folder, writer, log, self._quota, self._cache)
            if failure := transactions.erase():  # the process may have ended between deleting and erasing
                raise failure
            self._writer = GroupCommit(transactions, "commits", waits=self._fsync)
            stack.push_async_callback(self._writer.close)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Store a new record, or return the holder of one of its names. Raises QuotaExceeded and ValueError."""
        check_new(adaptation, names)
        return await self._writer.submit(Put(_row(adaptation), names, now))

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """The record that a name belongs to; None where there is none, or it has expired by `now`."""
        rows = self._read(self._reader, NAME_HOLDER, (owner, name, now))
        return NameHolder(rows[0][0].hex(), Name(name, rows[0][1])) if rows else None

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record with this id, even if it has expired; None where there is none."""
        key = id_bytes(id)
        if key is None:
            return None
        if (cached := self._cache.get((owner, key))) is not None:
            return cached
        drops = self._cache.drops
        rows = self._read(self._reader, GET, (owner, key))
        if not rows:
            return None
        adaptation = decode(owner, id, rows[0][0])
        self._cache.put((owner, key), adaptation, len(rows[0][0]), drops)
        return adaptation

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Replace the record with the same id, if it has the revision `expected`. Raises QuotaExceeded."""
        return await self._writer.submit(Replace(_row(adaptation), adaptation.names, expected, erase))

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a record, from the disk too, and free its names. Returns whether there was one."""
        key = id_bytes(id)
        return key is not None and await self._writer.submit(Delete(owner, key))

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None, now: float
    ) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first."""
        criteria: Mapping[str, object] = {
            "owner": owner,
            "model": filter.model,
            "label": filter.label,
            "before": LAST_ID if before is None else id_bytes(before),
            "now": now,
            "limit": limit,
        }
        return await asyncio.get_running_loop().run_in_executor(self._pages, self._page, page_query(filter), criteria)

    async def sweep(self, before: float, limit: int) -> int:
        """Delete at most `limit` records that expired before a time. Returns their number."""
        return await sweep_in_batches(lambda size: self._writer.submit(Sweep(before, size)), limit)

    async def usage(self, owner: str) -> Usage:
        """What the owner stores."""
        rows = self._read(self._reader, USAGE, (owner,))
        return Usage(*rows[0]) if rows else Usage(0, 0)

    def _page(self, query: str, criteria: Mapping[str, object]) -> Sequence[Adaptation]:
        rows = self._read(self._pager, query, criteria)
        owner = str(criteria["owner"])
        return [decode(owner, key.hex(), record) for key, record in rows]

    def _read(
        self, connection: sqlite3.Connection, query: str, parameters: tuple[object, ...] | Mapping[str, object]
    ) -> list[Any]:
        try:
            return connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise failed(self._folder, error) from error


class _Transactions:
    """Runs the transactions of the writing thread."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, log: WriteAheadLog, quota: Quota, cache: RecordCache
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._log = log
        self._quota = quota
        self._cache = cache
        self._tables: Tables | None = None
        self._written = 0

    def commit(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        """Do all operations in one transaction. Where it fails nothing is done, and each outcome is StoreFailed."""
        try:
            if not self._begin(patient):
                return None
            self._tables = self._tables or Tables(self._connection, self._quota)
            outcomes = self._tables.apply(operations)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  whatever it is, it is raised where the callers wait
            self._roll_back()
            self._cache.clear()  # it may have been written all the same
            failure = failed(self._folder, error) if isinstance(error, sqlite3.Error) else error
            return [failure] * len(operations)
        records = sum(len(each.row.record) for each in operations if isinstance(each, Put | Replace))
        self._written += records + PAGES_PER_TRANSACTION * 4096
        self._drop_changed(operations, outcomes)
        return outcomes

    def _begin(self, patient: bool) -> bool:
        """Begin a transaction. Returns False where another program has one, unless it is patient and waits for it."""
        deadline = monotonic() + TIMEOUT_S
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or (patient and monotonic() > deadline):
                    raise
                if not patient:
                    return False
                sleep(BUSY_S)
            else:
                return True

    def _drop_changed(self, operations: Sequence[Operation[Any]], outcomes: Sequence[object]) -> None:
        """Drop changed and deleted records from the cache, before the changes are acknowledged."""
        for operation, outcome in zip(operations, outcomes, strict=True):
            match operation:
                case Replace(row=row) if outcome is True:
                    self._cache.drop((row.owner, row.id))
                case Delete(owner=owner, id=id) if outcome is True:
                    self._cache.drop((owner, id))
                case Sweep() if outcome:
                    self._cache.clear()

    def erase(self) -> Exception | None:
        """Erase deleted records from the log."""
        try:
            self._log.erase()
        except sqlite3.Error as error:
            return failed(self._folder, error)
        except OSError as error:
            return StoreFailed(f"{error.filename}: {error.strerror}: deleted records may still be in it")
        except StoreFailed as error:
            return error
        return None

    def tend(self, *, patient: bool) -> None:
        """Keep the log short."""
        written, self._written = self._written, 0
        try:
            self._log.note_written(written, patient=patient)
        except sqlite3.Error:  # the log has all records; the thread that copies it logs the error
            return

    def _roll_back(self) -> None:
        self._tables = None  # it has counted what is not stored now
        with suppress(sqlite3.Error):  # sqlite has rolled back by itself after some errors
            self._connection.execute("ROLLBACK")


def _row(adaptation: Adaptation) -> Row:
    key = id_bytes(adaptation.id)
    assert key is not None, "`put` checks it"
    return Row(
        adaptation.owner,
        key,
        adaptation.revision,
        adaptation.model,
        adaptation.label,
        adaptation.expires_at,
        encode(adaptation),
    )
