"""What only the sqlite store promises: durability, erasure, one server a file, schemas, and life after an error."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from app.errors import StoreFailed
from app.service.record import Adaptation, Change
from app.service.store_protocol import Filter, Name, Usage
from app.storage import sqlite
from app.storage.record_encoding import VERSIONS, encode
from app.storage.sqlite import SqliteStore
from app.storage.sqlite_file import FILE, connect
from app.storage.sqlite_migrations import MIGRATIONS
from app.storage.sqlite_operations import MAX_UNCOUNTED
from app.storage.sqlite_write_ahead_log import MAX_LOG_BYTES, WriteAheadLog
from service_tests.processes import ROOT
from service_tests.storage.records import PLENTY, comparable, id_of, record, revised


def run(folder: Path, scenario: Callable[[SqliteStore], Awaitable[None]], *, fsync: bool = False) -> None:
    async def opened() -> None:
        async with SqliteStore(folder, PLENTY, fsync=fsync) as store:
            await scenario(store)

    asyncio.run(opened())


async def nothing(store: SqliteStore) -> None:
    pass


async def put_one(store: SqliteStore) -> None:
    await store.put(record(1), [], now=0)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "service_tests.storage.test_sqlite", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(1000)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split("\n")[:-1]

    async def scenario(store: SqliteStore) -> None:
        for each in acknowledged:
            loaded = await store.get("ann", each)
            assert comparable(loaded) == comparable(record(int(each[:12], 16)))
        records = len(await store.page("ann", Filter(), 10**6, None, now=0))
        assert records >= len(acknowledged) == len(set(acknowledged))
        assert (await store.usage("ann")).records == records

    run(tmp_path, scenario)


def put_forever(folder: Path) -> None:
    """Put records, many at once, and print the ids of those that were acknowledged."""
    numbers = count()

    async def put(store: SqliteStore) -> None:
        for number in numbers:
            await store.put(record(number), [], now=0)
            sys.stdout.write(f"{id_of(number)}\n")
            sys.stdout.flush()

    async def scenario(store: SqliteStore) -> None:
        await asyncio.gather(*(put(store) for _ in range(64)))

    run(folder, scenario)


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    run(tmp_path, put_one, fsync=True)

    async def scenario(store: SqliteStore) -> None:
        assert await store.get("ann", id_of(1)) is not None
        await store.put(record(2, owner="bob"), [], now=0)
        await store.put(record(3), [], now=0)
        assert [(await store.usage(owner)).records for owner in ("ann", "bob")] == [2, 1]

    run(tmp_path, scenario)


def test_usage_is_exact_between_the_writings_of_it(tmp_path: Path) -> None:
    """Also where the last records, which it counts already, were removed, and after a restart."""
    size, kept = len(encode(record(1))), set(range(1, MAX_UNCOUNTED + 10))

    async def check(store: SqliteStore) -> None:
        assert await store.usage("ann") == Usage(len(kept), size * len(kept))

    async def fill(store: SqliteStore) -> None:
        for number in sorted(kept):
            await store.put(record(number), [], now=0)
        await check(store)
        for _ in range(3):
            await store.delete("ann", id_of(last := max(kept)))
            kept.remove(last)
        await check(store)

    async def one_more(store: SqliteStore) -> None:
        await check(store)
        kept.add(next_number := max(kept) + 1)
        await store.put(record(next_number), [], now=0)
        await check(store)

    for scenario in (fill, one_more, one_more):
        run(tmp_path, scenario)


def traces(folder: Path, *patterns: bytes) -> list[bytes]:
    """Those of the patterns that are anywhere in the folder."""
    content = b"".join(file.read_bytes() for file in folder.iterdir())
    return [pattern for pattern in patterns if pattern in content]


RANDOM = np.random.default_rng(5)


def with_random_examples(number: int, rows: int) -> Adaptation:
    inputs = RANDOM.normal(size=(rows, 2)).astype(np.float32)
    return record(number, inputs=inputs, label=f"label {number:016}")


@pytest.mark.parametrize("rows", [5, 100, 5000])
def test_nothing_is_left_of_what_was_deleted(tmp_path: Path, rows: int) -> None:
    names = [Name("a key that nobody else has", b"the fingerprint of the request")]

    async def scenario(store: SqliteStore) -> None:
        kept = [revised(with_random_examples(0, rows), names=(names[0].name,))]
        kept += [with_random_examples(number, rows) for number in range(1, 20)]
        for number, each in enumerate(kept):
            await store.put(each, names if number == 0 else [], now=0)
        secrets = [b"a key that nobody else has", b"the fingerprint of the request"]
        assert traces(tmp_path, *secrets) == secrets
        for number, each in enumerate(kept[::2]):
            examples = [row.tobytes() for row in each.stages[0].inputs[:: rows // 5]]
            assert traces(tmp_path, *examples) == examples
            assert await store.delete("ann", each.id)
            label = f"label {2 * number:016}".encode()
            assert not traces(tmp_path, *examples, *secrets, label, bytes.fromhex(each.id))
        assert len(await store.page("ann", Filter(), 100, None, now=0)) == 10

    run(tmp_path, scenario)
    assert {file.name for file in tmp_path.iterdir()} == {FILE, "adaptations.lock", "reserve"}


@pytest.mark.parametrize("rows", [5, 100, 5000])
def test_nothing_is_left_of_an_example_that_was_forgotten(tmp_path: Path, rows: int) -> None:
    async def scenario(store: SqliteStore) -> None:
        kept = [with_random_examples(number, rows) for number in range(10)]
        await asyncio.gather(*(store.put(each, [], now=0) for each in kept))
        extended = [revised(each, label="in the log more than once") for each in kept]
        await asyncio.gather(*(store.replace(each, expected=1, erase=False) for each in extended))

        async def forget(each: Adaptation) -> bytes:
            (stage,) = each.stages
            left = np.arange(rows) != rows // 2
            stages = (
                stage._replace(numbers=stage.numbers[left], inputs=stage.inputs[left], targets=stage.targets[left]),
            )
            assert await store.replace(revised(each, stages=stages), expected=2, erase=True)
            return bytes(stage.inputs[rows // 2])

        forgotten = await asyncio.gather(*map(forget, extended))
        assert not traces(tmp_path, *forgotten)
        others = [each.stages[0].inputs[0].tobytes() for each in kept]
        assert traces(tmp_path, *others) == others

    run(tmp_path, scenario)


def test_a_reader_is_waited_for_before_what_is_deleted_is_gone(tmp_path: Path) -> None:
    async def scenario(store: SqliteStore) -> None:
        await put_one(store)
        reader = connect(tmp_path / FILE, fsync=False)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM adaptations").fetchall()
        deleting = asyncio.create_task(store.delete("ann", id_of(1)))
        await asyncio.sleep(0.2)
        assert not deleting.done()
        reader.close()
        assert await deleting

    run(tmp_path, scenario)


def test_a_reader_that_stays_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.sqlite_write_ahead_log.TIMEOUT_S", 0.1)

    async def scenario(store: SqliteStore) -> None:
        await put_one(store)
        reader = connect(tmp_path / FILE, fsync=False)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM adaptations").fetchall()
        putting, deleting = await asyncio.gather(
            store.put(record(2), [], now=0), store.delete("ann", id_of(1)), return_exceptions=True
        )
        reader.close()
        assert putting is None
        assert isinstance(deleting, StoreFailed)
        assert "close that program" in str(deleting)
        assert await store.delete("ann", id_of(2))

    run(tmp_path, scenario)


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    async def scenario(store: SqliteStore) -> None:
        with pytest.raises(StoreFailed, match=r"^Another server uses the folder .*INNERLOOP_STATE_DIR"):
            await SqliteStore(tmp_path, PLENTY).__aenter__()
        await put_one(store)

    run(tmp_path, scenario)
    run(tmp_path, nothing)


@pytest.mark.parametrize(("fsync", "level"), [(True, 2), (False, 1)])
def test_fsync_is_the_setting_of_the_connection_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool, level: int
) -> None:
    connections = []

    def connecting(file: Path, fsync: bool) -> sqlite3.Connection:
        connections.append(connect(file, fsync))
        return connections[-1]

    monkeypatch.setattr(sqlite, "connect", connecting)

    async def scenario(store: SqliteStore) -> None:
        for connection in connections:
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
            assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    run(tmp_path, scenario, fsync=fsync)


def schema(folder: Path) -> tuple[int, set[str]]:
    """The version and the tables."""
    connection = sqlite3.connect(folder / FILE)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    return version, tables


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / FILE).close()  # version 0
    run(tmp_path, put_one)
    version, tables = schema(tmp_path)
    assert version == len(MIGRATIONS)
    assert tables == {"owners", "models", "adaptations", "names"}

    later = (*MIGRATIONS, "CREATE TABLE later (a)", "CREATE TABLE latest (a); INSERT INTO latest VALUES (1)")
    monkeypatch.setattr(sqlite, "MIGRATIONS", later)

    async def scenario(store: SqliteStore) -> None:
        assert comparable(await store.get("ann", id_of(1))) == comparable(record(1))

    run(tmp_path, scenario)
    assert schema(tmp_path) == (len(later), tables | {"later", "latest"})


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, nothing)
    before = schema(tmp_path)
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE later (a); CREATE TABLE owners (a)"))
    with pytest.raises(StoreFailed, match="owners already exists"):
        run(tmp_path, nothing)
    assert schema(tmp_path) == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    run(tmp_path, nothing)
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreFailed, match=r"start the newer version.*INNERLOOP_STATE_DIR"):
        run(tmp_path, nothing)


def test_a_record_of_another_format_is_refused(tmp_path: Path) -> None:
    run(tmp_path, put_one)
    connection = sqlite3.connect(tmp_path / FILE)
    with connection:
        connection.execute(
            "UPDATE adaptations SET record = CAST(? || substr(record, 2) AS BLOB)", (bytes([max(VERSIONS) + 1]),)
        )
    connection.close()

    async def scenario(store: SqliteStore) -> None:
        with pytest.raises(
            StoreFailed, match=r"^adaptation \w{32}: expected a record .*: start the version of Innerloop that wrote it"
        ):
            await store.get("ann", id_of(1))

    run(tmp_path, scenario)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreFailed, match=rf'{FILE} does not work \("file is not a database"\): restore'):
        run(tmp_path, nothing)
    with pytest.raises(StoreFailed, match="set INNERLOOP_STATE_DIR to a folder"):
        run(tmp_path / FILE, nothing)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_after_an_error_of_the_disk_it_goes_on(tmp_path: Path) -> None:
    async def scenario(store: SqliteStore) -> None:
        await put_one(store)
        large = np.ones((50_000, 1), np.float32)
        with full_disk((tmp_path / f"{FILE}-wal").stat().st_size + 100_000):
            alone, *answers = await asyncio.gather(
                store.put(record(6), [], now=0),  # done at once, before the others have come
                store.put(record(2), [], now=0),
                store.put(record(3, inputs=large), [], now=0),
                store.put(record(4, owner="bob"), [], now=0),
                return_exceptions=True,
            )
            assert alone is None
            for answer in answers:
                assert isinstance(answer, StoreFailed)
                assert f"The database {tmp_path / FILE} does not work" in str(answer)
                assert "disk" in str(answer)
            assert await store.get("ann", id_of(1)) is not None
            assert await store.usage("bob") == Usage(0, 0)
            await store.put(record(5), [], now=0)
        assert await store.put(record(3, inputs=large), [], now=0) is None
        assert [int(each.id[:12], 16) for each in await store.page("ann", Filter(), 9, None, now=0)] == [6, 5, 3, 1]
        assert (await store.usage("ann")).records == 4

    run(tmp_path, scenario)


def test_the_log_stays_short_under_continuous_load(tmp_path: Path) -> None:
    wal = tmp_path / f"{FILE}-wal"
    numbers = iter(range(12_000))

    async def put(store: SqliteStore) -> None:
        for number in numbers:
            await store.put(record(number, inputs=np.ones((1000, 1), np.float32)), [], now=0)

    async def scenario(store: SqliteStore) -> None:
        await asyncio.gather(*(put(store) for _ in range(64)))
        assert (tmp_path / FILE).stat().st_size + wal.stat().st_size > 12_000 * 8000
        assert wal.stat().st_size < 5 * MAX_LOG_BYTES

    run(tmp_path, scenario)


def test_a_long_log_that_a_reader_holds_has_to_wait(tmp_path: Path) -> None:
    run(tmp_path, put_one)
    writer, copier, reader = (connect(tmp_path / FILE, fsync=False) for _ in range(3))
    errors: list[sqlite3.Error] = []
    log = WriteAheadLog(tmp_path, writer, copier, errors.append)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM adaptations").fetchone()
    writer.execute("UPDATE adaptations SET expires_at = 1")
    assert log.note_written(MAX_LOG_BYTES + 1, patient=False), "it is not long yet"
    assert not log.note_written(MAX_LOG_BYTES, patient=False)
    assert not log.note_written(0, patient=False), "nobody has waited yet"
    assert log.note_written(0, patient=True)
    assert log.note_written(0, patient=False), "it has waited, and waits again when as much more is written"
    reader.execute("COMMIT")
    log.close()
    assert not errors
    for connection in (writer, copier, reader):
        connection.close()


def test_history_that_is_long_stays_as_it_was(tmp_path: Path) -> None:
    async def scenario(store: SqliteStore) -> None:
        await put_one(store)
        last = record(1)
        for number in range(1, 200):
            last = revised(last, next_example=number)
            assert await store.replace(last, expected=number, erase=False)
        loaded = await store.get("ann", last.id)
        assert comparable(loaded) == comparable(last)
        assert loaded is not None
        assert loaded.revision == 200
        assert {each.change for each in loaded.history[1:]} == {Change.extended}

    run(tmp_path, scenario)


if __name__ == "__main__":
    put_forever(Path(sys.argv[1]))
