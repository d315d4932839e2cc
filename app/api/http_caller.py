"""The client of a request: its owner, its deadline, its idempotency key, and whether it is still connected."""

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive

from app.api.client_headers import read_deadline, read_key

ANYONE = ""
"""The owner of every adaptation, as long as there are no keys to tell owners apart."""


class Client:
    """A client over HTTP (`app.service.deadlines.Caller`)."""

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
            None if deadline is None else read_deadline(deadline),
            None if key is None else read_key(key),
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
