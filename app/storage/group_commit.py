"""Many operations in one transaction: all that arrive while one transaction is written share the next.

The event loop hands operations over once a turn, and is woken once a transaction, so a request costs neither a thread
switch nor an fsync of its own.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter, thread_time
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from app.errors import Overloaded, StoreFailed

MAX_WAITING = 8192
"""Largest number of operations that wait for the thread. The store refuses further ones at once."""
MAX_OPERATIONS = 512
"""Largest number of operations in one transaction: limits how many fail together, and how long the first one waits."""

QUICK_S = 0.001
"""Commits are done on the event loop while they wait for the disk for less. Handing them to the thread and back costs
more, as the two threads compete for the interpreter's lock: at half of its capacity a server then took 1.5 times as
long to answer a request to adapt."""
SLOW_S = 0.05
"""After a commit that waits longer, such as for another program's lock, the next one is handed over."""
MIN_DISK_S = 0.0001
"""The least that a commit is taken to wait, so that a disk that becomes slow is noticed after some six commits."""

T = TypeVar("T")


class Operation(Generic[T]):
    """An operation in a transaction; T is its value.

    erases: whether it is acknowledged only once what it deleted is erased from the disk
    """

    __slots__ = ()
    erases = False


class Transactions(Protocol):
    """Commits operations. One thread at a time calls it, and it never raises."""

    def commit(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        """Do all in one transaction. Returns the value of each, or the exception that refuses it.

        patient: it may wait for another program that uses the medium; otherwise None, with nothing done, where it
            would have to
        """

    def erase(self) -> Exception | None:
        """Erase what was deleted from the disk. Returns the error where that fails."""

    def tend(self, *, patient: bool) -> bool:
        """Do the housekeeping after a transaction, when its operations are acknowledged.

        patient: it may wait for the medium. Otherwise returns False where it would have to
        """


class _Waiting(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]


class GroupCommit:
    """A queue in front of a thread that commits. It belongs to the event loop that it is made on."""

    def __init__(self, transactions: Transactions, name: str, *, waits: bool = True) -> None:
        """Start the thread.

        waits: whether a commit waits for the disk. A commit that does not, or not for long, is done on the event loop.
            An operation that erases is always handed over.
        """
        self._transactions = transactions
        self._waits = waits
        self._in_thread = 0
        self._closing = False
        self._disk_s = float("inf")  # that a commit waits for the disk
        self._behind = False  # the housekeeping has to wait: the next commit is handed over, and the thread waits
        self._quiet = True  # operations come one at a time, and none was done in this turn of the event loop
        self._loop = asyncio.get_running_loop()
        self._arrived: list[_Waiting] = []
        self._handed_over: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._stopped = self._loop.create_future()
        # a daemon: the process ends even where the loop ends without `close`
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def submit(self, operation: Operation[T]) -> T:
        """Do an operation, and return its value once it is committed.

        Raises the exception that refuses it, Overloaded where too many wait, and StoreFailed after `close`.
        """
        if self._closing:
            raise StoreFailed(str(Overloaded.stopping()))
        if self._in_thread > MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} changes wait to be stored already: try again in a second")
        if self._quiet and not self._arrived and self._may_run_here([operation]):
            outcomes = self._do_at_once(operation)
            if outcomes is not None:
                if isinstance(outcomes[0], Exception):
                    raise outcomes[0]
                return cast("T", outcomes[0])
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._arrived:
            # at the end of this turn, so that the operations of all handlers that it resumes are in
            self._loop.call_soon(self._hand_over)
        self._arrived.append(_Waiting(operation, future))
        return await future

    async def close(self) -> None:
        """Finish what was submitted, and end the thread."""
        self._closing = True
        self._hand_over()
        self._handed_over.put(None)
        await self._stopped
        self._thread.join()

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._quiet = len(arrived) == 1
        while arrived and self._may_run_here([each.operation for each in arrived]):
            batch = [each for each in arrived[:MAX_OPERATIONS] if not each.future.cancelled()]
            answers = self._answers(batch, patient=False)
            if answers is None:
                break
            _resolve(answers)
            arrived = arrived[MAX_OPERATIONS:]
            self._tend_here()
        if arrived:
            self._behind = False
            self._in_thread += len(arrived)
            self._handed_over.put(arrived)

    def _may_run_here(self, operations: Sequence[Operation[Any]]) -> bool:
        """Whether they may be done on the event loop."""
        if self._in_thread or self._behind or (self._waits and self._disk_s >= QUICK_S):
            return False
        return not any(operation.erases for operation in operations)

    def _do_at_once(self, operation: Operation[Any]) -> list[object] | None:
        """Do an operation that comes alone now, instead of two turns of the event loop later; as `_outcomes`."""
        self._quiet = False  # those that come in the same turn share a transaction
        self._loop.call_soon(self._end_turn)
        return self._outcomes([operation], patient=False)

    def _end_turn(self) -> None:
        self._quiet = not self._arrived and not self._in_thread
        self._tend_here()

    def _tend_here(self) -> None:
        self._behind = not self._transactions.tend(patient=False)

    def _left_thread(self, count: int) -> None:
        self._in_thread -= count

    def _work(self) -> None:
        backlog: deque[_Waiting] = deque()
        more = True
        while more or backlog:
            more = self._receive(backlog) and more
            # an operation whose caller was cancelled is not begun
            taken = [backlog.popleft() for _ in range(min(len(backlog), MAX_OPERATIONS))]
            if batch := [each for each in taken if not each.future.cancelled()]:
                self._commit(batch)
            self._loop.call_soon_threadsafe(self._left_thread, len(taken))
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)

    def _receive(self, backlog: deque[_Waiting]) -> bool:
        """Take all that was handed over, and wait where there is nothing to do. Returns False if no more will come."""
        try:
            while len(backlog) < MAX_OPERATIONS:
                operations = self._handed_over.get(block=not backlog)
                if operations is None:
                    return False
                backlog.extend(operations)
        except Empty:
            pass
        return True

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        answers = self._answers(batch, patient=True)
        assert answers is not None, "it is patient"
        erasing = [each.operation.erases and answer[1] is True for each, answer in zip(batch, answers, strict=True)]
        if any(erasing):
            self._answer([answer for answer, erases in zip(answers, erasing, strict=True) if not erases])
            failure = self._transactions.erase()
            answers = [
                (future, failure or True) for (future, _), erases in zip(answers, erasing, strict=True) if erases
            ]
        self._answer(answers)
        self._transactions.tend(patient=True)

    def _answers(self, batch: Sequence[_Waiting], *, patient: bool) -> list[tuple[asyncio.Future[Any], object]] | None:
        if not batch:
            return []
        outcomes = self._outcomes([each.operation for each in batch], patient=patient)
        return None if outcomes is None else list(zip((each.future for each in batch), outcomes, strict=True))

    def _outcomes(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        """As `Transactions.commit`, with the time that it waited noted."""
        started, computed = perf_counter(), thread_time()
        outcomes = self._transactions.commit(operations, patient=patient)
        if outcomes is None:
            return None
        waited = perf_counter() - started - (thread_time() - computed)
        # a few rather slow commits do not count, because other work on the machine only adds time
        smoothed = max(MIN_DISK_S, min(waited, 1.5 * self._disk_s))
        self._disk_s = waited if waited > SLOW_S else smoothed
        return outcomes

    def _answer(self, answers: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
        if answers:
            self._loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: Iterable[tuple[asyncio.Future[Any], object]]) -> None:
    for future, outcome in answers:
        if future.done():  # it was cancelled
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
