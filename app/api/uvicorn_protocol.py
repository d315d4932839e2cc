"""uvicorn's HTTP protocol with one write for each response.

uvicorn writes the head and the body of a response one after the other, and uvloop makes a system call of each at once.
Each takes 20 to 40 us, and the first wakes the client up for nothing. `one-write` of the ablation benchmark: 0.93 to
2.1 times the predictions a second through one connection, the more the slower the machine is at the moment.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BODY_S = 1.0
"""When the server stops, the rest of a body has so long to come."""


class OneWrite(HttpToolsProtocol):
    """Serve with it by `uvicorn.run(..., http=OneWrite)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's is narrower
        """A client has connected."""
        self._joining = _JoiningTransport(transport, self.loop)
        super().connection_made(self._joining)  # type: ignore[arg-type]  # it behaves like one

    def shutdown(self) -> None:
        """The server stops: finish the request, unless its body does not come."""
        super().shutdown()
        if self.cycle is not None and self.cycle.more_body:
            self.loop.call_later(BODY_S, self._close_if_unread)

    def _close_if_unread(self) -> None:
        if self.cycle.more_body and not self.transport.is_closing():
            self.transport.close()

    def on_response_complete(self) -> None:
        """A response is complete."""
        self._joining.flush()
        super().on_response_complete()


class _JoiningTransport:
    """A transport that holds the head of a response until its body comes or the response is over.

    The parts of a body without a length may take long to come: there the head leaves when the event loop turns.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

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
        self._transport.write(data)

    def close(self) -> None:
        """Send what is held, and close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)
