"""The file of the sqlite store: its lock, how it is opened, and what its errors mean."""

import errno
import fcntl
import os
import pwd
import sqlite3
from contextlib import suppress
from pathlib import Path

from app.errors import StoreFailed, expectation
from app.storage.disk_reserve import nearest_existing

FILE = "adaptations.sqlite"
LOCK = "adaptations.lock"
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


def remove(file: Path) -> None:
    """Remove a file without records, which a full disk did not let the server finish."""
    for each in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        with suppress(OSError):
            each.unlink()


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
