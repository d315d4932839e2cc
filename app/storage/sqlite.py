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
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.errors import StoreFailed
from app.service.health import Health
from app.service.record import Adaptation
from app.service.store_protocol import PAGE_BYTES, Filter, Name, NameHolder, Quota, Usage
from app.storage.bundle_folder import BundleFolder
from app.storage.disk_reserve import DiskReserve, nearest_existing
from app.storage.group_commit import GroupCommit, Operation
from app.storage.record_cache import RecordCache
from app.storage.record_encoding import check_new, decode, encode, id_bytes
from app.storage.sqlite_file import (
    FILE,
    CannotWrite,
    cannot_write,
    connect,
    connect_to_read,
    failed,
    is_full,
    lock,
    lock_to_read,
    remove,
)
from app.storage.sqlite_migrations import MIGRATIONS, check_schema, connect_to_nothing, migrate
from app.storage.sqlite_operations import (
    GET,
    NAME_HOLDER,
    OWNER,
    USAGE,
    Delete,
    Probe,
    Put,
    Replace,
    Row,
    Sweep,
    page_query,
)
from app.storage.sqlite_transactions import CONDITION, Reports, SqliteTransactions
from app.storage.sqlite_write_ahead_log import WriteAheadLog
from app.storage.sweep_in_batches import sweep_in_batches

UNREADABLE = "the store cannot be read"
NOT_OPEN = f"The database {FILE} is still being opened: try again"
LAST_ID = b"\xff" * 17
"""Sorts behind every id."""


