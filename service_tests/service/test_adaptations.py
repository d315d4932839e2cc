"""Sweeping expired records, which the routes cannot show."""

import asyncio
from typing import Any, cast

import pytest

from app.errors import StoreFailed
from app.service.adaptations import REMEMBERED_S, SWEEP_RECORDS, Adaptations, Policy
from app.service.catalogue import Catalogue
from app.service.engine import Engine


class SweepingStore:
    """A store that can only sweep. The first sweep fails, and the next ones remove `counts` records."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int]] = []
        self.counts = [SWEEP_RECORDS, SWEEP_RECORDS, 3]

    async def sweep(self, before: float, limit: int) -> int:
        self.calls.append((before, limit))
        if len(self.calls) == 1:
            raise StoreFailed("the disk is full")
        return self.counts.pop(0) if self.counts else 0


def test_sweeping_continues_after_a_failure_until_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.service.adaptations.SWEEP_S", 0.001)
    store = SweepingStore()

    async def scenario() -> None:
        service = Adaptations(
            Catalogue(lambda _: cast("Any", None)),
            Engine(0),
            cast("Any", None),
            cast("Any", store),
            Policy(60, False, 10),
            lambda: 1_000_000.0,
        )
        sweeping = asyncio.create_task(service.sweep())
        while len(store.calls) < 5:
            await asyncio.sleep(0.01)
        sweeping.cancel()

    asyncio.run(scenario())
    assert "the disk is full" in caplog.text
    assert set(store.calls) == {(1_000_000.0 - REMEMBERED_S, SWEEP_RECORDS)}
    assert store.counts == []
