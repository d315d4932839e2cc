"""How requests travel: with an event loop or without one."""

import time
from collections.abc import AsyncIterator
from typing import Protocol

import httpx


class Transport(Protocol):
    """Sends requests over connections that are used again. The coroutines of `BlockingTransport` never suspend."""

    @property
    def http(self) -> httpx.Client | httpx.AsyncClient:
        """The client that sends."""

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Send a request. With `stream`, only the headers of the response are read."""

    async def read(self, response: httpx.Response) -> None:
        """Read the body of a response that was begun with `stream`."""

    def lines(self, response: httpx.Response) -> AsyncIterator[str]:
        """The lines of a response as they come."""

    async def close_response(self, response: httpx.Response) -> None:
        """End a response that was begun with `stream`."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def close(self) -> None:
        """Close all connections."""


class AsyncTransport:
    """A transport on an event loop: asyncio's or trio's."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """See `Transport`."""
        return await self.http.send(request, stream=stream)

    async def read(self, response: httpx.Response) -> None:
        """See `Transport`."""
        await response.aread()

    def lines(self, response: httpx.Response) -> AsyncIterator[str]:
        """See `Transport`."""
        return response.aiter_lines()

    async def close_response(self, response: httpx.Response) -> None:
        """See `Transport`."""
        await response.aclose()

    async def sleep(self, seconds: float) -> None:
        """See `Transport`."""
        from anyio import sleep  # httpx has it, for both event loops

        await sleep(seconds)

    async def close(self) -> None:
        """See `Transport`."""
        await self.http.aclose()


class BlockingTransport:
    """A transport whose coroutines block."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """See `Transport`."""
        return self.http.send(request, stream=stream)

    async def read(self, response: httpx.Response) -> None:
        """See `Transport`."""
        response.read()

    async def lines(self, response: httpx.Response) -> AsyncIterator[str]:
        """See `Transport`."""
        for line in response.iter_lines():
            yield line

    async def close_response(self, response: httpx.Response) -> None:
        """See `Transport`."""
        response.close()

    async def sleep(self, seconds: float) -> None:
        """See `Transport`."""
        time.sleep(seconds)

    async def close(self) -> None:
        """See `Transport`."""
        self.http.close()
