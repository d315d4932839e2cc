"""The client of a request: its owner, its deadline, its idempotency key, and whether it is still connected."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive

from app.errors import Invalid, shown

ANYONE = ""
"""The owner of every adaptation, as long as there are no keys to tell owners apart."""
MAX_KEY_LENGTH, KEY_PATTERN = 255, "[!-~]+"
"""Of the Idempotency-Key header."""
MAX_WAIT_MS = 86_400_000
"""The largest value of the X-Timeout-Ms header."""


class Client:
    """A client over HTTP (`app.service.batcher.Caller`)."""

    __slots__ = ("_receive", "deadline", "key", "owner")

    def __init__(self, receive: Receive, owner: str, deadline: float | None, key: str | None) -> None:
        """deadline: by the event loop's clock; key: the idempotency key."""
        self.owner = owner
        self.deadline = deadline
        self.key = key
        self._receive = receive

    @classmethod
    def from_headers(cls, headers: Mapping[bytes, bytes], receive: Receive) -> "Client":
        """The client of a request. Raises Invalid for a header that cannot be used.

        headers: by name, in lower case
        """
        deadline, key = headers.get(b"x-timeout-ms"), headers.get(b"idempotency-key")
        return cls(
            receive,
            ANYONE,
            None if deadline is None else _deadline(deadline),
            None if key is None else _key(key),
        )

    def for_line(self, index: int) -> "Client":
        """The same client with one line of a body of many requests."""
        # no client's key has a space, so this key belongs to this line alone
        return Client(self._receive, self.owner, self.deadline, self.key and f"{self.key} {index}")

    def disconnected(self) -> bool:
        """Whether the client has disconnected. Call it only once the body is read: then nothing else can follow."""
        waiting: Any = self._receive()
        try:
            # one turn of the coroutine: it ends at once if there is a message, and would wait otherwise
            waiting.send(None)
        except StopIteration as message:
            return bool(message.value["type"] == "http.disconnect")
        waiting.close()
        return False


def _deadline(header: bytes) -> float:
    # the length comes first: a very long number takes long to read, or cannot be read
    if not header.isdigit() or len(header) > 20 or not 1 <= int(header) <= MAX_WAIT_MS:
        expected = f"a whole number from 1 to {MAX_WAIT_MS}"
        raise Invalid("X-Timeout-Ms", expected, shown(header.decode("latin-1")))
    return asyncio.get_running_loop().time() + int(header) / 1000


def _key(header: bytes) -> str:
    key = header.decode("latin-1")
    if len(key) > MAX_KEY_LENGTH or not re.fullmatch(KEY_PATTERN, key):
        expected = f"1 to {MAX_KEY_LENGTH} ASCII characters without spaces"
        actual = f"{len(key)} characters" if len(key) > MAX_KEY_LENGTH else shown(key)
        raise Invalid("Idempotency-Key", expected, actual)
    return key
