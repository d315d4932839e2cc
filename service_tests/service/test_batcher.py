import asyncio
import threading
from collections.abc import Sequence

import pytest

from app.errors import Overloaded
from app.service.batcher import Batcher
from app.service.engine import Job, Result


def job(key: int) -> Job:
    return Job("model", key, None, None)


class Gate:
    """An engine that waits at a gate, and remembers the batches that it was given."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.busy = threading.Event()
        self.batches: list[list[object]] = []

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        self.batches.append([each.key for each in jobs])
        self.busy.set()
        assert self.open.wait(10)
        if any(each.key == "fail" for each in jobs):
            raise ZeroDivisionError
        return [Result(None, None) for _ in jobs]


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


def test_what_queues_while_the_worker_is_busy_is_one_batch() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with Batcher(gate.run, capacity=10) as batcher:
            first = asyncio.create_task(batcher.submit(job(0)))
            await until(gate.busy)
            rest = [asyncio.create_task(batcher.submit(job(key))) for key in (1, 2, 3)]
            await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert gate.batches == [[0], [1, 2, 3]]


def test_a_full_queue_refuses_at_once() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with Batcher(gate.run, capacity=2) as batcher:
            first = asyncio.create_task(batcher.submit(job(0)))
            await until(gate.busy)
            rest = [asyncio.create_task(batcher.submit(job(key))) for key in (1, 2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="2 requests are waiting"):
                await batcher.submit(job(3))
            gate.open.set()
            await asyncio.gather(first, *rest)

    asyncio.run(scenario())


def test_a_client_that_left_costs_no_work() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with Batcher(gate.run, capacity=10) as batcher:
            first = asyncio.create_task(batcher.submit(job(0)))
            await until(gate.busy)
            gone, stays = (asyncio.create_task(batcher.submit(job(key))) for key in (1, 2))
            await asyncio.sleep(0)
            gone.cancel()
            gate.open.set()
            await asyncio.gather(first, stays)
            assert gone.cancelled()

    asyncio.run(scenario())
    assert gate.batches == [[0], [2]]


def test_leaving_finishes_what_was_accepted_and_takes_no_more() -> None:
    gate = Gate()

    async def scenario() -> None:
        batcher = Batcher(gate.run, capacity=10)
        async with batcher:
            accepted = [asyncio.create_task(batcher.submit(job(key))) for key in range(3)]
            await until(gate.busy)
            gate.open.set()
        assert [each.done() for each in accepted] == [True] * 3
        with pytest.raises(Overloaded, match="shutting down"):
            await batcher.submit(job(4))

    asyncio.run(scenario())


def test_a_failure_reaches_those_it_concerns_and_the_worker_goes_on() -> None:
    gate = Gate()
    gate.open.set()

    async def scenario() -> None:
        async with Batcher(gate.run, capacity=10) as batcher:
            with pytest.raises(ZeroDivisionError):
                await batcher.submit(Job("model", "fail", None, None))
            assert await batcher.submit(job(1))

    asyncio.run(scenario())
