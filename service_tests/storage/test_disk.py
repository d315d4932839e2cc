"""The sqlite store on a full disk and on a read-only one, and how it goes on once there is room again."""

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.bundles.folder import load
from app.errors import StoreFailed
from app.service.health import Health
from app.service.store_protocol import Filter
from app.storage.disk_reserve import FILE as RESERVE
from app.storage.sqlite import SqliteStore
from app.storage.sqlite_file import FILE, lock
from service_tests.disks import FILLER, Disk, small_disk
from service_tests.processes import MAML
from service_tests.storage.records import PLENTY, id_of, record, revised

BUNDLE = load(MAML)

Scenario = Callable[[SqliteStore, Health], Awaitable[None]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def run(folder: Path, scenario: Scenario) -> None:
    async def opened() -> None:
        health = Health()
        async with SqliteStore(folder, PLENTY, health=health) as store:
            await scenario(store, health)

    asyncio.run(opened())


async def put(store: SqliteStore, *numbers: int) -> None:
    for number in numbers:
        await store.put(record(number, inputs=np.ones((1000, 1), np.float32)), [], now=0)


async def ids(store: SqliteStore) -> list[int]:
    seen: list[str] = []
    while page := await store.page("ann", Filter(), 10**6, seen[-1] if seen else None, now=0):
        seen += [each.id for each in page]
    return sorted(int(each[:12], 16) for each in seen)


async def put_until_full(store: SqliteStore) -> int:
    """Put records until one does not fit. Returns how many did."""
    for number in range(100_000):
        try:
            await put(store, number)
        except StoreFailed:
            return number
    raise AssertionError("the disk does not become full")


def test_a_disk_that_the_store_fills_itself(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: SqliteStore, health: Health) -> None:
        assert (disk.folder / RESERVE).stat().st_size == 4 * 2**20
        count = await put_until_full(store)
        assert count > 1000
        with pytest.raises(
            StoreFailed, match=r"^The disk that holds the folder `.*` is full \(\d+\.\d MiB free\): make room"
        ):
            await put(store, 99_999)
        with pytest.raises(
            StoreFailed, match=r"^The disk that holds the folder `.*` is full \(\d+\.\d MiB free\): make room"
        ):
            await store.replace(revised(record(0)), expected=1, erase=False)
        assert list(health.degraded) == ["disk"]
        assert health.unavailable is None
        assert await ids(store) == list(range(count))
        assert await store.delete("ann", id_of(0))
        assert await store.replace(revised(record(1)), expected=1, erase=True)
        assert await store.sweep(before=1e12, limit=10) == 10
        await store.check()
        # erasing gives the room of the log back: enough for the reserve, or not
        assert list(health.degraded) == ([] if (disk.folder / RESERVE).exists() else ["disk"])

    run(disk.folder, scenario)
    assert [each.getMessage()[:14] for each in caplog.records if each.levelname == "ERROR"] == ["degraded: disk"]


def test_a_disk_that_others_fill_is_noticed_and_heals(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: SqliteStore, health: Health) -> None:
        await put(store, 1, 2, 3)
        disk.fill()
        await store.check()
        await store.check()
        assert "0.0 MiB" in health.degraded["disk"]
        assert not (disk.folder / RESERVE).exists()
        answers = await asyncio.gather(
            put(store, 4), store.delete("ann", id_of(1)), store.get("ann", id_of(2)), return_exceptions=True
        )
        assert isinstance(answers[0], StoreFailed)
        assert answers[1] is True
        disk.fill()
        with pytest.raises(StoreFailed):
            await store.delete("ann", id_of(2))
        assert await ids(store) == [2, 3]
        disk.empty()
        await store.check()
        assert health.degraded == {}
        assert (disk.folder / RESERVE).exists()
        await put(store, 4)
        assert await store.delete("ann", id_of(2))

    run(disk.folder, scenario)
    assert [each.getMessage().split(": ")[:2] for each in caplog.records if each.levelname == "ERROR"] == [
        ["degraded", "disk"]
    ]


def test_what_a_killed_server_left_is_opened_on_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    async def leave(store: SqliteStore, health: Health) -> None:
        await put(store, 1, 2, 3)
        shutil.copytree(tmp_path / "whole", disk.folder / "state")  # as SIGKILL leaves it: the log is not copied
        (disk.folder / "state" / RESERVE).unlink()

    run(tmp_path / "whole", leave)
    disk.fill()

    async def scenario(store: SqliteStore, health: Health) -> None:
        assert "disk" in health.degraded
        assert health.unavailable is None
        assert await ids(store) == [1, 2, 3]
        assert await store.get("ann", id_of(1)) is not None
        with pytest.raises(
            StoreFailed, match=r"^The disk that holds the folder `.*` is full \(\d+\.\d MiB free\): make room"
        ):
            await put(store, 4)
        disk.empty()
        await store.check()
        assert health.degraded == {}
        await put(store, 4)
        assert await store.delete("ann", id_of(1))
        assert await ids(store) == [2, 3, 4]

    run(disk.folder / "state", scenario)


@pytest.mark.parametrize("killed", [True, False])
def test_a_read_only_disk_is_read(disk: Disk, tmp_path: Path, killed: bool, caplog: pytest.LogCaptureFixture) -> None:
    folder = disk.folder / "state"

    async def leave(store: SqliteStore, health: Health) -> None:
        await put(store, 1, 2)
        if killed:
            shutil.copytree(tmp_path / "whole", folder)

    run(tmp_path / "whole", leave)
    if not killed:
        shutil.copytree(tmp_path / "whole", folder)
    disk.set_writable(False)

    async def scenario(store: SqliteStore, health: Health) -> None:
        assert list(health.degraded) == ["store"]
        assert 'got "Read-only file system": mount its file system writable' in health.degraded["store"]
        assert await ids(store) == [1, 2]
        for change in (put(store, 3), store.delete("ann", id_of(1)), store.sweep(before=1e12, limit=1)):
            with pytest.raises(StoreFailed, match='got "Read-only file system": mount'):
                await change
        await store.check()
        assert list(health.degraded) == ["store"]
        disk.set_writable(True)
        await store.check()
        assert health.degraded == {}
        await put(store, 3)
        assert await store.delete("ann", id_of(1))
        assert await ids(store) == [2, 3]

    run(folder, scenario)
    assert [each.getMessage().split(": ")[1] for each in caplog.records] == ["store"]


@pytest.mark.parametrize("name", [".", "new/folder"])
def test_a_read_only_disk_without_a_database(disk: Disk, name: str, caplog: pytest.LogCaptureFixture) -> None:
    disk.set_writable(False)

    async def scenario(store: SqliteStore, health: Health) -> None:
        for _ in range(2):
            assert 'got "Read-only file system": mount its' in health.degraded["store"]
            assert (list(health.degraded), health.unavailable) == (["store"], None)
            assert await store.get("ann", id_of(1)) is None
            assert await ids(store) == []
            with pytest.raises(StoreFailed, match='got "Read-only file system": mount its'):
                await put(store, 1)
            with pytest.raises(StoreFailed, match="pinned adaptation"):
                await store.bundles.write(BUNDLE, until=1)
            await store.check()
        disk.set_writable(True)
        await store.check()
        assert health.degraded == {}
        await put(store, 1)

    run(disk.folder / name, scenario)

    async def kept(store: SqliteStore, health: Health) -> None:
        assert await ids(store) == [1]

    run(disk.folder / name, kept)
    assert [each.getMessage().split(": ")[1] for each in caplog.records] == ["store"]


@pytest.mark.parametrize("name", [".", "new/folder"])
@pytest.mark.parametrize("pages", [0, 4, 22])
def test_a_full_disk_without_a_database(disk: Disk, name: str, pages: int) -> None:
    disk.fill()
    os.truncate(disk.folder / FILLER, (disk.folder / FILLER).stat().st_size - pages * 4096)

    async def scenario(store: SqliteStore, health: Health) -> None:
        assert (sorted(health.degraded), health.unavailable) == (["disk", "store"], None)
        assert await ids(store) == []
        with pytest.raises(StoreFailed, match="make room on its disk"):
            await put(store, 1)
        await store.check()
        assert sorted(health.degraded) == ["disk", "store"]
        disk.empty()
        await store.check()
        assert health.degraded == {}
        await put(store, 1)
        assert await ids(store) == [1]

    run(disk.folder / name, scenario)


def test_a_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("app.storage.sqlite_file.os.open", refuse)
    monkeypatch.setattr("app.storage.sqlite_file.os.geteuid", lambda: 54321)
    with pytest.raises(
        StoreFailed,
        match=rf'^{tmp_path}/new: expected .*, got "Permission denied": .* belongs to user .*\(\d+\), and the server '
        "runs as user 54321, so give ",
    ):
        lock(tmp_path / "new")


def test_another_program_that_locks_the_file_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.sqlite_transactions.TIMEOUT_S", 0.3)
    monkeypatch.setattr("app.storage.sqlite_transactions.FAILING_S", 0.1)

    async def scenario(store: SqliteStore, health: Health) -> None:
        await put(store, 1)
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        started = asyncio.get_running_loop().time()
        answers = await asyncio.gather(put(store, 2), store.delete("ann", id_of(1)), return_exceptions=True)
        assert asyncio.get_running_loop().time() - started < 3
        assert all("close the other program that uses the file" in str(each) for each in answers), answers
        assert "close the other program" in health.degraded["store"]
        assert await store.get("ann", id_of(1)) is not None
        await store.check()
        assert list(health.degraded) == ["store"]
        other.execute("ROLLBACK")
        await store.check()
        assert health.degraded == {}
        await put(store, 2)
        other.close()

    run(tmp_path, scenario)


def test_what_comes_after_closing_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SqliteStore(tmp_path, PLENTY)
        async with store:
            await put(store, 1)
        with pytest.raises(StoreFailed, match="shutting down"):
            await asyncio.wait_for(put(store, 2), 5)

    asyncio.run(scenario())
