import asyncio
import logging

import pytest

from app.service import health
from app.service.health import Health, check


def test_a_condition_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    conditions = Health()
    assert (conditions.degraded, conditions.unavailable) == ({}, None)
    conditions.end("disk")
    for free in (3, 2, 1):
        conditions.begin("disk", f"{free} MB free")
    conditions.begin("store", "it is away", "the store cannot be read")
    assert conditions.degraded == {"disk": "1 MB free", "store": "it is away"}
    assert conditions.unavailable == "the store cannot be read"
    conditions.begin("store", "it is read-only")
    assert conditions.unavailable is None
    conditions.end("store")
    conditions.end("disk")
    conditions.end("disk")
    assert conditions.degraded == {}
    assert [each.getMessage() for each in caplog.records] == [
        "degraded: disk: 3 MB free",
        "degraded: store: it is away",
        "no longer degraded: store",
        "no longer degraded: disk",
    ]


def test_parts_are_checked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_S", 0.001)
    checked = []

    async def one() -> None:
        checked.append(1)

    async def two() -> None:
        checked.append(2)

    async def scenario() -> None:
        checking = asyncio.create_task(check(one, two))
        while len(checked) < 6:
            await asyncio.sleep(0.001)
        checking.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert checked[:4] == [1, 2, 1, 2]
