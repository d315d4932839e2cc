"""What only the redis store promises: servers share it, and it outlives a restart of redis."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.errors import StoreFailed
from app.service.store_protocol import Filter, Name, NameHolder, Quota
from app.storage import redis
from app.storage.record_encoding import encode
from app.storage.redis import RedisStore
from service_tests.processes import free_port
from service_tests.storage.records import PLENTY, comparable, id_of, record, revised
from service_tests.storage.servers import redis_server


def run(scenario: Callable[[RedisStore], Awaitable[None]], url: str, **settings: object) -> None:
    async def opened() -> None:
        async with RedisStore(url, PLENTY, **settings) as store:  # type: ignore[arg-type]  # they vary
            await scenario(store)

    asyncio.run(opened())


async def nothing(store: RedisStore) -> None:
    pass


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return f"test:{tmp_path.name}"


def test_servers_share_it(redis_url: str, prefix: str) -> None:
    names = [Name("key", b"one")]

    async def scenario(one: RedisStore) -> None:
        async with RedisStore(redis_url, PLENTY, prefix=prefix) as other:
            await one.put(record(1, names=names), names, now=0)
            assert comparable(await other.get("ann", id_of(1))) == comparable(record(1, names=names))
            assert await other.put(record(2, names=names), names, now=0) == NameHolder(id_of(1), names[0])
            won = await asyncio.gather(
                *(store.replace(revised(record(1)), expected=1, erase=False) for store in (one, other) * 10)
            )
            assert sum(won) == 1
            assert [each.id for each in await other.page("ann", Filter(), 9, None, now=0)] == [id_of(1)]
            assert sum(await asyncio.gather(one.delete("ann", id_of(1)), other.delete("ann", id_of(1)))) == 1
            assert (await other.usage("ann")).records == 0

    run(scenario, redis_url, prefix=prefix)


def test_a_quota_holds_for_all_servers_together(redis_url: str, prefix: str) -> None:
    async def scenario() -> None:
        quota = Quota(5, 10**6)
        one, other = (RedisStore(redis_url, quota, prefix=prefix) for _ in range(2))
        async with one, other:
            puts = (store.put(record(number), [], now=0) for number, store in enumerate((one, other) * 10))
            answers = await asyncio.gather(*puts, return_exceptions=True)
            assert answers.count(None) == 5
            assert await one.usage("ann") == (5, 5 * len(encode(record(1))))

    asyncio.run(scenario())


def test_prefixes_keep_apart(redis_url: str, prefix: str) -> None:
    async def scenario(one: RedisStore) -> None:
        async with RedisStore(redis_url, PLENTY, prefix=f"{prefix} other") as other:
            await one.put(record(1), [], now=0)
            assert await other.get("ann", id_of(1)) is None
            assert await other.sweep(before=1e9, limit=9) == 0

    run(scenario, redis_url, prefix=prefix)


def test_what_is_removed_leaves_no_key_behind(redis_url: str, prefix: str) -> None:
    names = [Name("key", b"one")]

    async def scenario(store: RedisStore) -> None:
        await store.put(record(1, "a:b", label="x:%"), [], now=0)
        await store.put(record(2, "a:b", model="m n", names=names), names, now=0)
        assert await store.delete("a:b", id_of(1))
        assert await store.sweep(before=1e9, limit=9) == 1
        assert await store._call("KEYS", f"{prefix}:*") == [f"{prefix}:schema".encode()]

    run(scenario, redis_url, prefix=prefix)


def test_after_redis_was_away_it_goes_on(tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        with redis_server(tmp_path, port, "--appendonly", "yes", "--appendfsync", "always") as process:
            store = RedisStore(f"redis://127.0.0.1:{port}", PLENTY)
            await store.__aenter__()
            await asyncio.gather(*(store.put(record(number), [], now=0) for number in range(50)))
            process.send_signal(signal.SIGKILL)
            process.wait()
        for call in (store.get("ann", id_of(1)), store.put(record(99), [], now=0), store.delete("ann", id_of(1))):
            with pytest.raises(StoreFailed, match=f"Redis at 127.0.0.1:{port}.*then try again"):
                await call
        with redis_server(tmp_path, port, "--appendonly", "yes", "--appendfsync", "always"):
            answers = await asyncio.gather(*(store.get("ann", id_of(number)) for number in range(50)))
            assert None not in answers
            assert await store.put(record(99), [], now=0) is None
            assert (await store.usage("ann")).records == 51
            await store.__aexit__(None, None, None)

    asyncio.run(scenario())


def test_nothing_there_is_an_error_without_the_password() -> None:
    port = free_port()

    async def read(store: RedisStore) -> None:
        await store.get("ann", id_of(1))

    with pytest.raises(StoreFailed, match=f"Redis at 127.0.0.1:{port} .*check that Redis runs") as caught:
        run(read, f"redis://ann:secret@127.0.0.1:{port}/0")
    assert "secret" not in str(caught.value)


DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.mark.parametrize(
    ("words", "fsync", "warning"),
    [
        ((), False, "set `appendonly yes`"),
        (DURABLE[:2], True, "set `appendfsync always`"),
        (DURABLE[:2], False, None),
        (DURABLE, True, None),
        (("--rename-command", "CONFIG", ""), True, None),
    ],
)
def test_a_server_that_forgets_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, words: tuple[str, ...], fsync: bool, warning: str | None
) -> None:
    port = free_port()
    with redis_server(tmp_path, port, *words):
        run(nothing, f"redis://127.0.0.1:{port}", fsync=fsync)
    assert (warning in caplog.text) if warning else not caplog.records


def test_schemas(redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: RedisStore) -> None:
        await store.put(record(1), [], now=0)

    run(scenario, redis_url, prefix=prefix)
    later = (*redis.MIGRATIONS, "redis.call('INCR', ARGV[1] .. ':migrated')")
    with monkeypatch.context() as newer:
        newer.setattr(redis, "MIGRATIONS", later)

        async def migrated(store: RedisStore) -> None:
            assert await store._call("GET", f"{prefix}:migrated") == b"1"
            assert comparable(await store.get("ann", id_of(1))) == comparable(record(1))

        run(migrated, redis_url, prefix=prefix)
        run(migrated, redis_url, prefix=prefix)
    with pytest.raises(StoreFailed, match="start the newer version"):
        run(nothing, redis_url, prefix=prefix)
