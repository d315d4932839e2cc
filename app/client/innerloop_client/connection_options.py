"""How a client connects."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from innerloop_client.errors import InnerloopError, shown

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_FIX = "set INNERLOOP_API_KEY instead, or in Python http=httpx.Client(auth=...)"
URL_VARIABLE, KEY_VARIABLE = "url (INNERLOOP_URL)", "api_key (INNERLOOP_API_KEY)"
"""What messages call an argument that comes from the environment."""
MAX_TIMEOUT_S = 10 * 365 * 24 * 3600.0
"""More would be a mistake, and more than a clock can add."""


@dataclass(frozen=True)
class Options:
    """How a client connects. timeout: seconds of a call, with its repeats; retries: most repeats of a request."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    retries: int

    @classmethod
    def read(cls, url: str | httpx.URL | None, api_key: str | None, timeout: float, retries: int) -> "Options":
        """With what is None from the environment. Raises InnerloopError, which names the argument that is wrong."""
        given = _text("url", str(url) if isinstance(url, httpx.URL) else url, "INNERLOOP_URL") or DEFAULT_URL
        key = _text("api_key", api_key, "INNERLOOP_API_KEY")
        check_url("url" if url else URL_VARIABLE, given)
        seconds = read_timeout(timeout)
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            raise InnerloopError(f"retries: expected a whole number from 0 on, got {shown(retries)}")
        if not (key.isascii() and key.isprintable()):
            name = "api_key" if api_key else KEY_VARIABLE
            raise InnerloopError(f"{name}: expected printable ASCII characters, got others")
        return cls(given.rstrip("/"), {"Authorization": f"Bearer {key}"} if key else {}, seconds, retries)


def _text(name: str, value: str | None, variable: str) -> str:
    """An argument without spaces around it, or an environment variable."""
    if value is not None and not isinstance(value, str):
        raise InnerloopError(f"{name}: expected a text, got {type(value).__name__}")
    return (value or os.environ.get(variable, "")).strip()


def check_url(name: str, url: str) -> None:
    """Raise InnerloopError unless a server can be at this URL. name: of the argument or option"""
    if "@" in url:  # it would show in messages, and httpx would send it instead of the API key
        raise InnerloopError(f"{name}: leave out user:password@: {KEY_FIX}")
    expected = f"{name}: expected a URL such as {DEFAULT_URL}, got {shown(url)}"
    try:
        parts = urlsplit(url)  # finds a bracket that is missing, where httpx speaks of a port
        parsed = httpx.URL(url)
        parsed.raw_host.decode().encode("idna")  # as a connection does
        complete = parsed.scheme in ("http", "https") and parsed.host and len(url.split()) == 1
    except UnicodeError as error:
        part = "a part of the host name is empty or longer than 63 characters"
        raise InnerloopError(f"{expected}: {part}") from error
    except (ValueError, httpx.InvalidURL) as error:
        raise InnerloopError(f"{expected}: {error}") from error
    if not complete:
        raise InnerloopError(expected)
    if not has_port(parts):
        raise InnerloopError(f"{expected}: the port is a number from 1 to 65535")
    if parsed.query or parsed.fragment:
        raise InnerloopError(f"{expected}: leave out what follows the path")


def has_port(url: SplitResult) -> bool:
    """Whether the port of a URL is one, or left out: 65537 would be port 1, as connections take what 16 bits hold."""
    try:
        return url.port != 0
    except ValueError:  # above 65535, or in digits of another script
        return False


def read_timeout(timeout: Any) -> float:
    """A time in seconds. Raises InnerloopError."""
    try:
        seconds = float(timeout) if isinstance(timeout, Real) and not isinstance(timeout, bool) else 0.0
    except (OverflowError, TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise InnerloopError(f"timeout: expected a number of seconds from above 0 to 10 years, got {shown(timeout)}")
    return seconds
