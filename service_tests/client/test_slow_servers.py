"""Servers that are slow in the middle of a request or an answer, and calls that end in time nevertheless."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from innerloop_client import AsyncClient, Client, DeadlinePassed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
TIMEOUT_S, SOON_S = 1.5, 2.5
LARGE = [[float(number % 7)] for number in range(1_500_000)]


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that handles each connection on a thread."""

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            handle(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def begins_late_and_stops(connection: socket.socket) -> None:
    connection.recv(2**16)
    time.sleep(0.8 * TIMEOUT_S)
    connection.sendall(HEAD)
    time.sleep(20)


def reads_slowly(connection: socket.socket) -> None:
    while connection.recv(2**16):
        time.sleep(0.05)


def blocking(url: str, queries: Any) -> None:
    with Client(url, timeout=TIMEOUT_S) as innerloop:
        innerloop.predict("sinusoid", queries)


def awaiting(url: str, queries: Any) -> None:
    async def run() -> None:
        async with AsyncClient(url, timeout=TIMEOUT_S) as innerloop:
            await innerloop.predict("sinusoid", queries)

    asyncio.run(run())


@pytest.mark.parametrize("call", [blocking, awaiting])
@pytest.mark.parametrize(("handle", "queries"), [(begins_late_and_stops, [[1.0]]), (reads_slowly, LARGE)])
def test_a_call_ends_at_its_deadline(
    handle: Callable[[socket.socket], None], queries: Any, call: Callable[[str, Any], None]
) -> None:
    with serving(handle) as url:
        start = time.monotonic()
        with pytest.raises(DeadlinePassed, match=f"did not answer within {TIMEOUT_S} s"):
            call(url, queries)
        assert time.monotonic() - start < SOON_S


def uses_the_connection(innerloop: Client) -> None:
    with suppress(DeadlinePassed):
        innerloop.health()


def test_a_connection_that_never_becomes_free() -> None:
    with serving(begins_late_and_stops) as url, httpx.Client(limits=httpx.Limits(max_connections=1)) as http:
        innerloop = Client(url, http=http, timeout=TIMEOUT_S)
        other = threading.Thread(target=uses_the_connection, args=(innerloop,))
        other.start()
        time.sleep(0.2)
        with pytest.raises(
            DeadlinePassed, match=r"^no connection was free within 0\.5 s .* allow more with httpx\.Limits"
        ):
            innerloop.health(timeout=0.5)
        other.join()
