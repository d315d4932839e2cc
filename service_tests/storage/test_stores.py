"""One suite over every store: they are equals."""

import asyncio
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from app.learn.adapted import Status
from app.service.store import Adaptation, Store
from app.service.task import Task
from app.storage.memory import MemoryStore

STORES: dict[str, Callable[[], Store]] = {"memory": MemoryStore}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest) -> Store:
    return STORES[request.param]()


def record(name: str, created_at: float = 100.0, expires_at: float = 200.0) -> Adaptation:
    task = Task(np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32), steps=5, learning_rate=0.01)
    return Adaptation(
        name, "sinusoid", "digest", "regression", task, (2.0, 1.0), Status.improved, "pump 17", created_at, expires_at
    )


def test_what_is_put_is_got(store: Store) -> None:
    async def scenario() -> None:
        put = record("a")
        await store.put(put)
        found = await store.get("a")
        assert found is not None
        assert dataclasses.replace(found, task=put.task) == put
        assert np.array_equal(found.task.inputs, np.ones((2, 1)))
        assert await store.get("b") is None

    asyncio.run(scenario())


def test_what_is_deleted_is_gone(store: Store) -> None:
    async def scenario() -> None:
        await store.put(record("a"))
        assert await store.delete("a")
        assert not await store.delete("a")
        assert await store.get("a") is None
        await store.forget_expired(before=1e9)

    asyncio.run(scenario())


def test_the_newest_come_first_and_the_expired_not_at_all(store: Store) -> None:
    async def scenario() -> None:
        for index, name in enumerate("abcd"):
            await store.put(record(name, created_at=index, expires_at=50 if name == "c" else 200))
        assert [each.id for each in await store.newest(2, now=60)] == ["d", "b"]
        assert [each.id for each in await store.newest(9, now=10)] == ["d", "c", "b", "a"]

    asyncio.run(scenario())


def test_only_what_expired_before_is_forgotten(store: Store) -> None:
    async def scenario() -> None:
        await store.put(record("early", expires_at=10))
        await store.put(record("late", expires_at=20))
        await store.forget_expired(before=15)
        assert await store.get("early") is None
        assert await store.get("late") is not None

    asyncio.run(scenario())
