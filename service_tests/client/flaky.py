"""A server whose answers get lost."""

from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Flaky:
    """An application behind a network that spoils the next requests, one fault each; those that follow are answered.

    Faults: `busy` answers 503 and does nothing, `lost` does what the request asks for and cuts the answer off.
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
            problem = b'{"type": "t", "title": "Overloaded", "status": 503, "detail": "the queue is full"}'
            start = [(b"content-type", b"application/problem+json"), (b"retry-after", self.retry_after)]
            await self._respond(send, 503, start, problem)
        elif fault == "lost":
            await self._app(scope, receive, _nowhere)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        else:
            await self._app(scope, receive, send)

    async def _respond(self, send: Send, status: int, headers: Iterable[Any], body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body})


async def _nowhere(message: Message) -> None:
    pass
