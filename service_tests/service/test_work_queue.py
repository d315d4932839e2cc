import asyncio
import threading
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from app.errors import DeadlinePassed, Overloaded
from app.service.deadlines import ClientDisconnected
from app.service.fused_batches import MAX_TASKS
from app.service.health import Health
from app.service.job import Job, Result
from app.service.model import Model
from app.service.work_cost import LARGE
from app.service.work_queue import QUICK_S, Runner, WorkQueue


class Free:
    """A model whose answers cost nothing."""

    ways = None
    answer_price = 0


def job(key: object, size: int = 0) -> Job:
    """A job that the runners here know by its key; `size` are the bytes of its queries."""
    return Job(cast("Model", Free()), key, None, np.zeros(size, np.int8))


DONE = Result(None, None, None)


class Gate:
    """A slow runner that waits at a gate, and remembers the batches that it was given."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.busy = threading.Event()
        self.batches: list[list[object]] = []

    def seconds(self, jobs: Sequence[Job]) -> float:
        return float("inf")

    def price(self, job: Job) -> int:
        return job.price

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        self.batches.append([each.key for each in jobs])
        self.busy.set()
        assert self.open.wait(10)
        if any(each.key == "fail" for each in jobs):
            raise ZeroDivisionError
        return [DONE for _ in jobs]


class Someone:
    """A caller."""

    def __init__(self, deadline: float | None = None, left: bool = False) -> None:
        self.deadline = deadline
        self.left = left

    def disconnected(self) -> bool:
        return self.left


def queue_of(runner: Runner, capacity: int = 10, capacity_bytes: int = 1000) -> WorkQueue:
    return WorkQueue(runner, capacity, capacity_bytes)


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


def test_what_queues_while_the_worker_is_busy_is_one_batch() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            first = asyncio.create_task(queue.submit(job(0)))
            await until(gate.busy)
            rest = [asyncio.create_task(queue.submit(job(key))) for key in (1, 2, 3)]
            await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert gate.batches == [[0], [1, 2, 3]]


def test_a_full_queue_refuses_at_once() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate, capacity=2) as queue:
            first = asyncio.create_task(queue.submit(job(0)))
            await until(gate.busy)
            rest = [asyncio.create_task(queue.submit(job(key))) for key in (1, 2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="at most 2 waiting requests"):
                await queue.submit(job(3))
            gate.open.set()
            await asyncio.gather(first, *rest)

    asyncio.run(scenario())


def test_a_client_that_left_costs_no_work() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            first = asyncio.create_task(queue.submit(job(0)))
            await until(gate.busy)
            gone, stays = (asyncio.create_task(queue.submit(job(key))) for key in (1, 2))
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
        queue = queue_of(gate)
        async with queue:
            accepted = [asyncio.create_task(queue.submit(job(key))) for key in range(3)]
            await until(gate.busy)
            gate.open.set()
        assert [each.done() for each in accepted] == [True] * 3
        with pytest.raises(Overloaded, match="shutting down"):
            await queue.submit(job(4))

    asyncio.run(scenario())


class Unready(Gate):
    """A runner that cannot say how long work takes."""

    def seconds(self, jobs: Sequence[Job]) -> float:
        raise ZeroDivisionError

    def price(self, job: Job) -> int:
        return job.price


class Broken(Someone):
    """A caller that cannot say whether it is there."""

    def disconnected(self) -> bool:
        raise ZeroDivisionError


def test_what_fails_before_the_work_reaches_its_callers_and_the_worker_goes_on() -> None:
    gate = Unready()
    health = Health()

    async def scenario() -> None:
        async with WorkQueue(gate, 10, 1000, health) as queue:
            for _ in range(2):
                both = await asyncio.gather(*(queue.submit_all([job(0), job(1)]) for _ in "ab"), return_exceptions=True)
                assert [type(each) for each in both] == [ZeroDivisionError] * 2
            await queue.check()
        assert "ZeroDivisionError" in health.degraded["worker"]

    asyncio.run(scenario())


def test_a_caller_that_fails_leaves_the_worker_free() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            first = asyncio.create_task(queue.submit(job(0)))
            await until(gate.busy)
            broken = asyncio.create_task(queue.submit(job(1), Broken()))
            await asyncio.sleep(2 * QUICK_S)
            gate.open.set()
            assert await first
            with pytest.raises(ZeroDivisionError):
                await broken
            assert await queue.submit(job(2))

    asyncio.run(scenario())


def test_work_that_raises_what_no_future_can_have() -> None:
    def stop() -> None:
        raise StopIteration

    async def scenario() -> None:
        async with queue_of(Gate()) as queue:
            with pytest.raises(RuntimeError, match=r"the work raised StopIteration\(\)"):
                await queue.call(stop)
            assert await queue.call(lambda: 5) == 5

    asyncio.run(scenario())


def test_a_failure_reaches_those_it_concerns_and_the_worker_goes_on() -> None:
    gate = Gate()
    gate.open.set()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            with pytest.raises(ZeroDivisionError):
                await queue.submit(job("fail"))
            assert await queue.submit(job(1))

    asyncio.run(scenario())


def test_a_job_that_fails_among_others_fails_alone() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            first = asyncio.create_task(queue.submit(job(0)))
            await until(gate.busy)
            rest = [asyncio.create_task(queue.submit(job(key))) for key in (1, "fail", 2)]
            await asyncio.sleep(0)
            gate.open.set()
            done = await asyncio.gather(first, *rest, return_exceptions=True)
            assert done[:2] == [DONE, DONE]
            assert isinstance(done[2], ZeroDivisionError)
            assert done[3] == DONE

    asyncio.run(scenario())
    assert gate.batches == [[0], [1, "fail", 2], [1], ["fail"], [2]]


def test_too_many_bytes_are_refused_at_once() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate, capacity_bytes=100) as queue:
            first = asyncio.create_task(queue.submit(job(0, size=500)))
            await until(gate.busy)
            rest = [asyncio.create_task(queue.submit(job(1, size=60)))]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="at most 100 bytes of waiting requests"):
                await queue.submit(job(2, size=60))
            rest.append(asyncio.create_task(queue.submit(job(3, size=40))))
            gate.open.set()
            await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert gate.batches == [[0], [1, 3]], "one that is too large alone is taken when nothing waits"


def test_more_jobs_at_once_than_may_wait_are_taken_when_nothing_waits() -> None:
    gate = Gate()
    gate.open.set()

    async def scenario() -> None:
        async with queue_of(gate, capacity=2) as queue:
            assert await queue.submit_all([job(key) for key in range(5)]) == [DONE] * 5

    asyncio.run(scenario())
    assert gate.batches == [[0, 1, 2, 3, 4]]


def test_a_batch_is_no_larger_than_a_fused_call() -> None:
    gate = Gate()
    gate.open.set()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            await queue.submit_all([job(key) for key in range(MAX_TASKS + 1)])

    asyncio.run(scenario())
    assert [len(batch) for batch in gate.batches] == [MAX_TASKS, 1]


class Remembering(Gate):
    """A runner that has done the work of some jobs before."""

    def price(self, job: Job) -> int:
        return 0 if job.key == "known" else job.price


@pytest.mark.parametrize(("key", "batches"), [("known", [3]), ("new", [1, 1, 1])])
def test_a_batch_has_room_for_jobs_that_the_runner_finds_cheap(key: str, batches: list[int]) -> None:
    runner = Remembering()
    runner.open.set()
    jobs = [job(key) for _ in range(3)]
    for each in jobs:
        each.price = LARGE + 1

    async def scenario() -> None:
        async with queue_of(runner) as queue:
            await queue.submit_all(jobs)

    asyncio.run(scenario())
    assert [len(batch) for batch in runner.batches] == batches


def test_a_caller_that_left_or_is_too_late_costs_no_work() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            loop = asyncio.get_running_loop()
            first = asyncio.create_task(queue.submit(job(0), Someone(loop.time() + 10)))
            await until(gate.busy)
            callers = [Someone(left=True), Someone(loop.time() + 0.02), Someone(loop.time() + 10), Someone()]
            rest = [asyncio.create_task(queue.submit(job(key), each)) for key, each in enumerate(callers, 1)]
            await asyncio.wait([rest[1]], timeout=10)
            assert isinstance(rest[1].exception(), DeadlinePassed), "it does not wait for its turn to hear of it"
            gate.open.set()
            done = await asyncio.gather(first, *rest, return_exceptions=True)
            assert isinstance(done[1], ClientDisconnected)
            assert done[3:] == [DONE, DONE]

    asyncio.run(scenario())
    assert gate.batches == [[0], [3, 4]]


def test_a_deadline_that_has_passed_already_costs_no_work() -> None:
    gate = Gate()
    gate.open.set()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            with pytest.raises(DeadlinePassed):
                await queue.submit(job(0), Someone(asyncio.get_running_loop().time() - 1))
            with pytest.raises(DeadlinePassed):
                await queue.call(lambda: gate.run([job(1)]), Someone(asyncio.get_running_loop().time() - 1))

    asyncio.run(scenario())
    assert gate.batches == []


def test_a_call_has_the_device_for_itself_and_keeps_its_place() -> None:
    gate = Gate()

    async def scenario() -> None:
        async with queue_of(gate, capacity=2) as queue:
            first = asyncio.create_task(queue.submit(job(0)))
            await until(gate.busy)
            rest = [
                asyncio.create_task(each)
                for each in (
                    queue.submit(job(1)),
                    queue.call(lambda: gate.batches.append(["call"])),
                    queue.call(lambda: 1 / 0),
                )
            ]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await queue.submit(job(2))
            gate.open.set()
            done = await asyncio.gather(first, *rest, return_exceptions=True)
            assert isinstance(done[3], ZeroDivisionError)
            await queue.submit(job(3))

    asyncio.run(scenario())
    assert gate.batches == [[0], [1], ["call"], [3]]


def test_only_quick_work_runs_on_the_event_loop() -> None:
    class Timed:
        """A runner that says how long it will take."""

        def __init__(self) -> None:
            self.threads: dict[object, str] = {}

        def seconds(self, jobs: Sequence[Job]) -> float:
            return {"quick": QUICK_S / 2, "slow": QUICK_S * 2}[str(jobs[0].key)]

        def price(self, job: Job) -> int:
            return job.price

        def run(self, jobs: Sequence[Job]) -> list[Result]:
            self.threads[jobs[0].key] = threading.current_thread().name
            return [DONE for _ in jobs]

    timed = Timed()

    async def scenario() -> None:
        async with queue_of(timed) as queue:
            await queue.submit(job("quick"))
            await queue.submit(job("slow"))
            assert (await queue.call(lambda: threading.current_thread().name)).startswith("engine")

    asyncio.run(scenario())
    assert timed.threads["quick"] == threading.main_thread().name
    assert timed.threads["slow"].startswith("engine")


class Prompt:
    """A runner that is always quick, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []

    def seconds(self, jobs: Sequence[Job]) -> float:
        return 0.0

    def price(self, job: Job) -> int:
        return job.price

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        self.batches.append([each.key for each in jobs])
        if "fail" in self.batches[-1]:
            raise ZeroDivisionError
        return [DONE for _ in jobs]


