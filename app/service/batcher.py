"""One worker per device: when idle it takes all that is queued, and nothing ever waits for a batch to fill."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.errors import Overloaded
from app.service.engine import Job, Result

Item = tuple[Job, asyncio.Future[Result]]


class Batcher:
    """Queues jobs for `run`, which gets many at once on a thread of its own.

    Use it as an async context manager: leaving it finishes what was accepted.
    """

    def __init__(self, run: Callable[[Sequence[Job]], list[Result]], capacity: int) -> None:
        """capacity: jobs that may wait; one more raises Overloaded."""
        self._run = run
        self._capacity = capacity
        self._waiting: list[Item] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Batcher":
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._closing = True
        self._wake.set()
        if self._worker is not None:
            await self._worker
        self._thread.shutdown()

    async def submit(self, job: Job) -> Result:
        """Run a job in the next batch. Raises Overloaded, at once, where too many wait or the server shuts down."""
        if self._closing:
            raise Overloaded("the server is shutting down; try again on another one")
        if len(self._waiting) >= self._capacity:
            raise Overloaded(f"{self._capacity} requests are waiting already; try again in a second")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        self._wake.set()
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            batch = [(job, future) for job, future in self._waiting if not future.done()]  # done: the client left
            self._waiting = []
            if not batch:
                continue
            running = loop.run_in_executor(self._thread, self._run, [job for job, _ in batch])
            (outcome,) = await asyncio.gather(running, return_exceptions=True)
            for index, (_, future) in enumerate(batch):
                if future.done():
                    continue
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome[index])
