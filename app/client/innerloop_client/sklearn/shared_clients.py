"""Clients that estimators share, so that an estimator has no connection in it."""

import atexit
import os
from functools import cache

from innerloop_client.client import Client
from innerloop_client.errors import InnerloopError


def shared_client(url: str | None, api_key: str | None) -> Client:
    """The client of this process for a server. What is None comes from the environment."""
    given = _given(url, "INNERLOOP_URL"), _given(api_key, "INNERLOOP_API_KEY")
    try:
        return _client(*given, os.getpid())
    except (InnerloopError, TypeError):  # TypeError: of a list, which cannot be a key of the cache
        return Client(url, api_key)  # whose error says whether the value comes from the environment


def _given(value: str | None, variable: str) -> str | None:
    """An argument, or the environment variable for None and an empty text, as a client reads them."""
    is_empty = value is None or (isinstance(value, str) and not value)
    return os.environ.get(variable) if is_empty else value


@cache
def _client(url: str | None, api_key: str | None, process: int) -> Client:
    """process: its id, as a forked process must not use the connections of its parent."""
    client = Client(url, api_key)
    atexit.register(client.close)
    return client
