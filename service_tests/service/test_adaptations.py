"""What the routes cannot show of the life of adaptations."""

import asyncio
from typing import Any, cast

import pytest

from app.errors import StoreFailed
from app.service.adaptations import REMEMBERED_S, SWEEP_RECORDS, Adaptations, Policy
from app.service.catalogue import Catalogue
from app.service.engine import Engine


class Swept:
    """A store that only sweeps: it fails at first, then has some to remove."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, int]] = []
        self.left = [SWEEP_RECORDS, SWEEP_RECORDS, 3]

    async def sweep(self, before: float, limit: int) -> int:
        self.asked.append((before, limit))
        if len(self.asked) == 1:
            raise StoreFailed("the disk is full")
        return self.left.pop(0) if self.left else 0


def test_sweeping_goes_on_after_a_failure_and_takes_all_there_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.service.adaptations.SWEEP_S", 0.001)
    store = Swept()

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
        while len(store.asked) < 5:
            await asyncio.sleep(0.01)
        sweeping.cancel()

    asyncio.run(scenario())
    assert "the disk is full" in caplog.text
    assert set(store.asked) == {(1_000_000.0 - REMEMBERED_S, SWEEP_RECORDS)}
    assert store.left == []
