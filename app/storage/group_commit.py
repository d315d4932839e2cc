"""Many operations in one transaction: all that arrive while the last one is written share the next.

The event loop hands over once an iteration and is woken once a transaction, so a request costs neither a thread
switch nor an fsync of its own.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

MAX_OPERATIONS = 512
"""In one transaction: bounds what is lost where it fails, and how long the first one waits for the last."""

QUICK_S = 0.001
"""A commit that took less is done on the event loop where it is alone."""

T = TypeVar("T")


class Operation(Generic[T]):
    """What to do in a transaction; T is what comes of it.

    erases: whether it is done only once nothing is left of what it removed
    """

    __slots__ = ()
    erases = False


class Transactions(Protocol):
    """What commits. It is called in one thread only, and never raises."""

    def commit(self, operations: Sequence[Operation[Any]]) -> list[object]:
        """Do all in one transaction; for each its value, or the exception it is refused with."""

    def erase(self) -> Exception | None:
        """Leave nothing behind of what was removed; the reason where that fails."""

    def tend(self) -> None:
        """Housekeeping after a transaction, when its operations have been answered."""


class _Waiting(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]


class GroupCommit:
    """The queue before a thread that commits. It belongs to the event loop that it is made on."""

    def __init__(self, transactions: Transactions, name: str, *, waits: bool = True) -> None:
        """waits: whether a commit waits for the disk; one that does not is done on the event loop, which is faster.

        A single operation is done there too, while the disk is quick: handing it over and back takes as long as such a
        disk. What erases is handed over always.
        """
        self._transactions = transactions
        self._waits = waits
        self._in_thread = 0
        self._took = float("inf")
        self._quiet = True  # whether operations come one at a time, and none was done in this round of the event loop
        self._loop = asyncio.get_running_loop()
        self._arrived: list[_Waiting] = []
        self._handed_over: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._stopped = self._loop.create_future()
        # a daemon: where the loop ends without `close`, the process ends too
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def submit(self, operation: Operation[T]) -> T:
        """Do it; returns when it is committed. Raises what it is refused with."""
        if self._quiet and not self._arrived and self._may_be_here([operation]):
            return self._do_at_once(operation)
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._arrived:
            # at the end of this iteration, so that all handlers it resumes are in
            self._loop.call_soon(self._hand_over)
        self._arrived.append(_Waiting(operation, future))
        return await future

    async def close(self) -> None:
        """Finish what was submitted, and end the thread."""
        self._hand_over()
        self._handed_over.put(None)
        await self._stopped
        self._thread.join()

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._quiet = len(arrived) == 1
        if not self._may_be_here([each.operation for each in arrived]):
            if arrived:
                self._in_thread += len(arrived)
                self._handed_over.put(arrived)
            return
        for start in range(0, len(arrived), MAX_OPERATIONS):
            if batch := [each for each in arrived[start : start + MAX_OPERATIONS] if not each.future.cancelled()]:
                _resolve(self._answers(batch))
                self._transactions.tend()

    def _may_be_here(self, operations: Sequence[Operation[Any]]) -> bool:
        """Whether they may be done on the event loop."""
        quick = not self._waits or (len(operations) == 1 and self._took < QUICK_S)
        return quick and not self._in_thread and not any(operation.erases for operation in operations)

    def _do_at_once(self, operation: Operation[T]) -> T:
        """Do an operation that comes alone, instead of two turns of the event loop later."""
        self._quiet = False  # whoever comes in the same turn shares a transaction
        self._loop.call_soon(self._turned)
        (outcome,) = self._outcomes([operation])
        if isinstance(outcome, Exception):
            raise outcome
        return cast("T", outcome)

    def _turned(self) -> None:
        self._quiet = not self._arrived and not self._in_thread
        self._transactions.tend()

    def _left_thread(self, count: int) -> None:
        self._in_thread -= count

    def _work(self) -> None:
        backlog: deque[_Waiting] = deque()
        more = True
        while more or backlog:
            more = self._receive(backlog) and more
            # one whose caller has gone away is not begun
            taken = [backlog.popleft() for _ in range(min(len(backlog), MAX_OPERATIONS))]
            if batch := [each for each in taken if not each.future.cancelled()]:
                self._commit(batch)
            self._loop.call_soon_threadsafe(self._left_thread, len(taken))
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)

    def _receive(self, backlog: deque[_Waiting]) -> bool:
        """Take all that was handed over, waiting for it where there is nothing to do; False if no more will come."""
        try:
            while len(backlog) < MAX_OPERATIONS:
                arrived = self._handed_over.get(block=not backlog)
                if arrived is None:
                    return False
                backlog.extend(arrived)
        except Empty:
            pass
        return True

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        answers = self._answers(batch)
        erasing = [each.operation.erases and answer[1] is True for each, answer in zip(batch, answers, strict=True)]
        if any(erasing):
            self._answer([answer for answer, erases in zip(answers, erasing, strict=True) if not erases])
            failure = self._transactions.erase()
            answers = [
                (future, failure or True) for (future, _), erases in zip(answers, erasing, strict=True) if erases
            ]
        self._answer(answers)
        self._transactions.tend()

    def _answers(self, batch: Sequence[_Waiting]) -> list[tuple[asyncio.Future[Any], object]]:
        outcomes = self._outcomes([each.operation for each in batch])
        return list(zip((each.future for each in batch), outcomes, strict=True))

    def _outcomes(self, operations: Sequence[Operation[Any]]) -> list[object]:
        started = perf_counter()
        outcomes = self._transactions.commit(operations)
        self._took = perf_counter() - started
        return outcomes

    def _answer(self, answers: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
        if answers:
            self._loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: Iterable[tuple[asyncio.Future[Any], object]]) -> None:
    for future, outcome in answers:
        if future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
