"""Bare HTTP connections, so that the load takes less processor time than the server that it measures."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools
import uvloop

from service_tests.benchmarks.servers import cores, on


class Answer(NamedTuple):
    """The response to a request, `seconds` after sending it; status 0 if the connection was lost instead."""

    status: int
    body: bytes
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._begin()

    def send(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request, as `post` or `get` writes it; return the future of its answer."""
        self._answer, self._sent = asyncio.get_running_loop().create_future(), perf_counter()
        answer = self._answer
        if self._transport.is_closing():
            self._done(0, b"closed before")
        else:
            self._transport.write(request)
        return answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exception: Exception | None) -> None:
        self._done(0, str(exception).encode())

    def on_body(self, part: bytes) -> None:
        """Called by the parser with a part of the body."""
        self._body += part

    def on_message_complete(self) -> None:
        """Called by the parser at the end of the response."""
        status, body = self._parser.get_status_code(), bytes(self._body)
        self._begin()
        self._done(status, body)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()

    def _done(self, status: int, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(status, body, perf_counter() - self._sent))


def post(path: str, body: bytes, media: str = "application/json") -> bytes:
    """The bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    """The bytes of a request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@asynccontextmanager
async def connected(url: str, count: int) -> AsyncIterator[list[Connection]]:
    """Open so many connections to the server at that URL."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    assert place.hostname is not None
    assert place.port is not None
    connections = [(await loop.create_connection(Connection, place.hostname, place.port))[1] for _ in range(count)]
    try:
        yield connections
    finally:
        for each in connections:
            each.close()


def send_all(url: str, requests: Sequence[bytes], connections: int = 64) -> list[Answer]:
    """Send all requests over so many connections; return the answers, in the order of the requests."""

    async def send() -> list[Answer]:
        answers: dict[int, Answer] = {}
        waiting = iter(enumerate(requests))

        async def work(connection: Connection) -> None:
            for index, request in waiting:
                answers[index] = await connection.send(request)

        async with connected(url, min(connections, len(requests))) as opened:
            await asyncio.gather(*map(work, opened))
        return [answers[index] for index in range(len(requests))]

    with on(cores().load):
        return uvloop.run(send())


def send_in_waves(url: str, waves: Sequence[Sequence[bytes]]) -> list[list[Answer]]:
    """Send the requests of a wave at once, each over its own connection; when all are answered, send the next wave."""

    async def send() -> list[list[Answer]]:
        async with connected(url, max(map(len, waves))) as opened:
            return [
                await asyncio.gather(*(each.send(request) for each, request in zip(opened, wave, strict=False)))
                for wave in waves
            ]

    with on(cores().load):
        return uvloop.run(send())
