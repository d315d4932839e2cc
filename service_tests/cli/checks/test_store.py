"""What is found in a state folder or in Redis, which stay as they were."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from app.cli.checks import store
from app.cli.checks.finding import Finding
from app.settings import Settings
from app.storage.redis import RedisStore
from app.storage.sqlite import SqliteStore
from app.storage.sqlite_file import FILE, LOCK
from app.storage.sqlite_migrations import MIGRATIONS
from service_tests.disks import small_disk
from service_tests.processes import free_port
from service_tests.storage.records import PLENTY, record
from service_tests.storage.servers import redis_server


def check(**settings: object) -> Finding:
    return store.check(Settings.model_validate(settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A state folder as a server leaves it that is killed: the record is in the log only."""

    async def copy() -> None:
        async with SqliteStore(tmp_path / "served", PLENTY) as served:
            await served.put(record(1), [], now=0)
            shutil.copytree(tmp_path / "served", tmp_path / "killed")

    asyncio.run(copy())
    assert (tmp_path / "killed" / f"{FILE}-wal").stat().st_size > 0
    return tmp_path / "killed"


def test_memory_loses_adaptations() -> None:
    assert check(store="memory").message == "memory, which loses all adaptations when the server stops"


def test_a_new_folder_is_not_created(tmp_path: Path) -> None:
    finding = check(state_dir=tmp_path / "new/state")
    assert finding.message == f"sqlite; the server will create {tmp_path / 'new/state' / FILE}"
    assert not (tmp_path / "new").exists()


def test_what_a_killed_server_has_left_is_read_and_stays(killed: Path) -> None:
    before = contents(killed)
    finding = check(state_dir=killed)
    assert (finding.mark, finding.message) == ("ok", f"sqlite; {killed / FILE} has schema {len(MIGRATIONS)}")
    assert contents(killed) == before


def test_a_folder_that_a_server_uses(tmp_path: Path) -> None:
    async def served() -> Finding:
        async with SqliteStore(tmp_path, PLENTY):
            return check(state_dir=tmp_path)

    finding = asyncio.run(served())
    assert (finding.mark, finding.message) == ("ok", f"sqlite; a server uses the folder {tmp_path} now")
    assert check(state_dir=tmp_path).message.endswith(f"has schema {len(MIGRATIONS)}")


@pytest.mark.parametrize(
    ("version", "mark", "message"),
    [
        (1, "ok", f"has schema 1, which the server will migrate to {len(MIGRATIONS)}"),
        (99, "problem", f"{FILE}: expected a schema up to {len(MIGRATIONS)}, got 99: start the newer version"),
    ],
)
def test_another_schema(tmp_path: Path, version: int, mark: str, message: str) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = {version}")
    before = contents(tmp_path)
    finding = check(state_dir=tmp_path)
    assert finding.mark == mark
    assert message in finding.message
    assert contents(tmp_path) == before


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(bytes(range(256)) * 64)
    finding = check(state_dir=tmp_path)
    assert finding.mark == "problem"
    assert "restore the file from a backup, or move it away" in finding.message


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    finding = check(state_dir=tmp_path / "state")
    assert finding.mark == "problem"
    assert finding.message.endswith(": set INNERLOOP_STATE_DIR to a folder")


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        disk.set_writable(False)
        finding = check(state_dir=disk.folder / "state")
        disk.set_writable(True)
        assert finding.mark == "problem"
        assert f"{disk.folder / 'state'}: expected a folder that the server may write to" in finding.message
        assert "mount its file system writable" in finding.message
        assert not (disk.folder / LOCK).exists()


class Redis:
    """A redis server, and a client of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"

    def call(self, *words: object) -> object:
        with redis.Redis(port=self.port) as client:
            return client.execute_command(*words)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    port = free_port()
    with redis_server(tmp_path, port):
        yield Redis(port)


def test_a_redis_that_no_server_has_used_stays_empty(server: Redis) -> None:
    finding = check(store="redis", redis_url=server.url)
    assert (finding.mark, finding.message) == ("ok", "Redis, which answers; no server has used it yet")
    assert server.call("DBSIZE") == 0


def test_a_redis_of_a_server(server: Redis) -> None:
    async def use() -> None:
        async with RedisStore(server.url, PLENTY):
            pass

    asyncio.run(use())
    keys = server.call("KEYS", "*")
    finding = check(store="redis", redis_url=server.url)
    assert (finding.mark, finding.message) == ("ok", "Redis, which answers")
    assert server.call("KEYS", "*") == keys


def test_a_redis_of_a_newer_server(server: Redis) -> None:
    server.call("SET", "innerloop:schema", 99)
    finding = check(store="redis", redis_url=server.url)
    assert finding.mark == "problem"
    assert "got 99: start the newer version of Innerloop" in finding.message


def test_a_redis_with_another_programs_key_stays(server: Redis) -> None:
    server.call("SET", "innerloop:schema", "x")
    finding = check(store="redis", redis_url=server.url)
    assert (finding.mark, server.call("GET", "innerloop:schema")) == ("problem", b"x")
    assert server.call("DBSIZE") == 1


def test_a_redis_that_wants_a_password(server: Redis) -> None:
    server.call("CONFIG", "SET", "requirepass", "secret")
    finding = check(store="redis", redis_url=server.url)
    assert finding.mark == "problem"
    assert "set the user and the password in INNERLOOP_REDIS_URL" in finding.message


def test_a_redis_that_is_a_replica(server: Redis) -> None:
    server.call("REPLICAOF", "127.0.0.1", free_port())
    finding = check(store="redis", redis_url=server.url)
    assert finding.mark == "problem"
    assert "set INNERLOOP_REDIS_URL to the primary" in finding.message


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("redis://127.0.0.1:9/0", "check that Redis runs, and that INNERLOOP_REDIS_URL is its address"),
        ("http://127.0.0.1", "INNERLOOP_REDIS_URL: expected a URL such as redis://127.0.0.1:6379/0"),
    ],
)
def test_no_redis(url: str, fix: str) -> None:
    finding = check(store="redis", redis_url=url)
    assert finding.mark == "problem"
    assert fix in finding.message
