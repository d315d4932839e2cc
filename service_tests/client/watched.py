"""An httpx client that remembers what it sends."""

from typing import Any

import httpx
import msgspec


class Watched(httpx.Client):
    """A client that keeps the bodies that it sends, each with its type: `json` or `msgpack`, and all timeouts."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.timeouts: list[float] = []
        """Seconds that the server is told, for each request."""
        super().__init__(event_hooks={"request": [self._keep]})

    def _keep(self, request: httpx.Request) -> None:
        self.timeouts.append(int(request.headers.get("x-timeout-ms", 0)) / 1000)
        match request.headers.get("content-type"):
            case "application/json":
                self.sent.append(("json", msgspec.json.decode(request.content)))
            case "application/msgpack":
                self.sent.append(("msgpack", msgspec.msgpack.decode(request.content)))
