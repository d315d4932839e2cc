"""A response is one write, but the head of a stream is sent before its body is ready."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

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
