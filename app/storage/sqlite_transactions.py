"""The transactions of the sqlite store: how operations are committed and erased, and what happens where that fails."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from app.errors import StoreFailed
from app.service.health import Health
from app.service.store_protocol import Quota
from app.storage.disk_reserve import DiskReserve
from app.storage.group_commit import Operation
from app.storage.record_cache import RecordCache
from app.storage.sqlite_file import TIMEOUT_S, failed, is_busy, is_damaged, is_full
from app.storage.sqlite_operations import Delete, Put, Replace, Sweep, Tables, makes_room
from app.storage.sqlite_write_ahead_log import WriteAheadLog

PAGES_PER_TRANSACTION = 8
"""Pages of 4 KiB that a transaction writes to the log besides the records: about."""
BUSY_S = 0.01
"""Between two attempts to begin a transaction while another program has one."""
FAILING_S = 0.5
"""Instead of TIMEOUT_S, after something has failed: what has come meanwhile has waited already."""
CONDITION = "store"


class Reports:
    """Reports what fails, and the end of it."""

    def __init__(self, folder: Path, disk: DiskReserve, health: Health) -> None:
        self._folder = folder
        self._disk = disk
        self._health = health
        self.failing = False
        """Whether something has failed, and nothing has succeeded since."""

    def failure(self, error: sqlite3.Error, status: str | None = None) -> StoreFailed:
        """The StoreFailed for an error, once it is reported. status: as for `Health.begin`."""
        if is_full(error) or (not is_busy(error) and self._disk.is_low()):
            self._disk.fill()
            return self._disk.refusal()
        failure = failed(self._folder, error)
        if is_damaged(error):  # it stays so
            self._health.begin("database", str(failure), status)
        else:
            self.report(failure, status)
        return failure

    def report(self, failure: StoreFailed, status: str | None = None) -> None:
        """Report what may succeed later."""
        self.failing = True
        self._health.begin(CONDITION, str(failure), status)

    def success(self) -> None:
        """Something has succeeded."""
        self.failing = False
        self._health.end(CONDITION)


class SqliteTransactions:
    """Runs the transactions of the writing thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        log: WriteAheadLog,
        quota: Quota,
        cache: RecordCache,
        disk: DiskReserve,
        reports: Reports,
    ) -> None:
        self._connection = connection
        self._log = log
        self._quota = quota
        self._cache = cache
        self._disk = disk
        self.reports = reports
        self._tables: Tables | None = None
        self._written = 0
        self._unerased = False  # whether something deleted may still be on the disk

    @property
    def failing(self) -> bool:
        """Whether something has failed that may succeed by now."""
        return self.reports.failing or self._unerased

    def commit(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        """Do all operations in one transaction. Where it fails nothing is done, and each outcome is StoreFailed.

        On a full disk those that make room are done alone, and the others are refused.
        """
        if not self._disk.full:
            outcomes = self._transact(operations, patient)
            if not self._disk.full or outcomes is None or not any(isinstance(each, StoreFailed) for each in outcomes):
                return outcomes
            # it has failed because the disk turned out to be full, so nothing of it is done
        return self._make_room(operations, patient)

    def _make_room(self, operations: Sequence[Operation[Any]], patient: bool) -> list[object] | None:
        refusal = self._disk.refusal()
        outcomes = self._transact([each for each in operations if makes_room(each)], patient)
        if outcomes is None:
            return None
        done = iter(outcomes)
        return [next(done) if makes_room(each) else refusal for each in operations]

    def _transact(self, operations: Sequence[Operation[Any]], patient: bool) -> list[object] | None:
        """As `commit`, whatever room there is."""
        try:
            if not operations:
                return []
            if not self._begin(patient):
                return None
            self._tables = self._tables or Tables(self._connection, self._quota)
            outcomes = self._tables.apply(operations)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  whatever it is, it is raised where the callers wait
            self._roll_back()
            self._cache.clear()  # it may have been written all the same
            failure = self.reports.failure(error) if isinstance(error, sqlite3.Error) else error
            return [failure] * len(operations)
        self._written += PAGES_PER_TRANSACTION * 4096
        self._note(operations, outcomes)
        if self.reports.failing and not self._unerased:
            self.reports.success()
        return outcomes

    def _begin(self, patient: bool) -> bool:
        """Begin a transaction. Returns False where another program has one, unless it is patient and waits for it."""
        # what has come meanwhile has waited already
        deadline = monotonic() + (FAILING_S if self.failing else TIMEOUT_S)
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

    def _note(self, operations: Sequence[Operation[Any]], outcomes: Sequence[object]) -> None:
        """Count what was written, and drop changed and deleted records from the cache, before it is acknowledged."""
        for operation, outcome in zip(operations, outcomes, strict=True):
            match operation:
                case Put():
                    self._written += len(operation.row.record)
                case Replace(row=row):
                    self._written += len(row.record)
                    if outcome is True:
                        self._cache.drop((row.owner, row.id))
                case Delete(owner=owner, id=id) if outcome is True:
                    self._cache.drop((owner, id))
                case Sweep() if outcome:
                    self._cache.clear()

    def erase(self) -> StoreFailed | None:
        """Erase deleted records from the log. On a disk that turns out to be full, try again without its reserve."""
        had_reserve = not self._disk.full
        failure = self._erase()
        return self._erase() if failure is not None and had_reserve and self._disk.full else failure

    def _erase(self) -> StoreFailed | None:
        try:
            self._log.erase(FAILING_S if self._unerased else None)
        except sqlite3.Error as error:
            failure = self.reports.failure(error)
        except OSError as error:
            fix = "check its disk and its permissions; until then deleted adaptations can be recovered from the file"
            failure = StoreFailed(
                f'Deleted adaptations cannot be erased from {error.filename} ("{error.strerror}"): {fix}'
            )
            self.reports.report(failure)
        except StoreFailed as error:
            failure = error
            self.reports.report(failure)
        else:
            self._unerased = False
            if self.reports.failing:
                self.reports.success()
            return None
        self._unerased = True
        return failure

    def tend(self, *, patient: bool) -> bool:
        """Keep the log short. Returns False where that would have to wait."""
        written, self._written = self._written, 0
        try:
            return self._log.note_written(written, patient=patient)
        except sqlite3.Error as error:  # the log has all records
            self.reports.failure(error)
            return True

    def _roll_back(self) -> None:
        self._tables = None  # it has counted what is not stored now
        with suppress(sqlite3.Error):  # sqlite has rolled back by itself after some errors
            self._connection.execute("ROLLBACK")
