"""A response is one write, but the head of a stream is sent before its body is ready."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from app.api import uvicorn_protocol
from app.api.codec import LongResponse
from app.api.uvicorn_protocol import OneWrite
from service_tests.processes import free_port


async def plain(request: Request) -> Response:
    return PlainTextResponse("hello")


async def nothing(request: Request) -> Response:
    return Response(status_code=204)


async def slow(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        await asyncio.sleep(30)
        yield "late"

    return StreamingResponse(parts())


class RecordingProtocol(OneWrite):
    """Records what is written to the client."""

    writes: list[bytes]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        write = transport.write
        writes = self.config.app.state.writes  # type: ignore[union-attr]

        class Watched:
            def __getattr__(self, name: str) -> object:
                return getattr(transport, name)

            def write(self, data: bytes) -> None:
                writes.append(data)
                write(data)

        super().connection_made(Watched())  # type: ignore[arg-type]


LONG = 20_000_000


async def long(request: Request) -> Response:
    return LongResponse(b"a" * LONG)


def read_all(client: socket.socket) -> bytes:
    read = b""
    with suppress(ConnectionError):
        while part := client.recv(1_000_000):
            read += part
    return read


def serving(scenario: Callable[[int], Awaitable[bytes]]) -> bytes:
    """What a client gets from a server on a port of its own."""
    application = Starlette(routes=[Route("/plain", plain, methods=["GET", "POST"]), Route("/long", long)])

    async def run() -> bytes:
        config = uvicorn.Config(application, port=free_port(), http=OneWrite, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            return await scenario(config.port)
        finally:
            server.should_exit = server.force_exit = True
            await task

    return asyncio.run(run())


def exchange(*requests: bytes) -> tuple[list[bytes], Sequence[bytes]]:
    """Send requests one by one; return what the client read after each, and everything that the server wrote."""
    application = Starlette(routes=[Route("/plain", plain), Route("/nothing", nothing), Route("/slow", slow)])
    application.state.writes = []

    async def scenario() -> list[bytes]:
        config = uvicorn.Config(application, port=free_port(), http=RecordingProtocol, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", config.port)
        answers = []
        for request in requests:
            writer.write(request)
            answers.append(await asyncio.wait_for(reader.read(65536), 10))
        writer.close()
        server.should_exit = server.force_exit = True
        await serving
        return answers

    return asyncio.run(scenario()), application.state.writes


def test_head_and_body_are_one_write_and_the_connection_stays_open() -> None:
    request = b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"
    answers, writes = exchange(request, request)
    assert [answer.endswith(b"\r\n\r\nhello") for answer in answers] == [True, True]
    assert len(writes) == 2


def test_a_response_without_a_body_is_sent_at_once() -> None:
    answers, _ = exchange(b"HEAD /plain HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers[0].startswith(b"HTTP/1.1 200 OK")
    assert answers[1].startswith(b"HTTP/1.1 204 No Content")


def test_the_head_of_a_stream_does_not_wait_for_its_first_part() -> None:
    answers, _ = exchange(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers[0].startswith(b"HTTP/1.1 200 OK")


def test_the_last_response_of_a_connection_arrives_before_it_closes() -> None:
    answers, writes = exchange(b"GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answers[0].endswith(b"hello")
    assert len(writes) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /plain HTTP/1.1\r\nHost: x\r\n", *[b"x: " + b"a" * 1000 + b"\r\n"] * 100],
        [b"GET /plain HTTP/1.1\r\nHost: ", *[b"a" * 1000] * 100],
        [b"GET /", *[b"a" * 1000] * 100],
        [b"POST /plain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *[b"x: " + b"a" * 1000] * 100],
    ],
)
def test_a_head_without_end_is_refused(parts: list[bytes]) -> None:
    async def scenario(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b"reset"

    answer = serving(scenario)
    assert answer == b"reset" or b" 431 " in answer, answer


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_protocol, "UNREAD_S", 0.2)

    async def scenario(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(1)
            return await asyncio.to_thread(read_all, client)

    assert len(serving(scenario)) < LONG


def test_a_client_that_reads_slowly_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_protocol, "UNREAD_S", 1.0)

    async def scenario(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=100_000)
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read = b""
        while part := await asyncio.wait_for(reader.read(LONG // 20), 10):
            read += part
            await asyncio.sleep(0.01)
        writer.close()
        return read

    assert len(serving(scenario)) > LONG