@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_quick_job_that_comes_alone_runs_at_once_and_those_beside_it_share_a_batch(deadline: float | None) -> None:
    prompt = Prompt()

    async def scenario() -> None:
        async with queue_of(prompt) as queue:
            ends = None if deadline is None else asyncio.get_running_loop().time() + deadline
            alone = queue.submit(job("alone"), Someone(ends))
            with pytest.raises(StopIteration):
                alone.send(None)  # without the event loop
            await asyncio.sleep(0)
            await asyncio.gather(*(queue.submit(job(key)) for key in range(4)))
            # they came together, so that the next ones are expected to
            await asyncio.gather(*(queue.submit(job(key)) for key in "ab"))

    asyncio.run(scenario())
    assert prompt.batches == [["alone"], [0], [1, 2, 3], ["a", "b"]]


def test_a_quick_job_that_is_late_does_not_run_at_once() -> None:
    prompt = Prompt()

    async def scenario() -> None:
        async with queue_of(prompt) as queue:
            with pytest.raises(DeadlinePassed):
                await queue.submit(job("late"), Someone(asyncio.get_running_loop().time()))

    asyncio.run(scenario())
    assert prompt.batches == []


def test_a_failure_of_a_job_that_runs_at_once_reaches_its_caller_and_the_worker_goes_on() -> None:
    prompt = Prompt()

    async def scenario() -> None:
        async with queue_of(prompt) as queue:
            with pytest.raises(ZeroDivisionError):
                await queue.submit(job("fail"))
            await queue.submit(job("next"))

    asyncio.run(scenario())
    assert prompt.batches == [["fail"], ["next"]]


def test_whoever_comes_alone_and_has_left_costs_no_work() -> None:
    prompt = Prompt()

    async def scenario() -> None:
        async with queue_of(prompt) as queue:
            with pytest.raises(ClientDisconnected):
                await queue.submit(job(0), Someone(left=True))
            await queue.submit(job(1), Someone())

    asyncio.run(scenario())
    assert prompt.batches == [[1]]


def test_who_has_just_left_costs_no_work_that_takes_long() -> None:
    gate = Gate()
    gate.open.set()

    async def scenario() -> None:
        async with queue_of(gate) as queue:
            both = (queue.submit(job(key), Someone(left=key == 0)) for key in (0, 1))
            left, stays = await asyncio.gather(*both, return_exceptions=True)
            assert isinstance(left, ClientDisconnected)
            assert stays == DONE
            with pytest.raises(ClientDisconnected):
                await queue.submit(job(2), Someone(left=True))
            assert await queue.submit(job(3), Someone()) == DONE

    asyncio.run(scenario())
    assert gate.batches == [[1], [3]]