class SqliteStore:
    """Keeps records in `adaptations.sqlite` in a folder. Methods raise StoreFailed for sqlite's errors."""

    def __init__(self, folder: Path, quota: Quota, *, fsync: bool = True, health: Health | None = None) -> None:
        """Nothing is opened yet.

        fsync: acknowledged changes survive a power failure; without, they survive the end of the process
        health: receives a report when the disk is full or the file cannot be read or written, and when that ends
        """
        self._folder = folder
        self._quota = quota
        self._fsync = fsync
        self._health = health or Health()
        self._cache = RecordCache()
        self._disk = DiskReserve(folder, self._health)
        self._reports = Reports(folder, self._disk, self._health)
        self.bundles = BundleFolder(folder, self._disk)

    async def __aenter__(self) -> Self:
        self._pages = ThreadPoolExecutor(1, "pages")
        try:
            self._use(self._open())
        except CannotWrite as error:
            self._open_what_there_is(error)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.close()
        self._pages.shutdown()
        self._opened.resources.close()

    def _open(self) -> "_Opened":
        """Open the file for writing. Raises CannotWrite and StoreFailed."""
        with ExitStack() as stack:
            stack.callback(os.close, lock(self._folder))
            self._disk.check()
            file, connections = self._folder / FILE, stack.enter_context(ExitStack())
            is_new = not os.access(file, os.F_OK)
            try:
                writer, copier, reader, pager = (
                    connections.enter_context(closing(connect(file, self._fsync))) for _ in range(4)
                )
                migrate(writer, MIGRATIONS)
                writer.execute("BEGIN IMMEDIATE")  # fails where sqlite has opened the file to read it only
                writer.execute("ROLLBACK")
            except sqlite3.Error as error:
                full = self._disk.full or is_full(error)
                failure = failed(self._folder, error, full=full)
                connections.close()
                if is_new:
                    remove(file)
                raise CannotWrite(str(failure), passing=full) if cannot_write(error) else failure from error
            for connection in (reader, pager):
                connection.execute("PRAGMA busy_timeout = 100")  # the event loop waits for it
            writer.execute("PRAGMA busy_timeout = 0")  # `SqliteTransactions` waits, and on the event loop never
            log = WriteAheadLog(self._folder, writer, copier, self._reports.failure)
            stack.callback(log.close)
            transactions = SqliteTransactions(writer, log, self._quota, self._cache, self._disk, self._reports)
            # the process may have ended between deleting and erasing
            if (unerased := transactions.erase()) and not self._disk.full:
                raise unerased
            return _Opened(stack.pop_all(), reader, pager, transactions)

    def _open_to_read(self, failure: CannotWrite) -> "_Opened":
        """Open the file to read it only, or an empty database in its place where there is none yet.

        Raises `failure` as StoreFailed where neither is possible.
        """
        with ExitStack() as stack:
            if (descriptor := lock_to_read(self._folder)) is not None:
                stack.callback(os.close, descriptor)
            try:
                file = self._folder / FILE
                is_new = failure.passing and not os.access(file, os.F_OK)
                connections = (connect_to_nothing(MIGRATIONS) if is_new else connect_to_read(file) for _ in range(2))
                reader, pager = (stack.enter_context(closing(each)) for each in connections)
                if check_schema(reader, MIGRATIONS) < len(MIGRATIONS):
                    raise StoreFailed(str(failure)) from failure
            except sqlite3.Error:
                raise StoreFailed(str(failure)) from failure
            return _Opened(stack.pop_all(), reader, pager, None)

    def _open_what_there_is(self, failure: CannotWrite) -> None:
        """Serve without writing, and report why. Raises StoreFailed where that is impossible too."""
        self._use(self._open_to_read(failure))
        self._health.begin(CONDITION, f"{failure}. Until then the server stores nothing")

    def _use(self, opened: "_Opened") -> None:
        """Serve from connections, on the event loop."""
        self._opened = opened
        self._numbers: dict[str, int] = {}
        self._reader = opened.reader
        self._pager = opened.pager
        if opened.transactions is None:
            self._writer: GroupCommit | _Refusing = _Refusing(self._health)
        else:
            self._writer = GroupCommit(opened.transactions, "commits", waits=self._fsync)

    async def check(self) -> None:
        """Notice a full disk, and find out whether what has failed works again."""
        await asyncio.to_thread(self._disk.check)
        if self._disk.full:
            return
        if self._opened.transactions is None:
            self._reopen()
        elif self._opened.transactions.failing:
            with suppress(StoreFailed):  # it has reported itself
                await self._writer.submit(Probe())

    def _reopen(self) -> None:
        """Open a file for writing that could be read only, if that is possible now."""
        file = self._folder / FILE
        if not os.access(nearest_existing(self._folder), os.W_OK | os.X_OK):
            return
        if os.access(file, os.F_OK) and not os.access(file, os.W_OK):
            return
        # nothing reads meanwhile: not the event loop, which runs this, and not the thread, which has nothing to do
        self._pages.submit(int).result()
        self._opened.resources.close()  # sqlite opens a file once in a process: for reading or for writing
        try:
            self._use(self._open())
        except StoreFailed as error:
            try:
                self._open_what_there_is(
                    error if isinstance(error, CannotWrite) else CannotWrite(str(error), passing=False)
                )
            except StoreFailed as unreadable:
                self._health.begin(CONDITION, str(unreadable), UNREADABLE)
        else:
            self._health.end(CONDITION)

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Store a new record, or return the holder of one of its names. Raises QuotaExceeded and ValueError."""
        check_new(adaptation, names)
        return await self._writer.submit(Put(_row(adaptation), names, now))

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """The record that a name belongs to; None where there is none, or it has expired by `now`."""
        rows = self._read(NAME_HOLDER, (self._number(owner), name, now))
        return NameHolder(rows[0][0].hex(), Name(name, rows[0][1])) if rows else None

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record with this id, even if it has expired; None where there is none."""
        key = id_bytes(id)
        if key is None:
            return None
        if (cached := self._cache.get((owner, key))) is not None:
            return cached
        drops = self._cache.drops
        rows = self._read(GET, (self._number(owner), key))
        if not rows:
            return None
        adaptation = decode(owner, id, rows[0][0])
        self._cache.put((owner, key), adaptation, len(rows[0][0]), drops)
        return adaptation

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Replace the record with the same id, if it has the version `expected`. Raises QuotaExceeded."""
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
        rows = self._read(USAGE, (owner,))
        return Usage(*rows[0]) if rows else Usage(0, 0)

    def _page(self, query: str, criteria: Mapping[str, object]) -> Sequence[Adaptation]:
        owner, page, size = str(criteria["owner"]), [], 0
        try:
            for key, record in self._pager.execute(query, criteria):
                page.append(decode(owner, key.hex(), record))
                if (size := size + len(record)) > PAGE_BYTES:
                    break
        except sqlite3.Error as error:
            raise self._reports.failure(error, UNREADABLE) from error
        return page

    def _number(self, owner: str) -> int | None:
        """The number of an owner, which stays; None as long as there is no record. Reading it is half of a look-up."""
        number = self._numbers.get(owner)
        if number is None and (rows := self._read(OWNER, (owner,))):
            number = self._numbers[owner] = rows[0][0]
        return number

    def _read(self, query: str, parameters: tuple[object, ...]) -> list[Any]:
        try:
            return self._reader.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._reports.failure(error, UNREADABLE) from error


@dataclass
class _Opened:
    """An open file: what has to be closed, connections that read, and what writes, unless it can only be read."""

    resources: ExitStack
    reader: sqlite3.Connection
    pager: sqlite3.Connection
    transactions: SqliteTransactions | None


class _Refusing:
    """In place of what writes, as long as the file can only be read."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def submit(self, operation: Operation[Any]) -> Any:
        """Raises StoreFailed."""
        raise StoreFailed(self._health.degraded.get(CONDITION, NOT_OPEN))

    async def close(self) -> None:
        """Nothing."""


def _row(adaptation: Adaptation) -> Row:
    key = id_bytes(adaptation.id)
    assert key is not None, "`put` checks it"
    return Row(
        adaptation.owner,
        key,
        adaptation.version,
        adaptation.model,
        adaptation.label,
        adaptation.expires_at,
        encode(adaptation),
    )
