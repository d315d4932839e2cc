"""How a client connects."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

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
        """With what is None from the environment."""
        url = url or os.environ.get("INNERLOOP_URL") or DEFAULT_URL
        if not url.startswith(("http://", "https://")):
            raise InnerloopError(f"url: expected a URL such as {DEFAULT_URL}, got {url!r}")
        api_key = api_key or os.environ.get("INNERLOOP_API_KEY")
        return cls(url.rstrip("/"), {"Authorization": f"Bearer {api_key}"} if api_key else {}, timeout, retries)
