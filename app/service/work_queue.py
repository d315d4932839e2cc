"""One worker per device. When it is idle it takes all that is queued; nothing waits for a batch to fill up."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from app.errors import DeadlinePassed, InnerloopError, Overloaded
from app.service.deadlines import LATE, Caller, ClientDisconnected, in_time
from app.service.fused_batches import MAX_TASKS
from app.service.health import Health
from app.service.job import Job, Result
from app.service.work_cost import LARGE

T = TypeVar("T")
log = logging.getLogger(__name__)

QUICK_S = 0.005
"""Work that takes less runs on the event loop itself. Handing it to a thread and back costs more, as the two threads
compete for the interpreter's lock (`quick-on-the-loop` of the ablation benchmark: 1.31 times the predictions a second
through one connection)."""

CONDITION = "worker"
STUCK_S = 60.0
"""A batch that takes longer counts as one that does not end."""


class Runner(Protocol):
    """Does the work: the engine."""

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Run jobs together; `results[i]` is that of `jobs[i]`."""

    def seconds(self, jobs: Sequence[Job]) -> float:
        """The time that they may take."""

    def price(self, job: Job) -> int:
        """`Job.price`, or less where the runner has done a part of the work before."""


class _Item:
    """Queued work: a job, or a call that needs the device for itself.

    size: the bytes of the job's arrays
    price: what the job costs the runner
    since: the event loop's time when it was queued
    """

    __slots__ = ("call", "caller", "future", "job", "price", "since", "size")

    def __init__(
        self,
        job: Job | None,
        call: Callable[[], Any] | None,
        caller: Caller | None,
        future: asyncio.Future[Any],
        size: int,
        price: int,
        since: float,
    ) -> None:
        self.job = job
        self.call = call
        self.caller = caller
        self.future = future
        self.size = size
        self.price = price
        self.since = since

    def drop_if_disconnected(self) -> bool:
        """Fail the future if the client has disconnected. Returns whether it has."""
        if self.caller is None or not self.caller.disconnected():
            return False
        self.future.set_exception(ClientDisconnected())
        return True


