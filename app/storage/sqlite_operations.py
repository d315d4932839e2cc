"""The tables of the sqlite store, and the operations on them in a transaction. Synchronous; one connection writes."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby, islice
from typing import Any, NamedTuple, TypeVar

from app.service.store_protocol import Filter, Name, NameHolder, Quota, Usage
from app.storage.group_commit import Operation
from app.storage.quota import refusal
from app.storage.record_encoding import names_in

R = TypeVar("R")

MAX_UNCOUNTED = 64
"""Adaptations that the written usage of an owner may lack. Else writing it is a fifth of the pages of a lone put."""
MAX_ROWS = 64
"""Rows of one statement: each statement releases the interpreter's lock, and waits for it again."""

OWNER = "SELECT number FROM owners WHERE name = ?"
GET = """
    SELECT record FROM adaptations INDEXED BY by_id WHERE owner = ? AND id = ?"""
NAME_HOLDER = """
    SELECT id, fingerprint FROM names JOIN adaptations ON number = adaptation
    WHERE names.owner = ? AND names.name = ? AND expires_at > ?"""
_SINCE = "FROM adaptations WHERE adaptations.number > counted AND adaptations.owner = owners.number"
_USED = f"records + (SELECT count(*) {_SINCE}), bytes + (SELECT coalesce(sum(length(record)), 0) {_SINCE})"
USAGE = f"SELECT {_USED} FROM owners WHERE name = ?"  # noqa: S608
_PAGE = """
    SELECT id, record FROM adaptations INDEXED BY {index}
    WHERE owner = (SELECT number FROM owners WHERE name = :owner) {criteria} AND id < :before AND expires_at > :now
    ORDER BY id DESC LIMIT :limit"""
_HOLDERS = """
    WITH wanted (owner, name) AS (VALUES {names})
    SELECT names.owner, names.name, id, fingerprint, expires_at
    FROM wanted CROSS JOIN names ON names.owner = wanted.owner AND names.name = wanted.name
    JOIN adaptations ON number = adaptation"""
_EXPIRED = """
    SELECT adaptations.number, record, name FROM adaptations INDEXED BY by_expiry JOIN owners ON owners.number = owner
    WHERE expires_at < ? ORDER BY expires_at LIMIT ?"""
_REPLACE = "UPDATE adaptations SET revision = ?, model = ?, label = ?, expires_at = ?, record = ? WHERE number = ?"
_REMOVE = "DELETE FROM adaptations WHERE number IN {numbers}"
_NEW_USAGE = """
    ON CONFLICT (number) DO UPDATE SET records = excluded.records, bytes = excluded.bytes, counted = excluded.counted"""
_OF_MODEL = "AND model = (SELECT number FROM models WHERE name = :model)"
_OF_LABEL = "AND label = :label"


def page_query(filter: Filter) -> str:
    """The query of a page. Parameters: :owner, :before, :now, :limit, and the filter's :model and :label."""
    match filter:
        case (None, None):
            return _PAGE.format(index="by_id", criteria="")
        case (_, None):
            return _PAGE.format(index="by_model", criteria=_OF_MODEL)
        case (None, _):
            return _PAGE.format(index="by_label", criteria=_OF_LABEL)
        case _:
            return _PAGE.format(index="by_model_and_label", criteria=f"{_OF_MODEL} {_OF_LABEL}")


@dataclass(slots=True)
class Row:
    """A record as a row of `adaptations`. version: that of the record, in the column `revision`"""

    owner: str
    id: bytes
    version: int
    model: str
    label: str | None
    expires_at: float
    record: bytes


@dataclass(slots=True)
class Put(Operation[NameHolder | None]):
    """`Store.put`."""

    row: Row
    names: Sequence[Name]
    now: float


@dataclass(slots=True)
class Replace(Operation[bool]):
    """`Store.replace`. names: those of the new record."""

    row: Row
    names: Sequence[str]
    expected: int
    erases: bool


@dataclass(slots=True)
class Delete(Operation[bool]):
    """`Store.delete`."""

    owner: str
    id: bytes
    erases: bool = True


@dataclass(slots=True)
class Sweep(Operation[int]):
    """`Store.sweep`, of as many as one statement can delete."""

    before: float
    limit: int


@dataclass(slots=True)
class Probe(Operation[bool]):
    """Write something that changes nothing, to find out whether writing and erasing succeed."""

    erases: bool = True


def makes_room(operation: Operation[Any]) -> bool:
    """Whether an operation is done on a full disk too, because it deletes something."""
    return operation.erases or isinstance(operation, Sweep)


