"""A proxy between client and server that spoils requests and answers."""

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

BUSY = b'{"type": "t", "title": "Overloaded", "status": %d, "detail": "too busy"}'
DELAY_S = 0.1


class Unreliable:
    """Forwards requests one by one, each with a fault that a seeded plan draws, or with none.

    share: of the requests that get a fault
    faults: how often each fault was drawn; `none` if there was none
    """

    def __init__(self, url: str, seed: int, share: float = 0.4) -> None:
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._random, self._share, self._lock = random.Random(seed), share, threading.Lock()
        self._deck: list[str] = []
        self._open: set[socket.socket] = set()
        self.faults: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Unreliable":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            while (request := read_request(client)) is not None:
                fault = self._draw()
                answer = FAULTS[fault](self, client, request) if fault != "none" else self.forward(request)
                if answer is None:
                    break
                client.sendall(answer)
        self._open.discard(client)

    def _draw(self) -> str:
        with self._lock:
            if self._random.random() >= self._share:
                fault = "none"
            else:
                self._deck = self._deck or self._random.sample(list(FAULTS), len(FAULTS))
                fault = self._deck.pop()
            self.faults[fault] += 1
        return fault

    def forward(self, request: bytes) -> bytes:
        """The answer to a request, over a connection of its own."""
        with socket.create_connection(self._target) as server:
            server.sendall(request.replace(b"Connection: keep-alive\r\n", b"Connection: close\r\n", 1))
            parts = []
            while part := server.recv(65_536):
                parts.append(part)
        return b"".join(parts).replace(b"connection: close\r\n", b"", 1)

    def send_half(self, request: bytes) -> None:
        """Begin a request to the server, and disconnect."""
        with socket.create_connection(self._target) as server:
            server.sendall(request[: len(request) // 2])


def read_request(client: socket.socket) -> bytes | None:
    """A whole request; None if the client has disconnected."""
    lines = []
    with client.makefile("rb", buffering=0) as file:
        while (line := file.readline()) != b"\r\n":
            if not line:
                return None
            lines.append(line)
    length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    body = b""
    while len(body) < length:
        part = client.recv(length - len(body))
        if not part:
            return None
        body += part
    return b"".join([*lines, line, body])


Fault = Callable[[Unreliable, socket.socket, bytes], bytes | None]


def _until_closed(client: socket.socket) -> None:
    while client.recv(1):
        pass


def _dropped(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    """The request is lost, and nobody says so."""
    _until_closed(client)


def _answer_dropped(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    proxy.forward(request)
    _until_closed(client)


def _late(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    """The request arrives when the client has given it up."""
    with suppress(OSError):
        _until_closed(client)
    proxy.forward(request)


def _closed_after(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    proxy.forward(request)


def _reset(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _reset_after(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    proxy.forward(request)
    _reset(proxy, client, request)


def _delayed(proxy: Unreliable, client: socket.socket, request: bytes) -> bytes:
    time.sleep(DELAY_S)
    answer = proxy.forward(request)
    time.sleep(DELAY_S)
    return answer


def _twice(proxy: Unreliable, client: socket.socket, request: bytes) -> bytes:
    """The server gets the request twice at once."""
    other = threading.Thread(target=proxy.forward, args=(request,))
    other.start()
    answer = proxy.forward(request)
    other.join()
    return answer


def _cut(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    """The client gets half of the answer."""
    answer = proxy.forward(request)
    client.sendall(answer[: len(answer) // 2])


def _without_end(proxy: Unreliable, client: socket.socket, request: bytes) -> None:
    """The client gets all of the answer but its last bytes, and nobody says that they are lost."""
    answer = proxy.forward(request)
    client.sendall(answer[:-6])
    _until_closed(client)


def _busy(status: int) -> Fault:
    body = BUSY % status
    head = f"HTTP/1.1 {status} Busy\r\nContent-Type: application/problem+json\r\nRetry-After: 0\r\n"
    answer = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    return lambda proxy, client, request: answer


FAULTS: dict[str, Fault] = {
    "request dropped": _dropped,
    "answer dropped": _answer_dropped,
    "request late": _late,
    "closed before": lambda proxy, client, request: None,
    "closed in the middle": lambda proxy, client, request: proxy.send_half(request),
    "closed after": _closed_after,
    "reset before": _reset,
    "reset after": _reset_after,
    "delayed": _delayed,
    "sent twice": _twice,
    "answer cut": _cut,
    "answer without end": _without_end,
    "503": _busy(503),
    "429": _busy(429),
}
