"""Repeated requests to adapt: the same idempotency key, or the same content where an earlier adaptation will do."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from app.errors import KeyReused
from app.service.commands import AdaptCommand
from app.service.deadlines import Caller
from app.service.fingerprints import is_repeat
from app.service.record import Adaptation
from app.service.store_protocol import Name, NameHolder, Store

MAX_RECENT = 50_000
"""At least this many names are remembered. They take up to 8 MB."""


class Idempotency:
    """Finds the adaptation that an earlier request made. A request and its repeats take turns, within this process."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """clock: seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._lines: dict[tuple[str, str], list[Turn]] = {}
        self._recent = _Recent()

    def note(self, owner: str, names: Iterable[Name]) -> bool:
        """Remember the names of a request. Returns whether one of them has come before, as far as is remembered."""
        return self._recent.add([(owner, each.name) for each in names])

    def turn(self, owner: str, names: Iterable[str], caller: Caller | None) -> "Turn":
        """A context in which the other requests under these names wait."""
        return Turn(self._lines, [(owner, name) for name in names], caller)

    async def earlier(self, command: AdaptCommand, names: Sequence[Name]) -> Adaptation | None:
        """The adaptation that an earlier request under one of these names made, if any.

        Raises KeyReused where the key came with another request before.
        """
        for name in names:
            holder = await self._store.name_holder(command.owner, name.name, self._clock())
            if holder is not None and (adaptation := await self.held_by(holder, command, names)) is not None:
                return adaptation
        return None

    async def held_by(self, holder: NameHolder, command: AdaptCommand, names: Sequence[Name]) -> Adaptation | None:
        """The adaptation that holds one of these names; None where it is gone by now. Raises KeyReused."""
        earlier = holder.name
        if not any(name.name == earlier.name and is_repeat(name.fingerprint, earlier.fingerprint) for name in names):
            raise KeyReused
        adaptation = await self._store.get(command.owner, holder.id)
        return None if adaptation is None or adaptation.expires_at <= self._clock() else adaptation


class _Recent:
    """Hashes of the latest names."""

    def __init__(self) -> None:
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def add(self, names: Iterable[tuple[str, str]]) -> bool:
        """Remember names. Returns whether one of them is known."""
        numbers = [hash(name) for name in names]
        known = not (self._newer.isdisjoint(numbers) and self._older.isdisjoint(numbers))
        if len(self._newer) >= MAX_RECENT:
            self._newer, self._older = set(), self._newer
        self._newer.update(numbers)
        return known


class Turn:
    """The turn of a request among those that share one of its names. The first of a line has it, the others wait.

    The context is the caller of the turn, or None if there is none. It counts as connected while any caller that waits
    for the same result is connected: a client that timed out waits again with its repeat, so its work goes on.
    """

    __slots__ = ("_caller", "_lines", "_names", "_woken")

    def __init__(
        self, lines: "dict[tuple[str, str], list[Turn]]", names: Sequence[tuple[str, str]], caller: Caller | None
    ) -> None:
        """lines: all that there are, by name"""
        self._lines, self._names, self._caller = lines, names, caller
        self._woken: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "Turn | None":
        try:
            for name in self._names:
                line = self._lines.setdefault(name, [])
                line.append(self)
                if line[0] is not self:
                    self._woken = asyncio.get_running_loop().create_future()
                    await self._woken
        except BaseException:  # it is cancelled or closed while it waits
            self._leave()
            raise
        return None if self._caller is None else self

    async def __aexit__(self, *error: object) -> None:
        self._leave()

    @property
    def deadline(self) -> float | None:
        """That of the caller."""
        assert self._caller is not None
        return self._caller.deadline

    def disconnected(self) -> bool:
        """Whether all callers have disconnected. Work that was begun may ask after the turn has ended."""
        others = chain.from_iterable(self._lines.get(name, ()) for name in self._names)
        return all(turn._caller is not None and turn._caller.disconnected() for turn in chain([self], others))

    def _leave(self) -> None:
        """Leave all lines, and wake those that are first now."""
        for name in self._names:
            line = self._lines.get(name, [])
            if self not in line:  # it was cancelled before it got there
                continue
            was_first = line[0] is self
            line.remove(self)
            if not line:
                del self._lines[name]
            elif was_first and (woken := line[0]._woken) is not None and not woken.done():
                woken.set_result(None)
