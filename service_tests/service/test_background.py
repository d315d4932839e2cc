import asyncio

import pytest

from app.service.background import BackgroundTasks


def test_a_task_that_fails_is_logged_listed_and_restarted(caplog: pytest.LogCaptureFixture) -> None:
    runs = []

    async def fails_once() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise KeyError("no such folder")
        await asyncio.sleep(60)

    async def returns() -> None:
        pass

    async def scenario() -> None:
        tasks = BackgroundTasks({"watch": fails_once, "done": returns}, first_delay_s=0.01)
        async with tasks:
            assert tasks.failing == {}
            while len(runs) < 2:
                await asyncio.sleep(0.005)
            assert tasks.failing == {"watch": "KeyError: 'no such folder'"}

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert "the background task 'watch' failed and starts again" in caplog.text


def test_a_task_that_has_run_for_a_while_is_healthy_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.service import background

    async def fails_once() -> None:
        if not failed:
            failed.append(1)
            raise RuntimeError("once")
        await asyncio.sleep(60)

    failed: list[int] = []
    monkeypatch.setattr(background, "RECOVERED_S", 0.05)

    async def scenario() -> None:
        async with BackgroundTasks({"sweep": fails_once}, first_delay_s=0.01) as tasks:
            while not tasks.failing:
                await asyncio.sleep(0.001)
            while tasks.failing:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_leaving_the_context_cancels_running_tasks() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    async def scenario() -> None:
        async with BackgroundTasks({"sweep": waits}):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert ended == [1]


def test_the_wait_doubles_up_to_a_maximum(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("app.service.background.MAX_DELAY_S", 0.004)
    runs = []

    async def fails_five_times() -> None:
        runs.append(1)
        if len(runs) <= 5:
            raise RuntimeError("again")
        await asyncio.sleep(60)

    async def scenario() -> None:
        async with BackgroundTasks({"watch": fails_five_times}, first_delay_s=0.001):
            while len(runs) < 6:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scenario(), 5))
    waits = [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]
    assert waits == [0.001, 0.002, 0.004, 0.004, 0.004]


def test_the_wait_is_short_again_after_a_long_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr("app.service.background.monotonic", lambda: now)
    runs = []

    async def fails_at_once_twice_and_later_once_more() -> None:
        nonlocal now
        runs.append(1)
        if len(runs) == 3:
            now += 1000
        elif len(runs) == 4:
            await asyncio.sleep(60)
        raise RuntimeError("again")

    async def scenario() -> None:
        async with BackgroundTasks({"watch": fails_at_once_twice_and_later_once_more}, first_delay_s=0.001):
            while len(runs) < 4:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scenario(), 5))
    waits = [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]
    assert waits == [0.001, 0.002, 0.001]