@dataclass(slots=True)
class _Owner:
    """A row of `owners`. Only the one connection writes, so it is read once.

    uncounted: the number of records added since the row was written
    """

    number: int
    name: str
    records: int
    bytes: int
    uncounted: int = MAX_UNCOUNTED  # so that it is written at first: a new owner has no row yet


class _Holder(NamedTuple):
    """The record that a name belongs to."""

    id: bytes
    fingerprint: bytes
    expires_at: float


class Tables:
    """Writes to the tables. Make a new instance after a transaction was rolled back."""

    def __init__(self, connection: sqlite3.Connection, quota: Quota) -> None:
        self._connection = connection
        self._quota = quota
        self._owners: dict[str, _Owner] = {}
        self._models: dict[str, int] = {}
        self._changed: set[str] = set()
        # no number is used twice, even where the last ones were deleted: they may be counted
        (last,) = self._one("SELECT coalesce(max(number), 0) FROM adaptations")
        (counted,) = self._one("SELECT coalesce(max(counted), 0) FROM owners")
        self._next = max(last, counted) + 1
        (self._next_owner,) = self._one("SELECT coalesce(max(number), 0) + 1 FROM owners")

    def apply(self, operations: Sequence[Operation[Any]]) -> list[object]:
        """Do all operations, within a transaction. Returns the value of each, or the exception that refuses it."""
        outcomes: list[object] = []
        for kind, group in groupby(operations, type):
            if kind is Put:
                while puts := list(islice(group, MAX_ROWS)):
                    outcomes += self._put(puts)
            else:
                outcomes += map(self._do, group)
        self._write_usage()
        return outcomes

    def _do(self, operation: Operation[Any]) -> object:
        match operation:
            case Replace():
                return self._replace(operation)
            case Delete():
                return self._delete(operation)
            case Sweep():
                return self._sweep(operation)
            case Probe():
                (version,) = self._one("PRAGMA user_version")
                self._connection.execute(f"PRAGMA user_version = {version}")
                return True
        raise TypeError(f"{operation} is not an operation of these tables")

    def _put(self, puts: Sequence[Any]) -> list[object]:
        """Put many records, with one statement for each table."""
        holders = self._holders(puts)
        outcomes: list[object] = []
        rows: list[tuple[object, ...]] = []
        names: list[tuple[object, ...]] = []
        for put in puts:
            row, number = put.row, self._next + len(rows)
            owner = self._owner(row.owner)
            outcome = self._refusal(put, owner, holders)
            outcomes.append(outcome)
            if outcome is None:
                self._charge(owner, 1, len(row.record), added=1)
                rows.append((number, owner.number, row.id, *self._values(row)))
                for name, fingerprint in put.names:
                    holders[owner.number, name] = _Holder(row.id, fingerprint, row.expires_at)
                    names.append((owner.number, name, number, fingerprint))
        try:
            self._insert("INSERT INTO adaptations VALUES", rows)
        except sqlite3.IntegrityError:
            return self._put_singly(puts, outcomes)
        self._next += len(rows)
        self._insert("INSERT OR REPLACE INTO names VALUES", names)
        return outcomes

    def _put_singly(self, puts: Sequence[Put], outcomes: Sequence[object]) -> list[object]:
        """Put records one by one, so that only one whose id exists already fails."""
        for put, outcome in zip(puts, outcomes, strict=True):
            if outcome is None:
                self._charge(self._owner(put.row.owner), -1, -len(put.row.record), added=-1)
        if len(puts) == 1:
            return [ValueError(f"an adaptation {puts[0].row.id.hex()!r} exists already")]
        return [outcome for put in puts for outcome in self._put([put])]

    def _refusal(
        self, put: Put, owner: _Owner, holders: Mapping[tuple[int, str], _Holder]
    ) -> NameHolder | Exception | None:
        """Why a record is not put, or None."""
        for name in put.names:
            holder = holders.get((owner.number, name.name))
            if holder is not None and holder.expires_at > put.now:
                return NameHolder(holder.id.hex(), Name(name.name, holder.fingerprint))
        return self._over_quota(owner, 1, len(put.row.record))

    def _holders(self, puts: Sequence[Put]) -> dict[tuple[int, str], _Holder]:
        """The records that hold the names of these puts, by owner and name, expired or not."""
        names = {(self._owner(put.row.owner).number, name.name) for put in puts if put.names for name in put.names}
        holders: dict[tuple[int, str], _Holder] = {}
        for chunk in _chunks(list(names)):
            rows = self._connection.execute(_HOLDERS.format(names=_rows(2, len(chunk))), list(chain(*chunk)))
            holders |= {(owner, name): _Holder(*holder) for owner, name, *holder in rows.fetchall()}
        return holders

    def _replace(self, replace: Replace) -> object:
        row, owner = replace.row, self._owner(replace.row.owner)
        old_row = self._one(
            "SELECT number, revision, record FROM adaptations WHERE owner = ? AND id = ?", owner.number, row.id
        )
        if old_row is None or old_row[1] != replace.expected:
            return False
        number, _, old = old_row
        grown = len(row.record) - len(old)
        if not replace.erases and (error := self._over_quota(owner, 0, grown)):
            return error
        self._free([(owner.number, name, number) for name in names_in(old) if name not in replace.names])
        self._connection.execute(_REPLACE, (*self._values(row), number))
        self._charge(owner, 0, grown)
        return True

    def _delete(self, delete: Delete) -> bool:
        owner = self._owner(delete.owner)
        row = self._one("SELECT number, record FROM adaptations WHERE owner = ? AND id = ?", owner.number, delete.id)
        if row is not None:
            self._remove([(*row, delete.owner)])
        return row is not None

    def _sweep(self, sweep: Sweep) -> int:
        rows = self._connection.execute(_EXPIRED, (sweep.before, sweep.limit)).fetchall()
        self._remove(rows)
        return len(rows)

    def _remove(self, rows: Sequence[tuple[int, bytes, str]]) -> None:
        """Delete records, given as (number, record, owner), and free their names."""
        for number, record, owner_name in rows:
            owner = self._owner(owner_name)
            self._charge(owner, -1, -len(record))
            self._free([(owner.number, name, number) for name in names_in(record)])
        for chunk in _chunks(rows):
            numbers = [number for number, _, _ in chunk]
            self._connection.execute(_REMOVE.format(numbers=_rows(len(numbers), 1)), numbers)

    def _free(self, names: Sequence[tuple[int, str, int]]) -> None:
        """Free names, given as (owner, name, adaptation), unless they are another record's by now."""
        if names:
            self._connection.executemany("DELETE FROM names WHERE owner = ? AND name = ? AND adaptation = ?", names)

    def _values(self, row: Row) -> tuple[object, ...]:
        return row.version, self._model(row.model), row.label, row.expires_at, row.record

    def _owner(self, name: str) -> _Owner:
        """The owner of this name. A new one is written when it stores something."""
        if name not in self._owners:
            row = self._one(f"SELECT number, name, {_USED} FROM owners WHERE name = ?", name)  # noqa: S608
            if row is None:
                row = (self._next_owner, name, 0, 0)
                self._next_owner += 1
            self._owners[name] = _Owner(*row)
        return self._owners[name]

    def _model(self, name: str) -> int:
        if name not in self._models:
            self._connection.execute("INSERT OR IGNORE INTO models (name) VALUES (?)", (name,))
            (self._models[name],) = self._one("SELECT number FROM models WHERE name = ?", name)
        return self._models[name]

    def _over_quota(self, owner: _Owner, records: int, size: int) -> Exception | None:
        new = Usage(owner.records + records, owner.bytes + size)
        return refusal(self._quota, Usage(owner.records, owner.bytes), new)

    def _charge(self, owner: _Owner, records: int, size: int, added: int = MAX_UNCOUNTED) -> None:
        """Add to the usage of an owner. added: new records, which are counted by their numbers until it is written."""
        owner.records += records
        owner.bytes += size
        owner.uncounted += added
        if owner.uncounted >= MAX_UNCOUNTED:
            self._changed.add(owner.name)

    def _write_usage(self) -> None:
        if not self._changed:
            return
        changed = [self._owners[name] for name in self._changed]
        rows = [(owner.number, owner.name, owner.records, owner.bytes, self._next - 1) for owner in changed]
        self._insert("INSERT INTO owners VALUES", rows, _NEW_USAGE)
        for owner in changed:
            owner.uncounted = 0
        self._changed.clear()

    def _insert(self, head: str, rows: Sequence[tuple[object, ...]], tail: str = "") -> None:
        for chunk in _chunks(rows):
            self._connection.execute(_statement(head, len(chunk[0]), len(chunk), tail), list(chain(*chunk)))

    def _one(self, query: str, *parameters: object) -> Any:
        """The first row, or None."""
        return next(iter(self._connection.execute(query, parameters).fetchall()), None)


def _chunks(rows: Sequence[R]) -> Iterator[Sequence[R]]:
    return (rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS))


@cache
def _statement(head: str, columns: int, rows: int, tail: str) -> str:
    """An insertion of this many rows."""
    return f"{head} {_rows(columns, rows)} {tail}"


@cache
def _rows(columns: int, rows: int) -> str:
    """Placeholders for this many rows."""
    return ", ".join(["(" + ", ".join("?" * columns) + ")"] * rows)
