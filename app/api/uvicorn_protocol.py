"""uvicorn's HTTP protocol with bounds on the head of a request and on unread answers, and one write for a response.

uvicorn writes the head and the body of a response one after the other, and uvloop makes a system call of each at once.
Each takes 20 to 40 us, and the first wakes the client up for nothing. `one-write` of the ablation benchmark: 0.93 to
2.1 times the predictions a second through one connection, the more the slower the machine is at the moment.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BODY_S = 1.0
"""When the server stops, the rest of a body has so long to come."""
MAX_HEAD_BYTES = 64 * 2**10
"""Of the address, headers and trailers of a request, which uvicorn does not limit."""
UNREAD_S = 60.0
"""A client that reads nothing of its answer for so long is disconnected, because the answer takes memory."""
TOO_LARGE = (
    b'{"type":"urn:problem-type:innerloop:head-too-large","title":"Head too large","status":431,"detail":"headers: '
    b'expected at most %d bytes of address and headers, got more: send shorter ones","place":"headers"}'
    % MAX_HEAD_BYTES
)
REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n" % len(TOO_LARGE)
)


class OneWrite(HttpToolsProtocol):
    """Serve with it by `uvicorn.run(..., http=OneWrite)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's is narrower
        """A client has connected."""
        self._joining = _JoiningTransport(transport, self.loop)
        self._head_bytes = 0
        self._stopping = False
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(self._joining)  # type: ignore[arg-type]  # it behaves like one

    def connection_lost(self, error: Exception | None) -> None:
        """A client has disconnected."""
        self._stop_watching()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Bytes have come. Those that complete a head or bring a part of a body do not count."""
        before = self.cycle
        self._head_bytes += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self.cycle is not before:
            self._head_bytes = 0
        elif self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._head_bytes = 0
        HttpToolsProtocol.on_body(self, body)

    def _refuse_head(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(REFUSAL)
            self.transport.write(TOO_LARGE)
            self.transport.close()
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """The client does not read as fast as the server writes."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read."""
        self._stop_watching()
        super().resume_writing()

    def _watch(self, unread: int) -> None:
        self._unread = self.loop.call_later(UNREAD_S, self._check_read, unread)

    def _check_read(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= before:
            self.transport.abort()
        else:
            self._watch(unread)

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def shutdown(self) -> None:
        """The server stops: finish the request that has begun, unless its body does not come.

        uvicorn would begin each request that the client has sent behind it.
        """
        self._stopping = True
        super().shutdown()
        if self.pipeline:
            self.pipeline.clear()
        elif self.cycle is not None and self.cycle.more_body:
            self.loop.call_later(BODY_S, self._close_if_unread)

    def _close_if_unread(self) -> None:
        if self.cycle.more_body and not self.transport.is_closing():
            self.transport.close()

    def on_response_complete(self) -> None:
        """A response is complete."""
        self._joining.flush()
        super().on_response_complete()
        if self._stopping and not self.transport.is_closing():
            self.transport.close()


class _JoiningTransport:
    """A transport that holds the head of a response until its body comes or the response is over.

    The parts of a body without a length may take long to come: there the head leaves when the event loop turns.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.is_closing = transport.is_closing  # asked for each response, and quicker than by `__getattr__`

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the data after what is held; hold a head."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._held = data
            if b"\r\ncontent-length: " not in data:  # a callback by the loop takes 2 us
                self._loop.call_soon(self.flush)
            return
        self._write(data)

    def close(self) -> None:
        """Send what is held, and close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def _write(self, data: bytes) -> None:
        if not self.is_closing():  # uvloop raises for a closed one
            self._transport.write(data)
