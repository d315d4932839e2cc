"""One suite over every store: they are equals."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import QuotaExceeded
from app.learn.adaptation_outcome import Status
from app.service.record import Adaptation, Change, InnerLoopSettings, Revision
from app.service.store_protocol import PAGE_BYTES, Filter, Name, NameHolder, Quota, Store, Usage
from app.service.stored_examples import Stage
from app.storage.memory import MemoryStore
from app.storage.record_encoding import encode
from app.storage.redis import RedisStore
from app.storage.sqlite import SqliteStore
from service_tests.storage.records import DIGEST, PLENTY, comparable, id_of, record, revised

Scenario = Callable[[Store], Awaitable[None]]
Run = Callable[..., None]

STORES = ["memory", "redis", "sqlite"]


@pytest.fixture(params=STORES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a scenario with each of the stores, empty."""

    def make(quota: Quota) -> Store:
        match request.param:
            case "memory":
                return MemoryStore(quota)
            case "sqlite":
                return SqliteStore(tmp_path, quota, fsync=False)
            case "redis":
                url = request.getfixturevalue("redis_url")
                return RedisStore(url, quota, prefix=f"test:{tmp_path.name}")
        raise AssertionError(request.param)

    def run(scenario: Scenario, quota: Quota = PLENTY) -> None:
        async def opened() -> None:
            async with make(quota) as store:
                await scenario(store)

        asyncio.run(opened())

    return run


