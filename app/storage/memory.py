"""Records in the memory of this process: fast, and gone with it."""

import heapq
from collections.abc import Sequence
from itertools import islice

from app.service.store import Adaptation


class MemoryStore:
    """Keeps records in a dict, in the order in which they came."""

    def __init__(self) -> None:
        self._records: dict[str, Adaptation] = {}
        self._by_expiry: list[tuple[float, str]] = []

    async def put(self, adaptation: Adaptation) -> None:
        """Keep a record."""
        self._records[adaptation.id] = adaptation
        heapq.heappush(self._by_expiry, (adaptation.expires_at, adaptation.id))

    async def get(self, id: str) -> Adaptation | None:
        """The record of that id, expired or not, or None."""
        return self._records.get(id)

    async def delete(self, id: str) -> bool:
        """Remove a record; whether there was one."""
        return self._records.pop(id, None) is not None

    async def newest(self, limit: int, now: float) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first."""
        alive = (record for record in reversed(self._records.values()) if record.expires_at > now)
        return list(islice(alive, limit))

    async def forget_expired(self, before: float) -> None:
        """Remove all records that expired before that time, in seconds since the epoch."""
        while self._by_expiry and self._by_expiry[0][0] < before:
            _, expired = heapq.heappop(self._by_expiry)
            self._records.pop(expired, None)
