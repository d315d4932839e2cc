"""A cache of decoded records, for a store that no other process writes.

A client that predicts with one adaptation again and again needs its record each time. Reading and decoding a record of
3 stages of 20 episodes takes 70 us, one of a single stage 30: about as long as the rest of the answer.
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from app.service.record import Adaptation
from app.service.task import rows_bytes

MAX_BYTES = 64 * 2**20
"""The size of the cached records in their encoded form, whose arrays they share, and of their objects."""
OBJECTS_BYTES = 4096
"""About what the objects of a record take besides its arrays and rows."""

Key = tuple[str, str | bytes]
"""Owner and id."""


class _Entry(NamedTuple):
    adaptation: Adaptation
    bytes: int


class RecordCache:
    """Caches records, the least recently used evicted first. One thread gets and puts, any other one may drop.

    A record that was read while another one changed is not cached: it may be the old version.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lock = Lock()
        self.drops = 0
        """How often `drop` and `clear` were called."""

    def get(self, key: Key) -> Adaptation | None:
        """The record, if it is cached."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.adaptation

    def put(self, key: Key, adaptation: Adaptation, size: int, drops: int) -> None:
        """Cache a record, unless one was dropped since it was read.

        size: the size of its encoded form, bytes
        drops: the number of drops before it was read
        """
        with self._lock:
            if drops != self.drops:
                return
            self._remove(key)
            rows = sum(rows_bytes(stage.inputs) for stage in adaptation.stages if stage.inputs.dtype == object)
            self._entries[key] = entry = _Entry(adaptation, size + OBJECTS_BYTES + rows)
            self._bytes += entry.bytes
            while self._bytes > self._max_bytes:
                self._bytes -= self._entries.popitem(last=False)[1].bytes

    def drop(self, key: Key) -> None:
        """Drop a record that was changed or deleted."""
        with self._lock:
            self.drops += 1
            self._remove(key)

    def clear(self) -> None:
        """Drop all records."""
        with self._lock:
            self.drops += 1
            self._entries.clear()
            self._bytes = 0

    def _remove(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.bytes