class WorkQueue:
    """Queues jobs and runs many at once: on the event loop if they are quick, else on a thread.

    Use it as an async context manager: leaving it finishes what was accepted.
    """

    def __init__(self, runner: Runner, capacity: int, capacity_bytes: int, health: Health | None = None) -> None:
        """Nothing runs yet.

        capacity, capacity_bytes: the jobs that may wait, and the bytes of their arrays; more raise Overloaded
        health: receives a report when work fails or does not end
        """
        self._runner = runner
        self._health = health or Health()
        self._handed_over_at: float | None = None  # when the thread got its present work
        self._failure = ""  # why the last work failed, unless that was to be expected
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._any_late = False  # whether a deadline has passed while its item waited
        self._last_length = 0  # of the queue, one turn of the event loop ago
        self._busy = False
        self._quiet = True  # requests come one at a time, and none has run in this turn of the event loop
        self._closing = False
        self._idle = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def __aenter__(self) -> "WorkQueue":
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._closing = True
        if self._busy:
            await self._idle.wait()
        self._thread.shutdown()

    async def submit(self, job: Job, caller: Caller | None = None) -> Result:
        """Run a job: at once if it is quick and comes alone, otherwise in the next batch.

        Raises Overloaded, at once, where too many jobs wait or the server is shutting down; DeadlinePassed where the
        caller's deadline passes before a quick job begins, or before any other job ends; ClientDisconnected where the
        caller has disconnected before the work began.
        """
        size = job.bytes
        self.accept(1, size)
        alone = self._quiet and not self._busy and not self._is_late(caller)
        if alone and self._runner.seconds([job]) < QUICK_S:
            # checked last; what is queued is checked when its turn comes
            if caller is not None and caller.disconnected():
                raise ClientDisconnected
            return self._run_at_once(job)
        result: Result = await self._wait(self._queue(job, None, caller, size), caller)
        return result

    def _is_late(self, caller: Caller | None) -> bool:
        return caller is not None and caller.deadline is not None and caller.deadline <= self._loop.time()

    async def check(self) -> None:
        """Report work that does not end, or that fails in a way that nobody expected."""
        if self._handed_over_at is not None and (seconds := self._loop.time() - self._handed_over_at) > STUCK_S:
            reason = f"A batch has run for {seconds:.0f} s: restart the server if it does not end"
            self._health.begin(CONDITION, reason, "the worker does not answer")
        elif self._failure:
            fix = "see the log, and restart the server if every batch fails"
            self._health.begin(CONDITION, f'The last batch failed ("{self._failure}"): {fix}')
        else:
            self._health.end(CONDITION)

    def _run_at_once(self, job: Job) -> Result:
        """Run a quick job that comes alone now, instead of two turns of the event loop later: 50 us sooner, of 600."""
        self._quiet = False  # what comes in the same turn is queued
        self._loop.call_soon(self._end_turn)
        (result,) = self._runner.run([job])
        self._failure = ""
        return result

    def _end_turn(self) -> None:
        self._quiet = not self._busy

    async def submit_all(self, jobs: Sequence[Job], caller: Caller | None = None) -> list[Result]:
        """Run jobs in one batch, as far as they fit. Raises what `submit` raises, for all of them."""
        sizes = [job.bytes for job in jobs]
        self.accept(len(jobs), sum(sizes))
        results: list[Result] = await asyncio.gather(
            *(self._wait(self._queue(job, None, caller, size), caller) for job, size in zip(jobs, sizes, strict=True))
        )
        return results

    async def call(self, work: Callable[[], T], caller: Caller | None = None, size: int = 0) -> T:
        """Call a function while nothing else runs on the device.

        size: the bytes of its arrays, which count while it waits

        It belongs to a request that was accepted, and so it is never refused. Raises DeadlinePassed and
        ClientDisconnected as `submit` does.
        """
        result: T = await self._wait(self._queue(None, work, caller, size), caller)
        return result

    def accept(self, count: int, size: int) -> None:
        """Check that there is room for `count` jobs of `size` bytes together. Raises Overloaded."""
        if self._closing:
            raise Overloaded.stopping()
        if (excess := self._excess(count, size)) and self._any_late:
            self._drop_late()
            excess = self._excess(count, size)
        if excess:
            raise Overloaded(f"The queue is full ({excess}): try again in a second")

    def _excess(self, count: int, size: int) -> str:
        """The limit that `count` jobs of `size` bytes would exceed, or an empty string."""
        if len(self._waiting) + count > max(self._capacity, count):
            return f"at most {self._capacity} waiting requests, INNERLOOP_MAX_WAITING"
        if self._waiting and self._waiting_bytes + size > self._capacity_bytes:
            return f"at most {self._capacity_bytes} bytes of waiting requests, INNERLOOP_MAX_WAITING_BYTES"
        return ""

    def _drop_late(self) -> None:
        """Remove the items whose callers wait no longer."""
        self._waiting = deque(item for item in self._waiting if not item.future.done())
        self._waiting_bytes = sum(item.size for item in self._waiting)
        self._any_late = False

    def _queue(
        self, job: Job | None, call: Callable[[], Any] | None, caller: Caller | None, size: int
    ) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        price = 0 if job is None else job.price
        if job is not None and price > LARGE:  # otherwise it fits into a batch
            price = self._runner.price(job)
        self._waiting.append(_Item(job, call, caller, future, size, price, self._loop.time()))
        self._waiting_bytes += size
        if not self._busy:
            self._busy = True
            # not at once: what else the event loop has read in this turn joins the batch
            self._loop.call_soon(self._turn)
        return future

    async def _wait(self, future: asyncio.Future[T], caller: Caller | None) -> T:
        if caller is None or caller.deadline is None:
            return await future
        try:
            return await in_time(caller, future)
        finally:
            self._any_late = self._any_late or future.cancelled()

    def _take(self, batch: list[_Item]) -> None:
        """Take the next work from the queue into a batch: jobs that run together, or one call.

        Items past their deadline, and items that waited long and whose client has disconnected, are dropped.
        """
        price, now = 0, self._loop.time()
        while self._waiting and len(batch) < MAX_TASKS:
            item = self._waiting[0]
            if batch and (item.call or price + item.price > LARGE):
                break
            self._waiting.popleft()
            self._waiting_bytes -= item.size
            batch.append(item)  # first, so that its future fails if the next line raises an error
            if self._drop_if_unwanted(item, now):
                batch.pop()
                continue
            price += item.price
            if item.call is not None:
                break

    def _drop_if_unwanted(self, item: _Item, now: float) -> bool:
        """Drop an item that nobody waits for or that is late. Returns whether it is. now: the event loop's time"""
        if item.future.done():
            return True
        if item.caller is None:
            return False
        if item.caller.deadline is not None and item.caller.deadline <= now:
            item.future.set_exception(DeadlinePassed(LATE))
            return True
        # the check takes 2 us of the 14 of a job in a batch: not worth it within a few milliseconds
        return now - item.since > QUICK_S and item.drop_if_disconnected()

    def _turn(self) -> None:
        if self._last_length < len(self._waiting) < MAX_TASKS and len(self._waiting) > 1:
            # requests are coming in: first let the event loop read all that it can without waiting
            self._last_length = len(self._waiting)
            self._loop.call_soon(self._turn)
            return
        self._last_length = 0
        batch: list[_Item] = []
        try:
            self._take(batch)
            self._begin(batch)
        except Exception as error:
            log.exception("the worker could not begin with a batch of %d jobs", len(batch))
            self._failure = f"{type(error).__name__}: {error}"
            self._settle(batch, [error] * len(batch))

    def _begin(self, batch: list[_Item]) -> None:
        """Do the work, or hand it to the thread, and settle it."""
        jobs = [item.job for item in batch if item.job is not None]
        if jobs and self._runner.seconds(jobs) < QUICK_S:
            self._settle(batch, self._attempt(batch))
        elif batch := [item for item in batch if not item.drop_if_disconnected()]:
            self._handed_over_at = self._loop.time()
            attempt = self._loop.run_in_executor(self._thread, self._attempt, batch)
            attempt.add_done_callback(lambda done: self._settle(batch, done.result()))
        else:
            self._settle([], [])

    def _attempt(self, batch: list[_Item]) -> list[Any]:
        """The outcome of each item: its result, or the exception to raise."""
        try:
            call = batch[0].call
            outcomes = [call()] if call else self._runner.run([item.job for item in batch if item.job is not None])
        except Exception as error:  # raised again where the caller waits
            if len(batch) == 1:
                if not isinstance(error, InnerloopError):
                    self._failure = f"{type(error).__name__}: {error}"
                return [error]
            log.exception("a batch of %d jobs failed; each of them runs again alone", len(batch))
            return [outcome for item in batch for outcome in self._attempt([item])]
        self._failure = ""
        return outcomes

    def _settle(self, batch: list[_Item], outcomes: list[Any]) -> None:
        self._handed_over_at = None
        for item, outcome in zip(batch, outcomes, strict=True):
            if item.future.done():
                continue
            if isinstance(outcome, StopIteration):  # no future can have it as its exception
                item.future.set_exception(RuntimeError(f"the work raised {outcome!r}"))
            elif isinstance(outcome, Exception):
                item.future.set_exception(outcome)
            else:
                item.future.set_result(outcome)
        self._quiet = len(batch) == 1 and not self._waiting
        if self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self._rest()

    def _rest(self) -> None:
        self._busy = False
        if self._closing:
            self._idle.set()
