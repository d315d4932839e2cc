"""What went wrong with a redis server, and what to do about it, in sentences."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)

from app.errors import expectation

AWAY = "the store cannot be read"
FIXES = {
    "LOADING": "wait until Redis has loaded its data",
    "READONLY": "set INNERLOOP_REDIS_URL to the primary, because this Redis is a replica",
    "OOM": "raise maxmemory of Redis, or delete adaptations",
    "MISCONF": "make room on the disk of Redis, so that it can save",
    "NOREPLICAS": "start the replicas of Redis",
    "WRONGPASS": "set the user and the password in INNERLOOP_REDIS_URL",
    "NOAUTH": "set the user and the password in INNERLOOP_REDIS_URL",
    "NOPERM": "give the user in INNERLOOP_REDIS_URL permission for this command and for the keys innerloop:*",
}
"""What to do about an error of Redis, by the first word of its message."""
WORDS: Mapping[type[Exception], str] = {
    BusyLoadingError: "LOADING",
    ReadOnlyError: "READONLY",
    OutOfMemoryError: "OOM",
    AuthenticationError: "WRONGPASS",
    NoPermissionError: "NOPERM",
}
"""The first word of the message, for the errors of which redis-py removes it."""


def place(url: str) -> str:
    """The address of the server, without its password."""
    parts = urlsplit(url)
    return f"Redis at {parts.hostname}:{parts.port or 6379}" if parts.hostname else f"Redis at {parts.path}"


def failure(url: str, error: Exception) -> str:
    """The sentence for an error of redis, or of the connection to it."""
    return f"{place(url)} {_message(error)}: {_fix(error)}, then try again"


def invalid_url(error: ValueError) -> str:
    """The sentence for a URL that redis-py refuses."""
    return expectation("INNERLOOP_REDIS_URL", "a URL such as redis://127.0.0.1:6379/0", f'an invalid one ("{error}")')


def newer_schema(url: str, newest: int, version: int) -> str:
    """The sentence for records of a newer version of Innerloop."""
    return (
        f"{place(url)}: expected a schema up to {newest}, got {version}: start the newer version of Innerloop that "
        "wrote it, or set INNERLOOP_REDIS_URL to another database"
    )


def _message(error: Exception) -> str:
    """What happened, without the line of the script that met the error."""
    message = str(error).partition(" script: ")[0].rstrip(".")
    return f'does not work ("{message}")' if message else "does not answer"


def _word(error: Exception) -> str:
    """The word by which redis says why it refuses a command; in the error of a script it is anywhere."""
    named = next((word for kind, word in WORDS.items() if isinstance(error, kind)), None)
    return named or next((word for word in FIXES if re.search(rf"\b{word}\b", str(error))), "")


def _fix(error: Exception) -> str:
    """What to do about an error of redis."""
    return FIXES.get(_word(error), "check that Redis runs, and that INNERLOOP_REDIS_URL is its address")


def status(error: Exception) -> str | None:
    """Why no record can be read, in a few words; None where only writing fails."""
    return None if _word(error) in ("OOM", "MISCONF", "READONLY", "NOREPLICAS") else AWAY
