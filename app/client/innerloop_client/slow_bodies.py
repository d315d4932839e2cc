"""Bodies that must go and come in time, however slowly a server reads or sends them."""

import time
from collections.abc import AsyncIterator, Iterator

import httpx

PIECE = 2**18
"""Bytes of a part of a request."""


class TimedContent(httpx.SyncByteStream):
    """The content of a request in parts, until they take too long together. Raises httpx.WriteTimeout."""

    def __init__(self, content: bytes, left_s: float) -> None:
        self._content, self._end = content, time.monotonic() + left_s

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), PIECE):
            if time.monotonic() > self._end:
                raise httpx.WriteTimeout("")
            yield self._content[start : start + PIECE]


class TimedBody(httpx.SyncByteStream):
    """The parts of a body, until the waits for them take too long. Raises httpx.ReadTimeout."""

    def __init__(self, body: httpx.SyncByteStream, left_s: float) -> None:
        """left_s: seconds for all waits together; what the reader does between them does not count."""
        self._body, self._left_s = body, left_s

    def __iter__(self) -> Iterator[bytes]:
        start = time.monotonic()
        for part in self._body:
            self._left_s -= time.monotonic() - start
            if self._left_s < 0:
                raise httpx.ReadTimeout("")
            yield part
            start = time.monotonic()

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()


class AsyncTimedBody(httpx.AsyncByteStream):
    """See `TimedBody`."""

    def __init__(self, body: httpx.AsyncByteStream, left_s: float) -> None:
        self._body, self._left_s = body, left_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        start = time.monotonic()
        async for part in self._body:
            self._left_s -= time.monotonic() - start
            if self._left_s < 0:
                raise httpx.ReadTimeout("")
            yield part
            start = time.monotonic()

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._body.aclose()
