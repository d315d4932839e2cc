"""The file of the sqlite store: its lock, its migrations, and its write-ahead log, kept short and free of old data."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

from app.errors import StoreFailed

log = logging.getLogger(__name__)

FILE = "adaptations.sqlite"
LOCK = "adaptations.lock"
CHECKPOINT_BYTES = 4 * 2**20
"""Bytes written to the log between two checkpoints in the background."""
MAX_LOG_BYTES = 8 * 2**20
"""A log of about this length restarts once all of it is copied; at twice this length the writer waits for that."""
MAPPED_BYTES = 2**40
"""At most this much of the file is memory-mapped (sqlite caps it); the file never shrinks."""
TIMEOUT_S = 10
"""For other users of the file."""


def lock(folder: Path) -> int:
    """Lock the folder for this server. Returns the file descriptor that holds the lock until it is closed.

    The system releases it when the process ends, in whatever way. Raises StoreFailed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFailed(f"{folder}: {error.strerror}: make it a folder that the server may write to") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreFailed(
            f"{folder}: another server uses it: give each server its own INNERLOOP_STATE_DIR, or set INNERLOOP_STORE "
            "to redis, which several can share"
        ) from error
    return descriptor


def connect(file: Path, fsync: bool) -> sqlite3.Connection:
    """Open the file. fsync: a commit waits for the disk; without, it survives the process but not a power failure."""
    connection = sqlite3.connect(
        file, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in (
        "journal_mode = WAL",
        f"synchronous = {'FULL' if fsync else 'NORMAL'}",
        "secure_delete = ON",
        "wal_autocheckpoint = 0",  # done in the background instead: a commit does not wait for it
        "temp_store = MEMORY",  # no record may end in a temporary file
        f"mmap_size = {MAPPED_BYTES}",  # reading one of a million records takes a third of the time
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Migrate an older schema, each step in a transaction of its own. Raises StoreFailed for a newer schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StoreFailed(
            f"{FILE}: expected a schema up to {len(migrations)}, got {version}: start the newer version of the server "
            "that wrote it, or set INNERLOOP_STATE_DIR to another folder"
        )
    for number, script in enumerate(migrations[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection has the lock that was needed."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def failed(folder: Path, error: sqlite3.Error) -> StoreFailed:
    """The StoreFailed for an error of sqlite, with the place and the fix."""
    full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    fix = "make room on its disk" if full else "check its disk and its permissions"
    return StoreFailed(f"{folder / FILE}: {error}: {fix}, then try again")


class WriteAheadLog:
    """Sqlite's write-ahead log. A thread copies it to the file, with a connection of its own.

    The writing thread calls `note_written` and `erase`, both between its transactions.
    """

    def __init__(self, folder: Path, writer: sqlite3.Connection, copier: sqlite3.Connection) -> None:
        self._file = folder / f"{FILE}-wal"
        self._writer = writer
        self._copier = copier
        self._bytes = 0
        self._uncopied = 0
        self._due = Event()
        self._open = True
        self._thread = Thread(target=self._copy, name="checkpoints", daemon=True)
        self._thread.start()

    def note_written(self, size: int, *, patient: bool = True) -> None:
        """Note the bytes that a transaction wrote, and keep the log short. patient: wait for readers of a long log."""
        self._bytes += size
        self._uncopied += size
        if self._uncopied > CHECKPOINT_BYTES:
            self._uncopied = 0
            self._due.set()
        if self._bytes > MAX_LOG_BYTES:
            late = self._bytes > 2 * MAX_LOG_BYTES
            if self._copy_rest(patience_s=1.0 if late and patient else 0.0):
                self._bytes = 0
            elif late:  # a reader holds it: wait again when as much more is written
                self._bytes = MAX_LOG_BYTES

    def _copy_rest(self, patience_s: float) -> bool:
        """Copy the rest. Returns whether nothing is left, so that the next transaction restarts the log."""
        deadline = time.monotonic() + patience_s
        while True:
            _, pages, copied = _checkpoint(self._writer, "PASSIVE")
            if pages == copied >= 0:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)

    def erase(self) -> None:
        """Empty the log, and overwrite its place on the disk. Raises StoreFailed, OSError and sqlite3.Error."""
        deadline = time.monotonic() + TIMEOUT_S
        # it waits for readers, but not for the thread that copies
        while _checkpoint(self._writer, "RESTART")[0]:
            if time.monotonic() > deadline:
                raise StoreFailed(
                    f"{self._file}: deleted records are still in it: close the other program that reads the database"
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
            log.warning("%s: deleted records may still be in it: %s", self._file, error)

    def _copy(self) -> None:
        while self._due.wait() and self._open:
            self._due.clear()
            try:
                _checkpoint(self._copier, "PASSIVE")
            except sqlite3.Error as error:  # it is tried again; until then the log has all records
                log.warning("%s", failed(self._file.parent, error))


def _checkpoint(connection: sqlite3.Connection, mode: str) -> tuple[int, int, int]:
    """Copy the log to the file.

    Returns whether another connection was in the way, the pages of the log (-1: unknown), and those copied.
    """
    busy, pages, copied = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return busy, pages, copied
