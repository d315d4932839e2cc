"""Who sent a request, how long they wait, and whether they are still there."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive

from app.errors import Invalid

ANYONE = ""
"""The owner of all adaptations, as long as there are no keys to tell owners by."""
MAX_KEY_LENGTH, KEYS = 255, "[!-~]+"
"""Of the idempotency keys: how long they may be, and a pattern of them."""
MAX_WAIT_MS = 86_400_000


class Client:
    """A caller over HTTP (`app.service.batcher.Caller`)."""

    __slots__ = ("_receive", "deadline", "key", "owner")

    def __init__(self, receive: Receive, owner: str, deadline: float | None, key: str | None) -> None:
        """deadline: by the event loop's clock; key: what the client calls this request."""
        self.owner = owner
        self.deadline = deadline
        self.key = key
        self._receive = receive

    @classmethod
    def of(cls, headers: Mapping[bytes, bytes], receive: Receive) -> "Client":
        """The client of a request. Raises Invalid for a header that cannot be used.

        headers: their names in lower case
        """
        deadline, key = headers.get(b"x-timeout-ms"), headers.get(b"idempotency-key")
        return cls(
            receive,
            ANYONE,
            None if deadline is None else _deadline(deadline),
            None if key is None else _key(key),
        )

    def numbered(self, index: int) -> "Client":
        """The same client with one of many requests that came as one."""
        # no key of a client's has a space, so this is nobody's else
        return Client(self._receive, self.owner, self.deadline, self.key and f"{self.key} {index}")

    def disconnected(self) -> bool:
        """Whether the connection is closed. Only once the body is read: what comes after it can be nothing else."""
        waiting: Any = self._receive()
        try:
            # one turn of the coroutine: it ends at once if there is a message, and else it would wait
            waiting.send(None)
        except StopIteration as message:
            return bool(message.value["type"] == "http.disconnect")
        waiting.close()
        return False


def _deadline(header: bytes) -> float:
    # by its length first: a number of very many digits takes long to read, or cannot be
    if not header.isdigit() or len(header) > 20 or not 1 <= int(header) <= MAX_WAIT_MS:
        found = header[:40].decode("latin-1")
        raise Invalid(f"a whole number from 1 to {MAX_WAIT_MS} is expected, got {found!r}", "X-Timeout-Ms")
    return asyncio.get_running_loop().time() + int(header) / 1000


def _key(header: bytes) -> str:
    key = header.decode("latin-1")
    if len(key) > MAX_KEY_LENGTH or not re.fullmatch(KEYS, key):
        raise Invalid(f"1 to {MAX_KEY_LENGTH} characters of ASCII without spaces are expected", "Idempotency-Key")
    return key
