"""The records that were asked for last."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from app.service.record import Adaptation
from app.service.store_protocol import Store
from app.service.task import ROW_BYTES, VALUE_BYTES
from app.storage.memory import MemoryStore
from app.storage.record_cache import OBJECTS_BYTES, RecordCache
from app.storage.sqlite import SqliteStore
from service_tests.storage.records import PLENTY, comparable, record, revised


def test_what_is_kept_is_got() -> None:
    cache, expected = RecordCache(), record(1)
    cache.put(("ann", "1"), expected, 10, cache.drops)
    assert cache.get(("ann", "1")) is expected
    assert cache.get(("bob", "1")) is None


def test_what_was_read_before_a_change_is_not_kept() -> None:
    cache = RecordCache()
    read = cache.drops
    cache.drop(("ann", "2"))
    cache.put(("ann", "1"), record(1), 10, read)
    assert cache.get(("ann", "1")) is None


@pytest.mark.parametrize("clear", [False, True])
def test_what_is_forgotten_is_gone(clear: bool) -> None:
    cache = RecordCache()
    cache.put(("ann", "1"), record(1), 10, cache.drops)
    cache.clear() if clear else cache.drop(("ann", "1"))
    assert cache.get(("ann", "1")) is None


def test_the_least_cachely_used_is_given_up_first() -> None:
    cache = RecordCache(max_bytes=2 * (OBJECTS_BYTES + 10))
    for number in (1, 2):
        cache.put(("ann", str(number)), record(number), 10, cache.drops)
    cache.get(("ann", "1"))
    cache.put(("ann", "3"), record(3), 10, cache.drops)
    assert [cache.get(("ann", each)) is not None for each in "123"] == [True, False, True]


def test_one_that_is_kept_twice_counts_once() -> None:
    cache = RecordCache(max_bytes=2 * (OBJECTS_BYTES + 10))
    for number in (1, 2, 2, 2):
        cache.put(("ann", str(number)), record(number), 10, cache.drops)
    assert cache.get(("ann", "1")) is not None


def test_one_that_is_too_large_is_not_kept() -> None:
    cache = RecordCache(max_bytes=OBJECTS_BYTES)
    cache.put(("ann", "1"), record(1), 10, cache.drops)
    assert cache.get(("ann", "1")) is None


def test_rows_of_a_table_count_as_much_as_their_objects_take() -> None:
    rows = np.empty(100, object)
    rows[:] = [[float(number), "blue"] for number in range(100)]
    cache = RecordCache(max_bytes=OBJECTS_BYTES + 10 + 100 * (ROW_BYTES + 2 * VALUE_BYTES))
    for number in (1, 2):
        cache.put(("ann", str(number)), record(number, inputs=rows), 10, cache.drops)
    assert [cache.get(("ann", each)) is not None for each in "12"] == [False, True]


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_a_store_answers_with_the_present_record(name: str, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        first = record(1, inputs=np.ones((3, 1), np.float32))
        await store.put(first, [], now=0)
        assert await store.get("ann", first.id) is await store.get("ann", first.id)
        second = revised(first, label="new")
        assert await store.replace(second, expected=1, erase=False)
        assert comparable(await _got(store, first)) == comparable(second)
        # refused: nothing has changed
        assert not await store.replace(revised(second), expected=1, erase=False)
        assert comparable(await _got(store, first)) == comparable(second)
        await store.delete("ann", first.id)
        assert await store.get("ann", first.id) is None
        other = record(2, expires_at=50)
        await store.put(other, [], now=0)
        await _got(store, other)
        assert await store.sweep(100, 10) == 1
        assert await store.get("ann", other.id) is None

    async def opened() -> None:
        async with MemoryStore(PLENTY) if name == "memory" else SqliteStore(tmp_path, PLENTY) as store:
            await scenario(store)

    asyncio.run(opened())


async def _got(store: Store, adaptation: Adaptation) -> Adaptation:
    loaded = await store.get(adaptation.owner, adaptation.id)
    assert loaded is not None
    return loaded
