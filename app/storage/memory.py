"""Records in the memory of this process: fast, and gone with it."""

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from app.service.record import Adaptation
from app.service.store import Filter, Name, NameHolder, Quota, Usage
from app.storage.encoding import check_new, decode, encode, id_bytes
from app.storage.quota import refusal
from app.storage.recent import Recent


class _Kept(NamedTuple):
    """A record: its encoded form takes a tenth of the memory, and nobody can change it."""

    revision: int
    expires_at: float
    filters: tuple[Filter, ...]
    names: tuple[str, ...]
    data: bytes


class MemoryStore:
    """Keeps encoded records in a dict, and their ids in order for every filter they pass."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._records: dict[tuple[str, str], _Kept] = {}
        self._names: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._usage: dict[str, Usage] = {}
        self._orders: dict[tuple[str, Filter], _Order] = {}
        self._by_expiry: list[tuple[float, str, str]] = []
        self._recent = Recent()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Keep a new record, or say whose a name is. Raises QuotaExceeded; ValueError for an id kept already."""
        check_new(adaptation, names)
        for name in names:
            if taken := await self.name_holder(adaptation.owner, name.name, now):
                return taken
        if (adaptation.owner, adaptation.id) in self._records:
            raise ValueError(f"an adaptation {adaptation.id!r} is kept already")
        kept = _kept(adaptation)
        self._charge(adaptation.owner, 1, len(kept.data))
        self._insert(adaptation.owner, adaptation.id, kept)
        self._names |= {(adaptation.owner, each.name): (adaptation.id, each.fingerprint) for each in names}
        return None

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """Whose a name is, or None where it is nobody's who is alive at `now`."""
        if (owner, name) not in self._names:
            return None
        holder, fingerprint = self._names[owner, name]
        if self._records[owner, holder].expires_at <= now:
            return None
        return NameHolder(holder, Name(name, fingerprint))

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record of that id, expired or not, or None."""
        if (recent := self._recent.get((owner, id))) is not None:
            return recent
        kept = self._records.get((owner, id))
        if kept is None:
            return None
        found = decode(owner, id, kept.data)
        self._recent.keep((owner, id), found, len(kept.data), self._recent.changes)
        return found

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Put a record in the place of the one that has its id and revision `expected`. Raises QuotaExceeded."""
        owner, key = adaptation.owner, adaptation.id
        old = self._records.get((owner, key))
        if old is None or old.revision != expected:
            return False
        new = _kept(adaptation)
        self._charge(owner, 0, len(new.data) - len(old.data), limited=not erase)
        self._remove(owner, key)
        self._insert(owner, key, new)
        self._free(owner, key, set(old.names) - set(new.names))
        return True

    async def delete(self, owner: str, id: str) -> bool:
        """Remove a record with its names; whether there was one."""
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
        kept = ((key, self._records[owner, key]) for key in order.descending(before))
        alive = (decode(owner, key, each.data) for key, each in kept if each.expires_at > now)
        return list(islice(alive, limit))

    async def sweep(self, before: float, limit: int) -> int:
        """Remove at most `limit` records that expired before that time; how many it were."""
        swept = 0
        while swept < limit and self._by_expiry and self._by_expiry[0][0] < before:
            expires_at, owner, key = heapq.heappop(self._by_expiry)
            kept = self._records.get((owner, key))
            if kept is not None and kept.expires_at == expires_at:  # not deleted since, and not prolonged
                swept += await self.delete(owner, key)
        return swept

    async def usage(self, owner: str) -> Usage:
        """What the owner keeps."""
        return self._usage.get(owner, Usage(0, 0))

    def _insert(self, owner: str, id: str, kept: _Kept) -> None:
        self._records[owner, id] = kept
        for passed in kept.filters:
            self._orders.setdefault((owner, passed), _Order()).add(id)
        heapq.heappush(self._by_expiry, (kept.expires_at, owner, id))

    def _remove(self, owner: str, id: str) -> _Kept:
        old = self._records.pop((owner, id))
        self._recent.forget((owner, id))
        for passed in old.filters:
            order = self._orders[owner, passed]
            order.discard(id)
            if not order:
                del self._orders[owner, passed]
        return old

    def _charge(self, owner: str, records: int, size: int, *, limited: bool = True) -> None:
        """Count what is kept more. Raises QuotaExceeded, and counts nothing."""
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
    """Ids that ascend. A removed one stays until half of them are: taking one out of the middle moves all others."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._removed: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids) - len(self._removed)

    def add(self, id: str) -> None:
        """Put an id in its place, mostly the last."""
        if id in self._removed:
            self._removed.remove(id)
        else:
            self._ids.insert(bisect_left(self._ids, id), id)

    def discard(self, id: str) -> None:
        """Take an id out."""
        self._removed.add(id)
        if 2 * len(self._removed) > len(self._ids):
            self._ids = [each for each in self._ids if each not in self._removed]
            self._removed.clear()

    def descending(self, before: str | None) -> Iterator[str]:
        """The ids, the greatest first."""
        end = len(self._ids) if before is None else bisect_left(self._ids, before)
        ids = (self._ids[index] for index in range(end - 1, -1, -1))
        return (each for each in ids if each not in self._removed)


def _kept(adaptation: Adaptation) -> _Kept:
    model, label = adaptation.model, adaptation.label
    filters = [Filter(), Filter(model=model)]
    if label is not None:
        filters += [Filter(label=label), Filter(model, label)]
    data = encode(adaptation)
    return _Kept(adaptation.revision, adaptation.expires_at, tuple(filters), adaptation.names, data)
