"""The records that were asked for last, decoded: for a store that nobody else writes.

Who predicts by one adaptation again and again asks for its record each time. To read and decode one of 3 stages of 20
episodes takes 70 us, of one stage 30: about as long as the rest of the answer.
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from app.service.record import Adaptation

MAX_BYTES = 64 * 2**20
"""Of their encoded form, whose arrays they share; a record's objects take about 4 KiB besides."""
OBJECTS_BYTES = 4096

Key = tuple[str, str | bytes]
"""Owner and id."""


class _Kept(NamedTuple):
    adaptation: Adaptation
    bytes: int


class Recent:
    """Keeps them, the least recently used given up first. One thread reads and keeps, any other one forgets.

    What was read while something changed is not kept: it may be the old one.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._lock = Lock()
        self.changes = 0
        """How often something was forgotten."""

    def get(self, key: Key) -> Adaptation | None:
        """The record, where it is here."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found.adaptation

    def keep(self, key: Key, adaptation: Adaptation, size: int, changes: int) -> None:
        """Keep a record that was read when there had been so many `changes`. size: of its encoded form, bytes."""
        with self._lock:
            if changes != self.changes:
                return
            self._drop(key)
            self._kept[key] = _Kept(adaptation, size + OBJECTS_BYTES)
            self._bytes += size + OBJECTS_BYTES
            while self._bytes > self._max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].bytes

    def forget(self, key: Key) -> None:
        """Drop one that has changed, or is gone."""
        with self._lock:
            self.changes += 1
            self._drop(key)

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self.changes += 1
            self._kept.clear()
            self._bytes = 0

    def _drop(self, key: Key) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= old.bytes
