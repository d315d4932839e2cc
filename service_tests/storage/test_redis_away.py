"""A redis server that is away, hangs or refuses: what a store says then, and that it goes on by itself."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from app.api.openapi_examples import ERRORS
from app.errors import Overloaded, StoreFailed
from app.service.health import Health
from app.storage.redis import RedisStore
from service_tests.disks import small_disk
from service_tests.processes import free_port
from service_tests.storage.records import PLENTY, id_of, record
from service_tests.storage.servers import redis_server

Scenario = Callable[[RedisStore, Health], Awaitable[None]]


def run(url: str, scenario: Scenario) -> None:
    async def opened() -> None:
        health = Health()
        async with RedisStore(url, PLENTY, fsync=False, health=health) as store:
            await scenario(store, health)

    asyncio.run(opened())


def command(port: int, *words: str) -> None:
    """Run a command at a redis server."""
    with Redis(port=port) as client:
        client.execute_command(*words)


def test_it_opens_without_redis_and_goes_on_once_redis_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.service.health")
    port = free_port()

    async def scenario(store: RedisStore, health: Health) -> None:
        assert health.unavailable == "the store cannot be read"
        for _ in range(2):
            with pytest.raises(
                StoreFailed,
                match=rf"Redis at 127.0.0.1:{port} .*check that Redis runs.*REDIS_URL",
            ) as refused:
                await store.put(record(1), [], now=0)
            assert str(refused.value).replace(str(port), "6379") == str(ERRORS[StoreFailed][1])
            await store.check()
        with redis_server(tmp_path, port, "--appendonly", "yes"):
            await store.check()
            assert health.degraded == {}
            await store.put(record(1), [], now=0)
        with pytest.raises(StoreFailed):
            await store.get("ann", id_of(1))
        assert health.unavailable
        with redis_server(tmp_path, port, "--appendonly", "yes"):
            await store.check()
            assert health.degraded == {}
            assert await store.get("ann", id_of(1)) is not None

    run(f"redis://127.0.0.1:{port}", scenario)
    messages = [each.getMessage() for each in caplog.records if each.name == "app.service.health"]
    assert [each.split(":")[0] for each in messages] == ["degraded", "no longer degraded"] * 2


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Path]:
    monkeypatch.setattr("app.storage.redis.TIMEOUT_S", 0.3)
    return free_port(), tmp_path


def test_a_redis_that_hangs_is_waited_for_once(hanging: tuple[int, Path]) -> None:
    port, folder = hanging

    async def scenario(store: RedisStore, health: Health) -> None:
        time = asyncio.get_running_loop().time
        await store.put(record(1), [], now=0)
        process.send_signal(signal.SIGSTOP)
        started = time()
        calls = [asyncio.create_task(store.get("ann", id_of(number))) for number in range(200)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, StoreFailed) for each in answers)
        assert time() - started < 2
        started = time()
        for number in range(200):
            with pytest.raises(StoreFailed, match="then try again"):
                await store.get("ann", id_of(number))
        assert time() - started < 0.2, "nobody waits for a server that hangs"
        assert health.unavailable
        process.send_signal(signal.SIGCONT)
        await store.check()
        assert health.degraded == {}
        assert await store.get("ann", id_of(1)) is not None

    with redis_server(folder, port) as process:
        run(f"redis://127.0.0.1:{port}", scenario)


def test_a_cancelled_caller_does_not_count_as_waiting(
    hanging: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, folder = hanging
    monkeypatch.setattr("app.storage.redis_pipeline.MAX_WAITING", 10)

    async def scenario(store: RedisStore, health: Health) -> None:
        process.send_signal(signal.SIGSTOP)
        calls = [asyncio.create_task(store.get("ann", id_of(1))) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert sum(isinstance(each.exception(), Overloaded) for each in calls if each.done()) == 9
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        process.send_signal(signal.SIGCONT)
        assert await asyncio.gather(*(store.get("ann", id_of(1)) for _ in range(5))) == [None] * 5

    with redis_server(folder, port) as process:
        run(f"redis://127.0.0.1:{port}", scenario)


def refusing_replica(port: int) -> None:
    command(port, "REPLICAOF", "127.0.0.1", str(free_port()))


def refusing_memory(port: int) -> None:
    command(port, "CONFIG", "SET", "maxmemory", "1")


def accepting(port: int) -> None:
    command(port, "REPLICAOF", "NO", "ONE")
    command(port, "CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize(
    ("refuse", "fix"),
    [
        (refusing_replica, "INNERLOOP_REDIS_URL to the primary"),
        (refusing_memory, "raise maxmemory of Redis"),
    ],
)
def test_a_redis_that_refuses_to_write_still_reads(tmp_path: Path, refuse: Callable[[int], None], fix: str) -> None:
    port = free_port()

    async def scenario(store: RedisStore, health: Health) -> None:
        await store.put(record(1), [], now=0)
        await asyncio.to_thread(refuse, port)
        with pytest.raises(StoreFailed, match=fix):
            await store.put(record(2), [], now=0)
        assert fix in health.degraded["store"]
        assert health.unavailable is None
        assert await store.get("ann", id_of(1)) is not None
        await store.check()
        assert fix in health.degraded["store"]
        await asyncio.to_thread(accepting, port)
        await store.check()
        assert health.degraded == {}
        await store.put(record(2), [], now=0)

    with redis_server(tmp_path, port):
        run(f"redis://127.0.0.1:{port}", scenario)


def test_a_redis_whose_disk_is_full(tmp_path: Path) -> None:
    port = free_port()

    async def scenario(store: RedisStore, health: Health) -> None:
        await store.put(record(1), [], now=0)
        disk.fill()
        large = np.ones((10_000, 1), np.float32)
        # redis notices when it has answered
        puts = [store.put(record(number, inputs=large), [], now=0) for number in range(2, 6)]
        answers = [await asyncio.gather(put, return_exceptions=True) for put in puts]
        assert "make room on the disk of Redis" in str(answers[-1])
        assert "make room on the disk of Redis" in health.degraded["store"]
        assert health.unavailable is None
        assert await store.get("ann", id_of(1)) is not None
        disk.empty()
        for _ in range(50):
            await store.check()
            if not health.degraded:
                break
            await asyncio.sleep(0.1)
        await store.put(record(100), [], now=0)

    with (
        small_disk(tmp_path / "disk") as disk,
        redis_server(disk.folder, port, "--appendonly", "yes", "--appendfsync", "no"),
    ):
        run(f"redis://127.0.0.1:{port}", scenario)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}", "redis://:wrong@127.0.0.1:{port}"])
def test_a_wrong_password(tmp_path: Path, url: str) -> None:
    port = free_port()

    async def scenario(store: RedisStore, health: Health) -> None:
        with pytest.raises(StoreFailed, match="set the user and the password in INNERLOOP_REDIS_URL") as caught:
            await store.get("ann", id_of(1))
        assert "wrong@" not in str(caught.value)
        assert health.unavailable

    with redis_server(tmp_path, port, "--requirepass", "secret", ready=False):
        run(url.format(port=port), scenario)


def test_a_redis_that_loads_its_data(tmp_path: Path) -> None:
    port = free_port()
    with redis_server(tmp_path, port, "--rdbcompression", "no"):
        command(port, "EVAL", "for key = 1, 2000 do redis.call('SET', key, string.rep('x', 5000)) end", "0")
        command(port, "SAVE")

    async def scenario(store: RedisStore, health: Health) -> None:
        assert "wait until Redis has loaded its data" in health.degraded["store"]
        with pytest.raises(StoreFailed, match="wait until Redis has loaded"):
            await store.get("ann", id_of(1))
        while health.degraded:
            await store.check()
            await asyncio.sleep(0.05)
        await store.put(record(1), [], now=0)

    with redis_server(tmp_path, port, "--key-load-delay", "1000", ready=False):
        run(f"redis://127.0.0.1:{port}", scenario)


def test_an_address_that_is_none() -> None:
    async def nothing(store: RedisStore, health: Health) -> None:
        pass

    with pytest.raises(StoreFailed, match=r"^INNERLOOP_REDIS_URL: expected a URL such as .*Redis URL must specify"):
        run("localhost:6379", nothing)
