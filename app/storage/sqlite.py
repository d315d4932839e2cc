"""Records in one sqlite file: for one server, and durable.

One thread writes, many operations in a transaction (`group_commit`); reads of one record happen on the event loop,
and pages in a thread of their own.

Measured with records of 10 examples, 64 at once, on two cores that others used too: 24,000-30,000 puts/s with fsync
(p50 2.2 ms, p99 6-10 ms; one alone .7-1.2 ms) and 35,000-45,000 without; a put takes 8-12 us of the thread that
writes, and 12-15 us of the event loop, its encoding included. A record takes 369 bytes on the disk. With a thousand, a
hundred thousand and a million of them `get` takes 16, 19 and 21 us the first time, and a page of 100 takes 1.1, 1.0 and
1.2 ms.
"""

import asyncio
import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.errors import StoreFailed
from app.service.record import Adaptation
from app.service.store import Filter, Name, NameHolder, Quota, Usage
from app.storage.encoding import check_new, decode, encode, id_bytes
from app.storage.group_commit import GroupCommit, Operation
from app.storage.recent import Recent
from app.storage.sqlite_file import FILE, WriteAheadLog, connect, failed, lock, migrate
from app.storage.sqlite_tables import (
    GET,
    MIGRATIONS,
    NAMED,
    USAGE,
    Delete,
    Put,
    Replace,
    Row,
    Sweep,
    Tables,
    page_query,
)

SWEPT_AT_ONCE = 64
"""Records: others are served between two such transactions."""
PAGES_OF_A_TRANSACTION = 8
"""Of 4 KiB, in the log, beside the records themselves: about."""
LAST_ID = b"\xff" * 17


class SqliteStore:
    """Keeps records in `adaptations.sqlite` in a folder. Methods raise StoreFailed for what sqlite cannot do."""

    def __init__(self, folder: Path, quota: Quota, *, fsync: bool = True) -> None:
        """fsync: what was acknowledged survives a power failure; without, it survives the end of the process."""
        self._folder = folder
        self._quota = quota
        self._fsync = fsync
        self._recent = Recent()
        self._opened = AsyncExitStack()

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
            transactions = _Transactions(self._folder, writer, log, self._quota, self._recent)
            if failure := transactions.erase():  # the process may have ended before it had erased what it removed
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
        """Keep a new record, or say whose a name is. Raises QuotaExceeded; ValueError for an id kept already."""
        check_new(adaptation, names)
        return await self._writer.submit(Put(_row(adaptation), names, now))

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """Whose a name is, or None where it is nobody's who is alive at `now`."""
        rows = self._read(self._reader, NAMED, (owner, name, now))
        return NameHolder(rows[0][0].hex(), Name(name, rows[0][1])) if rows else None

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record of that id, expired or not, or None."""
        key = id_bytes(id)
        if key is None:
            return None
        if (kept := self._recent.get((owner, key))) is not None:
            return kept
        changes = self._recent.changes
        rows = self._read(self._reader, GET, (owner, key))
        if not rows:
            return None
        found = decode(owner, id, rows[0][0])
        self._recent.keep((owner, key), found, len(rows[0][0]), changes)
        return found

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Put a record in the place of the one that has its id and revision `expected`. Raises QuotaExceeded."""
        return await self._writer.submit(Replace(_row(adaptation), adaptation.names, expected, erase))

    async def delete(self, owner: str, id: str) -> bool:
        """Remove a record with its names, from the disk too; whether there was one."""
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
        """Remove at most `limit` records that expired before that time; how many it were."""
        swept = 0
        while swept < limit:
            asked = min(limit - swept, SWEPT_AT_ONCE)
            found = await self._writer.submit(Sweep(before, asked))
            swept += found
            if found < asked:
                break
        return swept

    async def usage(self, owner: str) -> Usage:
        """What the owner keeps."""
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
    """What the writing thread does."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, log: WriteAheadLog, quota: Quota, recent: Recent
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._log = log
        self._quota = quota
        self._recent = recent
        self._tables: Tables | None = None
        self._written = 0

    def commit(self, operations: Sequence[Operation[Any]]) -> list[object]:
        """Do all in one transaction. Where it fails nothing is done, and each is answered StoreFailed."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._tables = self._tables or Tables(self._connection, self._quota)
            outcomes = self._tables.apply(operations)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait have to be told
            self._roll_back()
            self._recent.clear()  # whether it was written, who knows
            failure = failed(self._folder, error) if isinstance(error, sqlite3.Error) else error
            return [failure] * len(operations)
        records = sum(len(each.row.record) for each in operations if isinstance(each, Put | Replace))
        self._written += records + PAGES_OF_A_TRANSACTION * 4096
        self._forget(operations, outcomes)
        return outcomes

    def _forget(self, operations: Sequence[Operation[Any]], outcomes: Sequence[object]) -> None:
        """Let nobody be answered with what was changed or removed, before those who wait for that are told."""
        for operation, outcome in zip(operations, outcomes, strict=True):
            match operation:
                case Replace(row=row) if outcome is True:
                    self._recent.forget((row.owner, row.id))
                case Delete(owner=owner, id=id) if outcome is True:
                    self._recent.forget((owner, id))
                case Sweep() if outcome:
                    self._recent.clear()

    def erase(self) -> Exception | None:
        """Leave nothing of what was removed in the log."""
        try:
            self._log.erase()
        except sqlite3.Error as error:
            return failed(self._folder, error)
        except OSError as error:
            return StoreFailed(f"{error.filename}: {error.strerror}: what was removed may still be in it")
        except StoreFailed as error:
            return error
        return None

    def tend(self) -> None:
        """Keep the log short."""
        written, self._written = self._written, 0
        try:
            self._log.written(written)
        except sqlite3.Error:  # the log has it all; the thread that copies it says what is wrong
            return

    def _roll_back(self) -> None:
        self._tables = None  # it has counted what is not kept now
        with suppress(sqlite3.Error):  # sqlite has rolled back by itself after some errors
            self._connection.execute("ROLLBACK")


def _row(adaptation: Adaptation) -> Row:
    key = id_bytes(adaptation.id)
    assert key is not None, "checked when it was put"
    return Row(
        adaptation.owner,
        key,
        adaptation.revision,
        adaptation.model,
        adaptation.label,
        adaptation.expires_at,
        encode(adaptation),
    )
