"""Whether the server can store adaptations."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.cli.checks.finding import Finding
from app.errors import StoreFailed, expectation
from app.settings import Settings
from app.storage import redis, redis_errors
from app.storage.disk_reserve import nearest_existing
from app.storage.sqlite_file import FILE, connect_to_read, failed, lock, lock_to_read
from app.storage.sqlite_migrations import MIGRATIONS, check_schema

PART = "store"
PREFIX = "innerloop"
"""Of the server's keys in Redis."""


def check(settings: Settings) -> Finding:
    """Check the store that the settings name."""
    try:
        match settings.store:
            case "memory":
                return Finding(PART, "ok", "memory, which loses all adaptations when the server stops")
            case "sqlite":
                return Finding(PART, "ok", _check_sqlite(settings.state_dir))
            case "redis":
                return Finding(PART, "ok", _check_redis(settings.redis_url))
    except StoreFailed as error:
        return Finding(PART, "problem", str(error))


def can_write(folder: Path) -> bool:
    """Whether this process can create files in a folder, or the folder itself."""
    there = nearest_existing(folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _check_sqlite(folder: Path) -> str:
    """What was found in the state folder. Raises StoreFailed."""
    try:
        descriptor = lock_to_read(folder)  # for as long as the file is read: otherwise a server might change it
    except StoreFailed:
        return f"sqlite; a server uses the folder {folder} now"
    try:
        return _read_sqlite(folder)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _read_sqlite(folder: Path) -> str:
    file = folder / FILE
    exists = os.access(file, os.F_OK)
    if not can_write(folder) or (exists and not os.access(file, os.W_OK)):
        raise StoreFailed(_cannot_write(folder))
    if not exists:
        return f"sqlite; the server will create {file}"
    try:
        with closing(connect_to_read(file)) as connection:
            version = check_schema(connection, MIGRATIONS)
    except sqlite3.Error as error:
        raise failed(folder, error) from error
    newest = len(MIGRATIONS)
    due = "" if version == newest else f", which the server will migrate to {newest}"
    return f"sqlite; {file} has schema {version}{due}"


def _cannot_write(folder: Path) -> str:
    """What the server says of a folder that it cannot write to."""
    if not can_write(folder):  # so that trying to lock it leaves nothing behind
        try:
            os.close(lock(folder))
        except StoreFailed as error:
            return str(error)
    fix = "give the folder and its files to the user of the server with chown"
    return expectation(str(folder / FILE), "a file that the server may write to", "one that it may only read", fix)


def _check_redis(url: str) -> str:
    """What was found in Redis. Raises StoreFailed."""
    wait = redis.TIMEOUT_S
    try:
        client = Redis.from_url(url, socket_timeout=wait, socket_connect_timeout=wait, retry=Retry(NoBackoff(), 0))
    except ValueError as error:
        raise StoreFailed(redis_errors.invalid_url(error)) from error
    try:
        with client:
            version = int(client.get(f"{PREFIX}:schema") or 0)
            client.setrange(f"{PREFIX}:probe", 0, "")  # changes nothing, and is refused where a record would be
    except (ValueError, RedisError, OSError) as error:
        raise StoreFailed(redis_errors.failure(url, error)) from error
    if version > len(redis.MIGRATIONS):
        raise StoreFailed(redis_errors.newer_schema(url, len(redis.MIGRATIONS), version))
    return "Redis, which answers" + ("" if version else "; no server has used it yet")
