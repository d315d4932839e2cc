"""The protocol of the stores that keep records."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from app.service.record import Adaptation


class Name(NamedTuple):
    """What a repeated request is recognised by: an idempotency key, or the content itself.

    name: unique within an owner; it belongs to the first record that is put with it, for as long as that lives
    fingerprint: of the request; the same name with another one is the client's mistake
    """

    name: str
    fingerprint: bytes


class Taken(NamedTuple):
    """A name is another record's already: `id` is that record's, `name` the name with the fingerprint it came with."""

    id: str
    name: Name


@dataclass(frozen=True)
class Quota:
    """What one owner may keep. records: how many; bytes: of their encoded form."""

    records: int
    bytes: int


class Usage(NamedTuple):
    """What one owner keeps, expired records included as long as they are remembered."""

    records: int
    bytes: int


class Filter(NamedTuple):
    """Which records a page is of; None leaves a criterion out. Both are compared whole."""

    model: str | None = None
    label: str | None = None


class Store(Protocol):
    """Where records are kept. All stores are equal behind it (`app.storage`), on one event loop at a time.

    Use it as an async context manager: entering opens it (and brings an older schema up to date), leaving it finishes
    what was accepted. When `put`, `replace` or `delete` returns, it is as durable as the store makes it.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> Taken | None:
        """Keep a new record under its id and these names.

        names: those in the record, with their fingerprints
        Keeps nothing and says which, where one of the names belongs to another record that is alive at `now`.
        Raises QuotaExceeded where its owner keeps too much already, and keeps nothing; ValueError where the id is kept
        already or is not 32 hexadecimal digits in lower case, or where the names are not those in the record.
        """

    async def named(self, owner: str, name: str, now: float) -> Taken | None:
        """Whose a name is, or None where it is nobody's who is alive at `now`."""

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record of that id, expired or not, or None."""

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Put a record in the place of the one with its id, if that still has the revision `expected`.

        erase: leave nothing of the old one behind, also where a deleted file could be read; never refused for a quota
        False where it was changed meanwhile, or deleted: nothing is done then. Names of the old record that the new one
        lacks are nobody's afterwards. Raises QuotaExceeded where it grows beyond what its owner may keep.
        """

    async def delete(self, owner: str, id: str) -> bool:
        """Remove a record with its names, and leave nothing of it behind; whether there was one."""

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None, now: float
    ) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first.

        before: only those with a lesser id, which is the last of the page before
        """

    async def sweep(self, before: float, limit: int) -> int:
        """Remove at most `limit` records that expired before that time, seconds since the epoch; how many it were."""

    async def usage(self, owner: str) -> Usage:
        """What the owner keeps."""
