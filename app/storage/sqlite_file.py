"""The file of the sqlite store: its lock, its migrations, and its write-ahead log, kept short and free of old data."""

import errno
import fcntl
import logging
import os
import pwd
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from app.errors import StoreFailed, expectation
from app.storage.disk_reserve import nearest_existing

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


class CannotWrite(StoreFailed):
    """The file cannot be opened for writing; it may still be readable. No client receives this error.

    passing: whether room on the disk or another mount is all that it takes, so that a server without a file may start
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


def lock(folder: Path) -> int:
    """Lock the folder for this server. Returns the file descriptor that holds the lock until it is closed.

    The system releases it when the process ends, in whatever way. Raises CannotWrite, and StoreFailed where another
    server has the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        expected = "a folder that the server may write to"
        message = expectation(str(folder), expected, f'"{error.strerror}"', _fix(folder, error))
        raise CannotWrite(message, passing=error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT)) from error
    return _locked(folder, descriptor)


def lock_to_read(folder: Path) -> int | None:
    """Lock a folder that cannot be written, as `lock` does; None where it has no lock that can be opened."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    return _locked(folder, descriptor)


def _locked(folder: Path, descriptor: int) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreFailed(
            f"Another server uses the folder {folder}: give each server its own INNERLOOP_STATE_DIR, or set "
            "INNERLOOP_STORE to redis, which several servers can share"
        ) from error
    return descriptor


def _fix(folder: Path, error: OSError) -> str:
    """What to do where a folder cannot be written."""
    if error.errno == errno.EROFS:
        return "mount its file system writable, or set INNERLOOP_STATE_DIR to a folder that the server may write to"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on its disk"
    if error.errno in (errno.EACCES, errno.EPERM):
        there = nearest_existing(folder)
        owner, user = _name_of(there.stat().st_uid), _name_of(os.geteuid())
        return (
            f"{there} belongs to {owner}, and the server runs as {user}, so give the folder to the user of the server "
            "with chown, or set INNERLOOP_STATE_DIR to a folder that the server may write to"
        )
    return "set INNERLOOP_STATE_DIR to a folder"


def _name_of(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:  # as in many containers
        return f"user {uid}"


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


def connect_to_read(file: Path) -> sqlite3.Connection:
    """Open a file that cannot be written, with what a server that was killed has left in its log."""
    logged = os.access(file.with_name(f"{file.name}-wal"), os.F_OK)
    # with a log, the index of the log is made in memory; without, sqlite would still want to make the log
    options = "readonly_shm=1" if logged else "immutable=1"
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro&{options}", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    return connection


def connect_to_nothing(migrations: Sequence[str]) -> sqlite3.Connection:
    """Open an empty database in memory, in place of a file that cannot be made yet."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, migrations)
    return connection


def remove(file: Path) -> None:
    """Remove a file without records, which a full disk did not let the server finish."""
    for each in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        with suppress(OSError):
            each.unlink()


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Migrate an older schema, each step in a transaction of its own. Raises StoreFailed for a newer schema."""
    version = check_schema(connection, migrations)
    for number, script in enumerate(migrations[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def check_schema(connection: sqlite3.Connection, migrations: Sequence[str]) -> int:
    """The version of the schema. Raises StoreFailed for a newer one than there are migrations."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StoreFailed(
            f"{FILE}: expected a schema up to {len(migrations)}, got {version}: start the newer version of Innerloop "
            "that wrote it, or set INNERLOOP_STATE_DIR to another folder"
        )
    return int(version)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection has the lock that was needed."""
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room to write."""
    return _name(error) == "SQLITE_FULL"


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is not what sqlite has written."""
    return _name(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def cannot_write(error: sqlite3.Error) -> bool:
    """Whether opening the file may succeed where nothing is written."""
    return is_full(error) or _name(error).startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR"))


def failed(folder: Path, error: sqlite3.Error, *, full: bool = False) -> StoreFailed:
    """The StoreFailed for an error of sqlite, with the place and the fix. full: whether it comes from a full disk."""
    if is_damaged(error):
        fix = "restore the file from a backup, or move it away and lose its adaptations"
    elif is_busy(error):
        fix = "close the other program that uses the file, then try again"
    else:
        cure = "make room on its disk" if full or is_full(error) else "check its disk and its permissions"
        fix = f"{cure}, then try again"
    return StoreFailed(f'The database {folder / FILE} does not work ("{error}"): {fix}')


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")


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
