"""The write-ahead log of the sqlite store, kept short and free of old data."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from app.errors import StoreFailed
from app.storage.sqlite_file import FILE, TIMEOUT_S

log = logging.getLogger(__name__)

CHECKPOINT_BYTES = 4 * 2**20
"""Bytes written to the log between two checkpoints in the background."""
MAX_LOG_BYTES = 8 * 2**20
"""A log of about this length restarts once all of it is copied; at twice this length the writer waits for that."""


class WriteAheadLog:
    """Sqlite's write-ahead log. A thread copies it to the file, with a connection of its own.

    The writing thread calls `note_written` and `erase`, both between its transactions.
    """

    def __init__(
        self,
        folder: Path,
        writer: sqlite3.Connection,
        copier: sqlite3.Connection,
        report: Callable[[sqlite3.Error], object],
    ) -> None:
        """report: called with the error when the thread cannot copy the log."""
        self._file = folder / f"{FILE}-wal"
        self._report = report
        self._writer = writer
        self._copier = copier
        self._bytes = 0
        self._uncopied = 0
        self._due = Event()
        self._open = True
        self._thread = Thread(target=self._copy, name="checkpoints", daemon=True)
        self._thread.start()

    def note_written(self, size: int, *, patient: bool = True) -> bool:
        """Note the bytes that a transaction wrote, and keep the log short.

        patient: wait until a long log is copied. Otherwise returns False where it is too long to go on without that
        """
        self._bytes += size
        self._uncopied += size
        if self._uncopied > CHECKPOINT_BYTES:
            self._uncopied = 0
            self._due.set()
        if self._bytes > MAX_LOG_BYTES:
            late = self._bytes > 2 * MAX_LOG_BYTES
            if self._copy_rest(patience_s=1.0 if late and patient else 0.0):
                self._bytes = 0
            elif late and not patient:
                return False
            elif late:  # a reader holds it: wait again when as much more is written
                self._bytes = MAX_LOG_BYTES
        return True

    def _copy_rest(self, patience_s: float) -> bool:
        """Copy the rest. Returns whether nothing is left, so that the next transaction restarts the log.

        patience_s: how long to wait for readers. Where that is above 0, it also waits for the thread that copies, which
            a slow disk holds up: otherwise the log would grow faster than it is copied
        """
        started = time.monotonic()
        while True:
            busy, pages, copied = _checkpoint(self._writer, "PASSIVE")
            if pages == copied >= 0:
                return True
            if time.monotonic() - started >= (TIMEOUT_S if busy and patience_s else patience_s):
                return False
            time.sleep(0.001)

    def erase(self, patience_s: float | None = None) -> None:
        """Empty the log, and overwrite its place on the disk. Raises StoreFailed, OSError and sqlite3.Error.

        patience_s: how long to wait for other programs that read; by default TIMEOUT_S
        """
        deadline = time.monotonic() + (TIMEOUT_S if patience_s is None else patience_s)
        # it waits for readers, but not for the thread that copies
        while _checkpoint(self._writer, "RESTART")[0]:
            if time.monotonic() > deadline:
                raise StoreFailed(
                    f"Deleted adaptations cannot be erased from {self._file}, because another program reads the "
                    "database: close that program"
                )
            time.sleep(0.001)
        # all of it is in the database now, and no reader uses the log
        if self._file.exists():
            with self._file.open("r+b") as file:
                file.write(bytes(self._file.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
        _checkpoint(self._writer, "TRUNCATE")
        self._bytes = 0

    def close(self) -> None:
        """End the thread, and erase the log."""
        self._open = False
        self._due.set()
        self._thread.join()
        try:
            self.erase()
        except (sqlite3.Error, OSError, StoreFailed) as error:
            log.warning("%s: deleted adaptations stay in this file until the next start: %s", self._file, error)

    def _copy(self) -> None:
        while self._due.wait() and self._open:
            self._due.clear()
            try:
                _checkpoint(self._copier, "PASSIVE")
            except sqlite3.Error as error:  # it is tried again; until then the log has all records
                self._report(error)


def _checkpoint(connection: sqlite3.Connection, mode: str) -> tuple[int, int, int]:
    """Copy the log to the file.

    Returns whether another connection was in the way, the pages of the log (-1: unknown), and those copied.
    """
    busy, pages, copied = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return busy, pages, copied
