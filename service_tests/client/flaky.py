"""A server whose answers get lost."""

from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUSY = b'{"type": "t", "title": "Overloaded", "status": 503, "detail": "the queue is full"}'


class Flaky:
    """An application behind a network that spoils the next requests, one fault each; those that follow are answered.

    Faults: `busy` answers 503 and does nothing, `lost` does what the request asks for and cuts the answer off. `half`
    does it and cuts a stream off after two parts, `busy line` replaces the second line of NDJSON by a 503.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.faults: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.retry_after = b"0"

    def spoil(self, *faults: str) -> None:
        self.faults = list(faults)
        self.requests.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["method"], scope["path"], headers))
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "busy":
            start = [(b"content-type", b"application/problem+json"), (b"retry-after", self.retry_after)]
            await self._respond(send, 503, start, BUSY)
        elif fault == "lost":
            await self._app(scope, receive, _nowhere)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        elif fault == "half":
            await self._app(scope, receive, _Half(send))
        elif fault == "busy line":
            await self._app(scope, receive, _BusyLine(send))
        else:
            await self._app(scope, receive, send)

    async def _respond(self, send: Send, status: int, headers: Iterable[Any], body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body})


async def _nowhere(message: Message) -> None:
    pass


class _Half:
    """Sends the start and two parts of a response, and loses the others."""

    def __init__(self, send: Send) -> None:
        self._send, self._parts = send, 0

    async def __call__(self, message: Message) -> None:
        self._parts += message["type"] == "http.response.body"
        if self._parts <= 2:
            await self._send(message)


class _BusyLine:
    """Sends a response with another second line."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        lines = message.get("body", b"").split(b"\n")
        if len(lines) > 2:
            message["body"] = b"\n".join([lines[0], BUSY, *lines[2:]])
        await self._send(message)
