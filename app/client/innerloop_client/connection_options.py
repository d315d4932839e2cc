"""How a client connects."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import httpx

from innerloop_client.errors import InnerloopError

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Options:
    """How a client connects. timeout: seconds of a call, with its repeats; retries: most repeats of a request."""

    url: str
    headers: Mapping[str, str]
    timeout: float
    retries: int

    @classmethod
    def read(cls, url: str | None, api_key: str | None, timeout: float, retries: int) -> "Options":
        """With what is None from the environment. Raises InnerloopError, which names the argument that is wrong."""
        url = (url or os.environ.get("INNERLOOP_URL") or DEFAULT_URL).strip()
        api_key = (api_key or os.environ.get("INNERLOOP_API_KEY") or "").strip()
        check_url("url", url)
        check_timeout(timeout)
        if not isinstance(retries, int) or retries < 0:
            raise InnerloopError(f"retries: expected a whole number from 0 on, got {retries!r}")
        if not (api_key.isascii() and api_key.isprintable()):
            raise InnerloopError("api_key: expected printable ASCII characters, got others")
        return cls(url.rstrip("/"), {"Authorization": f"Bearer {api_key}"} if api_key else {}, timeout, retries)

    @property
    def shown_url(self) -> str:
        """The URL without a password."""
        return str(httpx.URL(self.url).copy_with(userinfo=b""))


def check_url(name: str, url: str) -> None:
    """Raise InnerloopError unless a server can be at this URL. name: of the argument or option"""
    expected = f"{name}: expected a URL such as {DEFAULT_URL}, got {url!r}"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InnerloopError(f"{expected}: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InnerloopError(expected)
    if parsed.query or parsed.fragment:
        raise InnerloopError(f"{expected}: leave out what follows the path")


def check_timeout(timeout: float) -> None:
    """Raise InnerloopError unless this is a time."""
    if not isinstance(timeout, Real) or not 0 < timeout < math.inf:
        raise InnerloopError(f"timeout: expected a number of seconds above 0, got {timeout!r}")
