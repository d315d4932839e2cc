"""Records in the memory of this process: fast, and lost when it ends."""

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from app.service.record import Adaptation
from app.service.store_protocol import PAGE_BYTES, Filter, Name, NameHolder, Quota, Usage
from app.storage.bundle_memory import BundleMemory
from app.storage.quota import refusal
from app.storage.record_cache import RecordCache
from app.storage.record_encoding import check_new, decode, encode, id_bytes


class _StoredRecord(NamedTuple):
    """An encoded record. This form takes a tenth of the memory, and cannot be changed by accident.

    filters: those that the record passes
    """

    version: int
    expires_at: float
    filters: tuple[Filter, ...]
    names: tuple[str, ...]
    data: bytes


class MemoryStore:
    """Keeps encoded records in a dict, and their ids in order for each filter that they pass."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._records: dict[tuple[str, str], _StoredRecord] = {}
        self._names: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._usage: dict[str, Usage] = {}
        self._orders: dict[tuple[str, Filter], _Order] = {}
        self._by_expiry: list[tuple[float, str, str]] = []
        self._cache = RecordCache()
        self.bundles = BundleMemory()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def check(self) -> None:
        """Nothing: memory does not go away."""

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Store a new record, or return the holder of one of its names. Raises QuotaExceeded and ValueError."""
        check_new(adaptation, names)
        for name in names:
            if holder := await self.name_holder(adaptation.owner, name.name, now):
                return holder
        if (adaptation.owner, adaptation.id) in self._records:
            raise ValueError(f"an adaptation {adaptation.id!r} exists already")
        stored = _encoded(adaptation)
        self._charge(adaptation.owner, 1, len(stored.data))
        self._insert(adaptation.owner, adaptation.id, stored)
        self._names |= {(adaptation.owner, each.name): (adaptation.id, each.fingerprint) for each in names}
        return None

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """The record that a name belongs to; None where there is none, or it has expired by `now`."""
        if (owner, name) not in self._names:
            return None
        record_id, fingerprint = self._names[owner, name]
        if self._records[owner, record_id].expires_at <= now:
            return None
        return NameHolder(record_id, Name(name, fingerprint))

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record with this id, even if it has expired; None where there is none."""
        if (cached := self._cache.get((owner, id))) is not None:
            return cached
        stored = self._records.get((owner, id))
        if stored is None:
            return None
        adaptation = decode(owner, id, stored.data)
        self._cache.put((owner, id), adaptation, len(stored.data), self._cache.drops)
        return adaptation

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Replace the record with the same id, if it has the version `expected`. Raises QuotaExceeded."""
        owner, key = adaptation.owner, adaptation.id
        old = self._records.get((owner, key))
        if old is None or old.version != expected:
            return False
        new = _encoded(adaptation)
        self._charge(owner, 0, len(new.data) - len(old.data), limited=not erase)
        self._remove(owner, key)
        self._insert(owner, key, new)
        self._free(owner, key, set(old.names) - set(new.names))
        return True

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a record and free its names. Returns whether there was one."""
        if (owner, id) not in self._records:
            return False
        old = self._remove(owner, id)
        self._charge(owner, -1, -len(old.data))
        self._free(owner, id, old.names)
        return True

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None, now: float
    ) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first."""
        order = self._orders.get((owner, filter))
        if order is None or (before is not None and id_bytes(before) is None):
            return []
        records = ((key, self._records[owner, key]) for key in order.descending(before))
        page, size = [], 0
        for key, stored in islice(((key, each) for key, each in records if each.expires_at > now), limit):
            page.append(decode(owner, key, stored.data))
            if (size := size + len(stored.data)) > PAGE_BYTES:
                break
        return page

    async def sweep(self, before: float, limit: int) -> int:
        """Delete at most `limit` records that expired before a time. Returns their number."""
        swept = 0
        while swept < limit and self._by_expiry and self._by_expiry[0][0] < before:
            expires_at, owner, key = heapq.heappop(self._by_expiry)
            stored = self._records.get((owner, key))
            if stored is not None and stored.expires_at == expires_at:  # not deleted since, and not prolonged
                swept += await self.delete(owner, key)
        return swept

    async def usage(self, owner: str) -> Usage:
        """What the owner stores."""
        return self._usage.get(owner, Usage(0, 0))

    def _insert(self, owner: str, id: str, stored: _StoredRecord) -> None:
        self._records[owner, id] = stored
        for record_filter in stored.filters:
            self._orders.setdefault((owner, record_filter), _Order()).add(id)
        heapq.heappush(self._by_expiry, (stored.expires_at, owner, id))

    def _remove(self, owner: str, id: str) -> _StoredRecord:
        old = self._records.pop((owner, id))
        self._cache.drop((owner, id))
        for record_filter in old.filters:
            order = self._orders[owner, record_filter]
            order.discard(id)
            if not order:
                del self._orders[owner, record_filter]
        return old

    def _charge(self, owner: str, records: int, size: int, *, limited: bool = True) -> None:
        """Add to what the owner stores. Raises QuotaExceeded, and adds nothing then."""
        used = self._usage.get(owner, Usage(0, 0))
        usage = Usage(used.records + records, used.bytes + size)
        if limited and (error := refusal(self._quota, used, usage)):
            raise error
        if usage.records:
            self._usage[owner] = usage
        else:
            self._usage.pop(owner, None)

    def _free(self, owner: str, id: str, names: Iterable[str]) -> None:
        for name in names:
            if self._names.get((owner, name), ("",))[0] == id:  # else a later record has it
                del self._names[owner, name]


class _Order:
    """Ascending ids. Removed ones stay until they are half of all: taking one out of the middle moves all behind it."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._removed: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids) - len(self._removed)

    def add(self, id: str) -> None:
        """Add an id in its place, mostly the last."""
        if id in self._removed:
            self._removed.remove(id)
        else:
            self._ids.insert(bisect_left(self._ids, id), id)

    def discard(self, id: str) -> None:
        """Remove an id."""
        self._removed.add(id)
        if 2 * len(self._removed) > len(self._ids):
            self._ids = [each for each in self._ids if each not in self._removed]
            self._removed.clear()

    def descending(self, before: str | None) -> Iterator[str]:
        """The ids below `before`, the greatest first."""
        end = len(self._ids) if before is None else bisect_left(self._ids, before)
        ids = (self._ids[index] for index in range(end - 1, -1, -1))
        return (each for each in ids if each not in self._removed)


def _encoded(adaptation: Adaptation) -> _StoredRecord:
    model, label = adaptation.model, adaptation.label
    filters = [Filter(), Filter(model=model)]
    if label is not None:
        filters += [Filter(label=label), Filter(model, label)]
    data = encode(adaptation)
    return _StoredRecord(adaptation.version, adaptation.expires_at, tuple(filters), adaptation.names, data)