def floats(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


FULL = Adaptation(
    id=id_of(1),
    owner="ann:%é",
    model="sinusoid: 2",
    kind="regression",
    settings=InnerLoopSettings(7, 0.1),
    steps=7,
    learning_rate=0.1,
    stages=(
        Stage(1, np.array([0, 2], np.int32), floats([[0.1, 2], [3, 4]]), floats([[5], [6]])),
        Stage(3, np.array([3], np.int32), floats([[7, 8]]), floats([[9]])),
    ),
    next_example=4,
    history=(
        Revision(1, Change.adapted, 3, DIGEST, 100.125),
        Revision(2, Change.forgot, 2, DIGEST, 101.5, 1),
        Revision(3, Change.extended, 3, "another", 102.1),
    ),
    losses=(float(np.float32(0.1)), float(np.float32(3e38)), 0.0),
    status=Status.no_progress,
    created_at=100.125,
    expires_at=1234567890.123456,
    label="Pumpe 17 — 泵",
    pinned=True,
    quality={"coverage": 0.9, "ranks": [1, 2], "nested": {"a": None, "ü": True}},
    names=("key", "content"),
)
FULL_NAMES = [Name("key", b"f" * 32), Name("content", b"")]


LABELLED = replace(
    FULL,
    kind="classification",
    stages=(
        FULL.stages[0]._replace(targets=np.array(["ü 🜲", ""], object)),
        FULL.stages[1]._replace(targets=np.array(["ü 🜲\0"], object)),
    ),
)


@pytest.mark.parametrize("stored", [FULL, LABELLED], ids=["numbers", "labels"])
def test_what_is_put_is_got(run: Run, stored: Adaptation) -> None:
    async def scenario(store: Store) -> None:
        assert await store.put(stored, FULL_NAMES, now=0) is None
        loaded = await store.get(stored.owner, stored.id)
        assert loaded is not None
        assert comparable(loaded) == comparable(stored)
        assert loaded.labels == stored.labels
        assert [comparable(each) for each in await store.page(stored.owner, Filter(), 9, None, now=0)] == [
            comparable(stored)
        ]

    run(scenario)


def test_every_sequence_of_examples_left_is_got(run: Run) -> None:
    async def scenario(store: Store) -> None:
        for number, numbers in enumerate(([0], [5], [0, 1], [0, 2], [3, 4, 5], [3, 5, 6], [300, 70_000])):
            rows = len(numbers)
            stage = Stage(
                1, np.array(numbers, np.int32), np.zeros((rows, 3), np.float32), np.ones((rows, 2), np.float32)
            )
            stored = revised(record(number), stages=(stage,))
            await store.put(stored, [], now=0)
            assert comparable(await store.get("ann", stored.id)) == comparable(stored)

    run(scenario)


def test_what_is_no_id_finds_nothing(run: Run) -> None:
    async def scenario(store: Store) -> None:
        stored = record(0xABC)
        await store.put(stored, [], now=0)
        for wrong in ("", "a", "é", "%00", stored.id.upper(), stored.id[:-1], f" {stored.id}", id_of(2)):
            assert await store.get("ann", wrong) is None
            assert not await store.delete("ann", wrong)
        assert await store.page("ann", Filter(), 9, before="zzz", now=0) == []

    run(scenario)


def test_an_id_is_put_once(run: Run) -> None:
    async def scenario(store: Store) -> None:
        first = record(1, label="first")
        await store.put(first, [], now=0)
        answers = await asyncio.gather(
            store.put(record(2), [], now=0),
            store.put(record(1, label="second"), [], now=0),
            store.put(record(3), [], now=0),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [type(None), ValueError, type(None)]
        assert comparable(await store.get("ann", first.id)) == comparable(first)
        assert (await store.usage("ann")).records == 3
        with pytest.raises(ValueError, match="hexadecimal"):
            await store.put(revised(first, id="a"), [], now=0)
        with pytest.raises(ValueError, match="names"):
            await store.put(record(4), FULL_NAMES, now=0)

    run(scenario)


def test_a_name_belongs_to_the_first_that_lives(run: Run) -> None:
    key, content = Name("key", b"one"), Name("content", b"two")

    async def scenario(store: Store) -> None:
        assert await store.name_holder("ann", "key", now=0) is None
        assert await store.put(record(1, names=[key], expires_at=50), [key], now=0) is None
        assert await store.name_holder("ann", "key", now=49) == NameHolder(id_of(1), key)
        again = Name("key", b"three")
        assert await store.put(record(2, names=[content, again]), [content, again], now=49) == NameHolder(id_of(1), key)
        assert await store.get("ann", id_of(2)) is None
        assert await store.name_holder("ann", "content", now=49) is None
        assert await store.usage("ann") == Usage(1, len(encode(record(1, names=[key], expires_at=50))))

        assert await store.name_holder("ann", "key", now=50) is None
        assert await store.put(record(2, names=[content, again]), [content, again], now=50) is None
        assert await store.name_holder("ann", "key", now=50) == NameHolder(id_of(2), again)
        assert await store.get("ann", id_of(1)) is not None
        await store.sweep(before=51, limit=9)
        assert await store.get("ann", id_of(1)) is None
        assert await store.name_holder("ann", "key", now=50) == NameHolder(id_of(2), again)
        assert await store.delete("ann", id_of(2))
        assert await store.name_holder("ann", "key", now=50) is None
        assert await store.put(record(3, names=[key]), [key], now=50) is None

    run(scenario)


def test_of_requests_with_one_name_at_the_same_time_one_is_kept(run: Run) -> None:
    async def scenario(store: Store) -> None:
        names = [Name("key", b"one")]
        puts = [store.put(record(number, names=names), names, now=0) for number in range(20)]
        answers = await asyncio.gather(*puts)
        (stored,) = [number for number, answer in enumerate(answers) if answer is None]
        assert set(answers) == {None, NameHolder(id_of(stored), names[0])}
        assert (await store.usage("ann")).records == 1

    run(scenario)


def test_a_record_is_replaced_if_it_has_not_changed(run: Run) -> None:
    names = [Name("key", b"one"), Name("content", b"two")]

    async def scenario(store: Store) -> None:
        first = record(1, names=names, label="old")
        await store.put(first, names, now=0)
        second = revised(first, names=("key",), label="new", expires_at=300.0, model="linear")
        assert not await store.replace(second, expected=2, erase=False)
        assert comparable(await store.get("ann", first.id)) == comparable(first)
        assert await store.replace(second, expected=1, erase=False)
        assert not await store.replace(second, expected=1, erase=False)
        assert comparable(await store.get("ann", first.id)) == comparable(second)
        assert await store.usage("ann") == Usage(1, len(encode(second)))
        assert await store.name_holder("ann", "key", now=250) == NameHolder(first.id, names[0])
        assert await store.name_holder("ann", "content", now=0) is None

        async def found(filter: Filter) -> list[str]:
            return [each.id for each in await store.page("ann", filter, 9, None, now=0)]

        assert await found(Filter()) == [first.id]
        assert await found(Filter(model="sinusoid")) == await found(Filter(label="old")) == []
        assert await found(Filter("linear")) == await found(Filter(None, "new")) == await found(Filter("linear", "new"))
        assert await found(Filter("linear", "new")) == [first.id]
        assert await store.sweep(before=250, limit=9) == 0
        assert await store.delete("ann", first.id)
        assert not await store.replace(revised(second), expected=2, erase=True)

    run(scenario)


@pytest.mark.parametrize("erase", [False, True])
def test_of_two_changes_of_one_revision_one_wins(run: Run, erase: bool) -> None:
    async def scenario(store: Store) -> None:
        first = record(1)
        await store.put(first, [], now=0)
        changes = [revised(first, label=label) for label in ("a", "b")]
        won = await asyncio.gather(*(store.replace(each, expected=1, erase=erase) for each in changes))
        assert sorted(won) == [False, True]
        assert comparable(await store.get("ann", first.id)) == comparable(changes[won.index(True)])

    run(scenario)


def test_what_is_deleted_is_gone(run: Run) -> None:
    names = [Name("key", b"one")]

    async def scenario(store: Store) -> None:
        await store.put(record(1, names=names, label="x"), names, now=0)
        assert await store.delete("ann", id_of(1))
        assert not await store.delete("ann", id_of(1))
        assert await store.get("ann", id_of(1)) is None
        assert await store.name_holder("ann", "key", now=0) is None
        assert await store.page("ann", Filter(label="x"), 9, None, now=0) == []
        assert await store.usage("ann") == Usage(0, 0)
        assert await store.sweep(before=1e9, limit=9) == 0

    run(scenario)


def test_a_page_of_large_records_ends_early(run: Run) -> None:
    async def scenario(store: Store) -> None:
        rows = np.zeros((PAGE_BYTES // 4 // 2, 1), np.float32)
        stages = (Stage(1, np.arange(len(rows), dtype=np.int32), rows, rows[:, :0]),)
        for number in range(5):
            await store.put(replace(record(number), stages=stages), [], now=0)
        seen: list[str] = []
        sizes = []
        while page := await store.page("ann", Filter(), 10, seen[-1] if seen else None, now=0):
            seen += [each.id for each in page]
            sizes.append(len(page))
        assert seen == [id_of(number) for number in reversed(range(5))]
        assert max(sizes) <= 3

    run(scenario)


def test_pages(run: Run) -> None:
    async def scenario(store: Store) -> None:
        order = [*range(1, 25, 2), *range(0, 25, 2)]  # not the order of the ids
        await asyncio.gather(*(store.put(record(number), [], now=0) for number in order))
        seen: list[str] = []
        sizes = []
        while page := await store.page("ann", Filter(), 10, seen[-1] if seen else None, now=0):
            seen += [each.id for each in page]
            sizes.append(len(page))
        assert seen == [id_of(number) for number in reversed(range(25))]
        assert sizes == [10, 10, 5]
        for number in range(3, 23):
            assert await store.delete("ann", id_of(number))
        left = await store.page("ann", Filter(), 10, id_of(24), now=0)
        assert [each.id for each in left] == [id_of(number) for number in (23, 2, 1, 0)]

    run(scenario)


def test_pages_of_a_filter(run: Run) -> None:
    async def scenario(store: Store) -> None:
        for number in range(12):
            model, label = ("a", "b", "a%")[number % 3], (None, "x", "x:", "X")[number % 4]
            await store.put(record(number, model=model, label=label), [], now=0)

        async def found(filter: Filter, before: int | None = None) -> list[int]:
            page = await store.page("ann", filter, 2, None if before is None else id_of(before), now=0)
            return [int(each.id[:12], 16) for each in page]

        assert await found(Filter(model="a")) == [9, 6]
        assert await found(Filter(model="a"), before=6) == [3, 0]
        assert await found(Filter(label="x")) == [9, 5]
        assert await found(Filter(label="x"), before=5) == [1]
        assert await found(Filter("a", "x")) == [9]
        assert await found(Filter("a", "x:")) == [6]
        assert await found(Filter("c", "x")) == await found(Filter("A")) == await found(Filter(label="")) == []

    run(scenario)


def test_the_expired_are_not_listed_but_got(run: Run) -> None:
    async def scenario(store: Store) -> None:
        for number in range(150):
            await store.put(record(number, label="x", expires_at=50 if number > 5 else 200), [], now=0)
        for passed in (Filter(), Filter("sinusoid"), Filter(None, "x"), Filter("sinusoid", "x")):
            page = await store.page("ann", passed, 4, None, now=50)
            assert [each.id for each in page] == [id_of(number) for number in (5, 4, 3, 2)]
        assert await store.get("ann", id_of(100)) is not None
        assert len(await store.page("ann", Filter(), 4, None, now=49)) == 4

    run(scenario)


def test_owners_know_nothing_of_each_other(run: Run) -> None:
    names = [Name("key", b"one")]

    async def scenario(store: Store) -> None:
        hers = record(1, owner="ann", names=names, label="x")
        await store.put(hers, names, now=0)
        for other in ("bob", "an", "ann:", ""):
            assert await store.get(other, hers.id) is None
            assert not await store.delete(other, hers.id)
            assert not await store.replace(revised(hers, owner=other), expected=1, erase=True)
            assert await store.name_holder(other, "key", now=0) is None
            for passed in (Filter(), Filter("sinusoid"), Filter(None, "x"), Filter("sinusoid", "x")):
                assert await store.page(other, passed, 9, None, now=0) == []
            assert await store.usage(other) == Usage(0, 0)
        assert comparable(await store.get("ann", hers.id)) == comparable(hers)
        assert await store.put(record(2, owner="bob", names=names), names, now=0) is None

    run(scenario)


def test_only_so_many_that_expired_before_are_swept(run: Run) -> None:
    async def scenario(store: Store) -> None:
        names = {number: [Name(f"key {number}", b"")] for number in range(200)}
        for number in range(200):
            expired = record(number, "ann" if number % 2 else "bob", names=names[number], expires_at=10.0 + number)
            await store.put(expired, names[number], now=0)
        assert await store.sweep(before=10, limit=9) == 0
        assert await store.sweep(before=13, limit=2) == 2
        assert [await store.get("bob", id_of(number)) is None for number in (0, 2)] == [True, False]
        assert await store.sweep(before=13, limit=2) == 1
        assert await store.get("ann", id_of(3)) is not None
        assert await store.sweep(before=190, limit=1000) == 177
        assert [(await store.usage(owner)).records for owner in ("ann", "bob")] == [10, 10]
        assert await store.name_holder("ann", "key 3", now=0) is None
        assert await store.name_holder("ann", "key 199", now=0) is not None
        assert await store.sweep(before=1e9, limit=1000) == 20
        assert [await store.usage(owner) for owner in ("ann", "bob")] == [Usage(0, 0)] * 2

    run(scenario)


def test_an_owner_keeps_so_many(run: Run) -> None:
    names = [Name("key", b"")]

    async def scenario(store: Store) -> None:
        await store.put(record(1, names=names), names, now=0)
        answers = await asyncio.gather(
            *(store.put(record(number), [], now=0) for number in (2, 3, 4)), return_exceptions=True
        )
        (refused,) = [answer for answer in answers if answer is not None]
        assert isinstance(refused, QuotaExceeded)
        assert "3 adaptations" in str(refused)
        assert (await store.usage("ann")).records == 3
        # who repeats a request is told what came of it
        assert await store.put(record(5, names=names), names, now=0) == NameHolder(id_of(1), names[0])
        assert await store.put(record(6, owner="bob"), [], now=0) is None
        assert await store.replace(revised(record(1)), expected=1, erase=False)
        assert await store.delete("ann", id_of(1))
        assert await store.put(record(7), [], now=0) is None

    run(scenario, Quota(records=3, bytes=10**9))


def test_an_owner_keeps_so_many_bytes(run: Run) -> None:
    small = record(1)
    large = revised(small, stages=record(1, inputs=np.ones((100, 1), np.float32)).stages)
    room = 2 * len(encode(small)) + 50

    async def scenario(store: Store) -> None:
        await store.put(small, [], now=0)
        await store.put(record(2), [], now=0)
        assert await store.usage("ann") == Usage(2, 2 * len(encode(small)))
        with pytest.raises(QuotaExceeded, match=f"{room} bytes"):
            await store.put(record(3), [], now=0)
        with pytest.raises(QuotaExceeded, match=f"{room} bytes"):
            await store.replace(large, expected=1, erase=False)
        assert comparable(await store.get("ann", small.id)) == comparable(small)
        labelled = revised(small, label="a little more")
        assert await store.replace(labelled, expected=1, erase=True)
        assert await store.usage("ann") == Usage(2, len(encode(small)) + len(encode(labelled)))

    run(scenario, Quota(records=9, bytes=room))


def test_many_at_once(run: Run) -> None:
    async def scenario(store: Store) -> None:
        assert set(await asyncio.gather(*(store.put(record(number), [], now=0) for number in range(200)))) == {None}
        assert (await store.usage("ann")).records == 200
        assert len(await store.page("ann", Filter(), 1000, None, now=0)) == 200
        assert await asyncio.gather(*(store.delete("ann", id_of(number)) for number in range(200))) == [True] * 200

    run(scenario)


def test_one_that_is_cancelled_does_not_disturb_the_others(run: Run) -> None:
    async def scenario(store: Store) -> None:
        puts = [asyncio.create_task(store.put(record(number), [], now=0)) for number in range(40)]
        await asyncio.sleep(0)
        for number in range(0, 40, 3):
            puts[number].cancel()
        answers = await asyncio.gather(*puts, return_exceptions=True)
        for number, answer in enumerate(answers):
            if answer is None:
                assert await store.get("ann", id_of(number)) is not None
            else:
                assert isinstance(answer, asyncio.CancelledError)
        assert answers[1] is answers[2] is None
        assert await store.put(record(100), [], now=0) is None

    run(scenario)


def test_what_is_large_is_kept_and_replaced(run: Run) -> None:
    rows = iter((20_000, 3, 5_000))

    def examples() -> np.ndarray:
        return np.random.default_rng(0).normal(size=(next(rows), 4)).astype(np.float32)

    async def scenario(store: Store) -> None:
        stored = record(1, inputs=examples())
        await store.put(stored, [], now=0)
        for expected in (1, 2):
            stored = revised(stored, stages=record(1, inputs=examples()).stages)
            assert await store.replace(stored, expected=expected, erase=expected == 1)
            assert comparable(await store.get("ann", stored.id)) == comparable(stored)
        assert await store.usage("ann") == Usage(1, len(encode(stored)))

    run(scenario)


def test_no_quota_keeps_anybody_from_forgetting(run: Run) -> None:
    stored = record(1)
    longer = revised(stored, label="a longer record, as its history is")

    async def scenario(store: Store) -> None:
        await store.put(stored, [], now=0)
        with pytest.raises(QuotaExceeded):
            await store.replace(longer, expected=1, erase=False)
        assert await store.replace(longer, expected=1, erase=True)
        assert await store.usage("ann") == Usage(1, len(encode(longer)))

    run(scenario, Quota(records=9, bytes=len(encode(stored))))
