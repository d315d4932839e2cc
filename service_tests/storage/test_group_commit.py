import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from app.storage.group_commit import MAX_OPERATIONS, GroupCommit, Operation


class Double(Operation[int]):
    def __init__(self, number: int, erases: bool = False) -> None:
        self.number = number
        self.erases = erases


class Recorded:
    """Remembers its transactions, and waits before each until it may go on."""

    def __init__(self) -> None:
        self.transactions: list[list[int]] = []
        self.erased = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def commit(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        self.transactions.append([each.number for each in operations if isinstance(each, Double)])
        self.may_go_on.wait()
        return [self._outcome(each) for each in operations if isinstance(each, Double)]

    def _outcome(self, operation: Double) -> object:
        if operation.erases:
            return True
        return 2 * operation.number if operation.number >= 0 else ValueError("negative")

    def erase(self) -> Exception | None:
        self.erased += 1
        return None

    def tend(self, *, patient: bool) -> bool:
        return True


class Disk(Recorded):
    """Waits `seconds` in each transaction, and remembers whether it was done on the event loop's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.on_the_loop: list[bool] = []

    def commit(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        self.on_the_loop.append(threading.current_thread() is threading.main_thread())
        time.sleep(self.seconds)
        return super().commit(operations, patient=patient)


def run(scenario: Callable[[GroupCommit, Any], Awaitable[None]], recorded: Recorded | None = None) -> Recorded:
    recorded = recorded or Recorded()

    async def opened() -> None:
        commits = GroupCommit(recorded, "commits")
        try:
            await scenario(commits, recorded)
        finally:
            recorded.may_go_on.set()
            await commits.close()

    asyncio.run(opened())
    return recorded


def test_what_arrives_in_one_iteration_shares_a_transaction() -> None:
    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        assert await asyncio.gather(*(commits.submit(Double(number)) for number in range(5))) == [0, 2, 4, 6, 8]

    assert run(scenario).transactions == [[0, 1, 2, 3, 4]]


def test_what_arrives_meanwhile_shares_the_next_up_to_a_bound() -> None:
    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        recorded.may_go_on.clear()
        first = asyncio.create_task(commits.submit(Double(-1)))
        await asyncio.sleep(0.05)
        later = [asyncio.create_task(commits.submit(Double(number))) for number in range(MAX_OPERATIONS + 10)]
        await asyncio.sleep(0)
        recorded.may_go_on.set()
        with pytest.raises(ValueError, match="negative"):
            await first
        assert await asyncio.gather(*later) == [2 * number for number in range(MAX_OPERATIONS + 10)]

    assert [len(each) for each in run(scenario).transactions] == [1, MAX_OPERATIONS, 10]


def test_what_was_cancelled_is_not_begun() -> None:
    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        recorded.may_go_on.clear()
        begun = asyncio.create_task(commits.submit(Double(1)))
        await asyncio.sleep(0.05)
        cancelled, kept = (asyncio.create_task(commits.submit(Double(number))) for number in (2, 3))
        await asyncio.sleep(0)
        begun.cancel()
        cancelled.cancel()
        await asyncio.sleep(0)
        recorded.may_go_on.set()
        assert await kept == 6

    assert run(scenario).transactions == [[1], [3]]


def test_erasing_is_done_once_a_transaction() -> None:
    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        erasing = [commits.submit(Double(number, erases=True)) for number in range(3)]
        assert await asyncio.gather(*erasing, commits.submit(Double(4))) == [True, True, True, 8]

    assert run(scenario).erased == 1


def test_closing_finishes_what_was_submitted() -> None:
    tasks: list[asyncio.Task[int]] = []

    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        tasks.extend(asyncio.create_task(commits.submit(Double(number))) for number in range(3))
        await asyncio.sleep(0)

    assert run(scenario).transactions == [[0, 1, 2]]
    assert [task.result() for task in tasks] == [0, 2, 4]


def test_what_comes_alone_is_done_at_once_and_what_comes_beside_it_shares_a_transaction() -> None:
    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        assert await commits.submit(Double(1)) == 2  # the first tells how quick the disk is
        await asyncio.sleep(0.05)
        alone = commits.submit(Double(2))
        with pytest.raises(StopIteration) as done:
            alone.send(None)  # without the event loop
        assert done.value.value == 4
        await asyncio.sleep(0)
        assert await asyncio.gather(*(commits.submit(Double(number)) for number in (3, 4, 5))) == [6, 8, 10]

    assert run(scenario).transactions == [[1], [2], [3], [4, 5]]


def test_a_refusal_of_what_is_done_at_once_is_raised() -> None:
    async def scenario(commits: GroupCommit, recorded: Recorded) -> None:
        await commits.submit(Double(1))
        await asyncio.sleep(0.05)
        with pytest.raises(ValueError, match="negative"):
            await commits.submit(Double(-1))
        assert await commits.submit(Double(2)) == 4

    assert run(scenario).transactions == [[1], [-1], [2]]


async def commit_until_on_the_loop(commits: GroupCommit, disk: Disk) -> None:
    """Commit until it happens on the event loop. On a loaded machine some quick commits seem to wait for the disk."""
    for _ in range(300):
        await commits.submit(Double(1))
        if disk.on_the_loop[-1]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no commit happens on the event loop")


def test_the_event_loop_waits_for_a_quick_disk_and_not_for_a_slow_one() -> None:
    async def scenario(commits: GroupCommit, disk: Disk) -> None:
        async def submit(count: int) -> list[bool]:
            """Submit pairs one after the other; which were committed on the event loop."""
            disk.on_the_loop.clear()
            for number in range(count):
                await asyncio.gather(commits.submit(Double(number)), commits.submit(Double(number)))
                await asyncio.sleep(0.01)
            return list(disk.on_the_loop)

        await commit_until_on_the_loop(commits, disk)
        disk.seconds = 0.01
        await submit(10)
        assert not any(await submit(3))
        disk.seconds = 0.0
        await commit_until_on_the_loop(commits, disk)

    run(scenario, Disk())


def test_one_commit_that_waits_long_hands_the_next_over_at_once() -> None:
    async def scenario(commits: GroupCommit, disk: Disk) -> None:
        assert disk.on_the_loop == []
        await commits.submit(Double(1))
        assert disk.on_the_loop == [False], "nothing is known of the disk yet"
        await commit_until_on_the_loop(commits, disk)
        disk.seconds = 0.1
        for _ in range(2):
            await commits.submit(Double(1))
            await asyncio.sleep(0.01)
        assert disk.on_the_loop[-2:] == [True, False]

    run(scenario, Disk())


class LongLog(Disk):
    """Its housekeeping has to wait whenever it is `behind`, and the thread's ends that."""

    behind = False

    def tend(self, *, patient: bool) -> bool:
        self.behind = self.behind and not patient
        return not self.behind


@pytest.mark.parametrize("alone", [True, False])
def test_housekeeping_that_has_to_wait_is_done_by_the_thread(alone: bool) -> None:
    async def scenario(commits: GroupCommit, disk: LongLog) -> None:
        await commit_until_on_the_loop(commits, disk)
        await asyncio.sleep(0.01)
        disk.behind = True
        disk.on_the_loop.clear()
        for _ in range(2):  # the housekeeping after the first commit has to wait
            await asyncio.gather(*(commits.submit(Double(1)) for _ in range(1 if alone else 2)))
            await asyncio.sleep(0.01)
        assert False in disk.on_the_loop
        assert not disk.behind
        await commit_until_on_the_loop(commits, disk)

    run(scenario, LongLog())


class Locked(Disk):
    """Another program has the medium whenever it is `locked`."""

    locked = False

    def commit(self, operations: Sequence[Operation[Any]], *, patient: bool) -> list[object] | None:
        return None if self.locked and not patient else super().commit(operations, patient=patient)


def test_what_would_wait_for_another_program_is_handed_over() -> None:
    async def scenario(commits: GroupCommit, disk: Locked) -> None:
        await commit_until_on_the_loop(commits, disk)
        disk.locked = True
        assert await commits.submit(Double(3)) == 6, "alone"
        assert list(await asyncio.gather(commits.submit(Double(4)), commits.submit(Double(5)))) == [8, 10], "together"
        assert disk.on_the_loop[-2:] == [False, False]
        disk.locked = False
        await commit_until_on_the_loop(commits, disk)

    run(scenario, Locked())
