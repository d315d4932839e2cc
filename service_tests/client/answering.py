"""A server that answers as a test tells it to, byte by byte."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, repeat
from types import TracebackType
from typing import Any

from service_tests.client.unreliable import read_request

ADAPTED: dict[str, Any] = {
    "adaptation_id": "a" * 32, "revision": 1, "model": "sinusoid", "model_digest": "d", "kind": "regression",
    "support_size": 1, "examples": [0], "steps": 1, "learning_rate": 0.1, "losses": [2.0, 1.0], "status": "improved",
    "message": "", "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
}  # fmt: skip
"""An adaptation as the server describes it."""
Respond = Callable[[int], Iterable[bytes]]
"""The parts of the answer to a request, by the number of the request from 1 on."""


class Answering:
    """Answers each request with parts of bytes, and closes the connection.

    requests: the first line and the headers of each
    """

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Answering":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            request = read_request(client)
            if request is not None:
                self.requests.append(request)
                for part in self._respond(len(self.requests)):
                    client.sendall(part)


def answer(body: Any = b"", media: str = "application/json", status: int = 200, **headers: str) -> bytes:
    """An answer whose end is the end of the connection. body: bytes, or a value that is sent as JSON"""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {media}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def always(response: bytes) -> Respond:
    """The same answer to all requests."""
    return lambda number: [response]


def flooding(start: bytes, part: bytes) -> Respond:
    """Parts without a pause, about a gigabyte of them."""
    return lambda number: chain([start], repeat(part, 2**30 // len(part)))


def trickling(start: bytes, part: bytes = b" ", pause_s: float = 0.05) -> Respond:
    """A part from time to time, without an end."""

    def respond(number: int) -> Iterable[bytes]:
        yield start
        for _ in range(200):
            time.sleep(pause_s)
            yield part

    return respond
