"""The protocol of stores, which keep the records of adaptations."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from app.service.pinned_bundles import BundleStore
from app.service.record import Adaptation

PAGE_BYTES = 16 * 2**20
"""Of encoded records; a page that has more ends with the record that exceeds it."""


class Name(NamedTuple):
    """What identifies a repeated request: an idempotency key, or the content itself.

    name: unique within an owner; it belongs to the first record that is put with it, until that expires
    fingerprint: a hash of the request; the same name with another fingerprint is the client's mistake
    """

    name: str
    fingerprint: bytes


class NameHolder(NamedTuple):
    """The record that a name belongs to: its id, and the name with the fingerprint that the record was put with."""

    id: str
    name: Name


@dataclass(frozen=True)
class Quota:
    """What one owner may store.

    records: the number of records
    bytes: the size of their encoded forms together
    """

    records: int
    bytes: int


class Usage(NamedTuple):
    """What one owner stores, including expired records that are not swept yet. Fields as in `Quota`."""

    records: int
    bytes: int


class Filter(NamedTuple):
    """The records to list: those with exactly this model and label. None leaves a criterion out."""

    model: str | None = None
    label: str | None = None


class Store(Protocol):
    """Keeps records. The stores of `app.storage` all behave as described here. One event loop at a time uses a store.

    Use it as an async context manager: entering opens it and migrates an older schema, leaving finishes the operations
    that were accepted. When `put`, `replace` or `delete` returns, the change is as durable as the store makes it.
    """

    @property
    def bundles(self) -> BundleStore:
        """Where the bundles are kept that adaptations are pinned to."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def check(self) -> None:
        """Find out whether the store still works, and whether what failed works again. Called every few seconds.

        The store reports to `app.service.health`; it raises nothing.
        """

    async def put(self, adaptation: Adaptation, names: Sequence[Name], now: float) -> NameHolder | None:
        """Store a new record under its id and these names.

        names: those in the record, with their fingerprints
        Returns the holder of the first of the names that belongs to another record not expired at `now`, and stores
        nothing. Raises QuotaExceeded where the owner would exceed the quota; ValueError where the id exists already or
        is not 32 hexadecimal digits in lower case, or where the names are not those in the record.
        """

    async def name_holder(self, owner: str, name: str, now: float) -> NameHolder | None:
        """The record that a name belongs to; None where there is none, or it has expired by `now`."""

    async def get(self, owner: str, id: str) -> Adaptation | None:
        """The record with this id, even if it has expired; None where there is none."""

    async def replace(self, adaptation: Adaptation, expected: int, erase: bool) -> bool:
        """Replace the record with the same id, if it still has the version `expected`.

        erase: remove the old record from the medium too, so that it cannot be recovered; no quota applies then
        Returns False, and does nothing, where the record was changed or deleted meanwhile. Names of the old record that
        the new one lacks become free. Raises QuotaExceeded where the owner would exceed the quota.
        """

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a record and free its names, so that it cannot be recovered. Returns whether there was one."""

    async def page(
        self, owner: str, filter: Filter, limit: int, before: str | None, now: float
    ) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first.

        A page of more than `PAGE_BYTES` ends early, with one record at least: only an empty page is the last.

        before: only records with a smaller id than this, the last id of the page before
        """

    async def sweep(self, before: float, limit: int) -> int:
        """Delete at most `limit` records that expired before a time. Returns their number.

        before: seconds since the epoch
        """

    async def usage(self, owner: str) -> Usage:
        """What the owner stores."""
