"""Two workers for one device: small jobs share fused calls, and large work has a thread of its own beside them.

The operating system shares the processor between the threads. So a small request waits for a slice of time, and never
for the end of large work.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Hashable, Sequence
from functools import partial
from threading import Event
from typing import Any

from app.errors import Invalid, Overloaded
from app.learn.adaptation_outcome import Adapted
from app.service.deadlines import Caller
from app.service.engine import Engine
from app.service.job import Job, Result
from app.service.large_work import LargeJob, LargeResult, LargeWork
from app.service.model import Model
from app.service.work_cost import LARGE
from app.service.work_queue import WorkQueue

MAX_WAITING = 4
"""All waiting large work together may cost at most this many times what one request may cost."""
LOOK_S = 1.0
"""Seconds between two checks whether the client of large work is still connected."""


class Lanes:
    """Sends each job to the worker for small or for large work.

    Use it as an async context manager: leaving it finishes what was accepted.

    Methods raise what `WorkQueue.submit` raises, and Invalid where a request would cost too much.
    """

    def __init__(self, engine: Engine, small: WorkQueue, large: WorkQueue, max_price: int, max_bytes: int) -> None:
        """small: runs the engine's jobs; large: for calls alone; max_price, max_bytes: of one request."""
        self._engine = engine
        self._small, self._large = small, large
        self._large_work = LargeWork(max_bytes, engine.features)
        self._max_price = max_price
        self._waiting = 0

    async def __aenter__(self) -> "Lanes":
        await self._small.__aenter__()
        await self._large.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._large.__aexit__()
        await self._small.__aexit__()

    async def check(self) -> None:
        """Report small work that does not end or fails."""
        await self._small.check()

    def submit(self, job: Job, caller: Caller | None = None) -> Coroutine[Any, Any, Result]:
        """Run a job."""
        if job.price <= LARGE or self._are_small([job]):
            return self._small.submit(job, caller)
        return self._submit_one_large(job, caller)

    async def submit_all(self, jobs: Sequence[Job], caller: Caller | None = None) -> list[Result]:
        """Run jobs together."""
        if self._are_small(jobs):
            return await self._small.submit_all(jobs, caller)
        return await self._submit_large(jobs, caller)

    def _are_small(self, jobs: Sequence[Job]) -> bool:
        """Whether jobs together are small work. The cache of features matters only if they are not without it."""
        return sum(job.price for job in jobs) <= LARGE or sum(self._engine.price(job) for job in jobs) <= LARGE

    async def walk(self, job: Job, caller: Caller | None = None) -> AsyncGenerator[float | Adapted]:
        """Adapt step by step: yield each support loss as soon as it is computed, and the outcome last."""
        if job.price <= LARGE:
            self._small.accept(1, job.bytes)
            walk = self._engine.walk(job)
            while isinstance(event := await self._small.call(partial(next, walk), caller, job.bytes), float):
                yield event
        else:
            self._check_price([job], job.price)
            self._large.accept(1, job.bytes)
            walk = await self._large.call(partial(self._large_work.walk, job), caller, job.bytes)
            while isinstance(event := await self._large.call(partial(next, walk), caller, job.bytes), float):
                yield event
            if (state := await self._large.call(partial(self._large_work.take, job))) is not None:
                await self._small.call(partial(self._engine.put, job, state))
        yield event

    async def drop(self, model: Model, key: Hashable) -> None:
        """Free the fast weights under a key."""
        await self._small.call(partial(self._engine.drop, model, key))

    async def forget(self, owner: str, rows: Sequence[object]) -> None:
        """Drop the features of rows of an owner."""
        await self._small.call(partial(self._engine.forget, owner, rows))

    async def _submit_one_large(self, job: Job, caller: Caller | None) -> Result:
        (result,) = await self._submit_large([job], caller)
        return result

    async def _submit_large(self, jobs: Sequence[Job], caller: Caller | None) -> list[Result]:
        size = sum(job.bytes for job in jobs)
        known = await self._small.call(lambda: [self._large_job(job) for job in jobs], caller, size)
        price = sum(each.price for each in known)
        if price <= LARGE:
            return await self._small.submit_all(jobs, caller)
        self._check_price(jobs, price)
        self._large.accept(1, size)
        if self._waiting and self._waiting + price > MAX_WAITING * self._max_price:
            limit = f"at most {MAX_WAITING} times INNERLOOP_MAX_MULTIPLY_ADDS"
            raise Overloaded(f"The queue of large work is full ({limit}): try again in a few seconds")
        self._waiting += price
        try:
            results = await self._call_large(known, caller, size)
        finally:
            self._waiting -= price
        for job, (_, state) in zip(jobs, results, strict=True):
            if state is not None:
                await self._small.call(partial(self._engine.put, job, state))
        return [each.result for each in results]

    def _large_job(self, job: Job) -> LargeJob:
        """The job with what the engine knows of it."""
        state = self._engine.fast_weights(job)
        return LargeJob(job, state, self._engine.price(job) if state is None else self._engine.answer_price(job))

    async def _call_large(self, jobs: Sequence[LargeJob], caller: Caller | None, size: int) -> list[LargeResult]:
        """Run large work, and abandon it where the client leaves or its deadline passes. size: bytes of its arrays"""
        abandoned = Event()
        run = partial(self._large_work.run, jobs, abandoned.is_set)
        call = asyncio.ensure_future(self._large.call(run, caller, size))
        try:
            while not (await asyncio.wait({call}, timeout=LOOK_S))[0]:
                if caller is not None and caller.disconnected():
                    abandoned.set()
            return call.result()
        finally:
            abandoned.set()
            call.cancel()

    def check_price(self, price: int, place: str, fix: str) -> None:
        """Raise Invalid at `place` where a request costs more than one may. fix: what to do"""
        if price > self._max_price:
            expected = f"work of at most {_billions(self._max_price)} multiply-adds (INNERLOOP_MAX_MULTIPLY_ADDS)"
            about = float(f"{price:.3g}")
            raise Invalid(place, expected, f"about {_billions(about if about > self._max_price else price)}", fix)

    def _check_price(self, jobs: Sequence[Job], price: int) -> None:
        """Raises Invalid where the jobs of a request cost too much together."""
        adapts = 2 * sum(self._engine.answer_price(job) for job in jobs) < price
        place = "support" if adapts else jobs[0].place
        self.check_price(price, place, f"send fewer {'examples, or take fewer steps' if adapts else place}")


def _billions(number: float) -> str:
    return f"{number / 1e9:,.12g} billion"
