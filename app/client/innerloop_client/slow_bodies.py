"""Bodies that must come in time, however slowly a server sends them."""

import time
from collections.abc import AsyncIterator, Iterator

import httpx


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
