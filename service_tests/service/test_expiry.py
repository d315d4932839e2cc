"""Removing expired records, and what an id is answered after its time."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from app.errors import ExpiredAdaptation, StoreFailed, UnknownAdaptation
from app.service import expiry
from app.service.expiry import REMEMBERED_S, SWEEP_RECORDS, check_not_expired, sweep
from service_tests.storage.records import id_of, record


class SweepingStore:
    """A store that only sweeps: it fails at first, then has records to remove."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int]] = []
        self.removals = [SWEEP_RECORDS, SWEEP_RECORDS, 3]

    async def sweep(self, before: float, limit: int) -> int:
        self.calls.append((before, limit))
        if len(self.calls) == 1:
            raise StoreFailed("the disk is full")
        return self.removals.pop(0) if self.removals else 0


def test_sweeping_goes_on_after_a_failure_and_removes_everything_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expiry, "SWEEP_S", 0.001)
    store = SweepingStore()

    async def scenario() -> None:
        sweeping = asyncio.create_task(sweep(cast("Any", store), lambda: 1_000_000.0))
        while len(store.calls) < 5:
            await asyncio.sleep(0.01)
        sweeping.cancel()

    asyncio.run(scenario())
    assert set(store.calls) == {(1_000_000.0 - REMEMBERED_S, SWEEP_RECORDS)}
    assert store.removals == []


def test_an_id_is_expired_for_a_day_and_then_unknown() -> None:
    assert REMEMBERED_S == 24 * 60 * 60
    adaptation, key = replace(record(1), expires_at=200.0), id_of(1)
    assert check_not_expired(adaptation, key, now=199.9) is adaptation
    for now in (200.0, 199.9 + REMEMBERED_S):
        with pytest.raises(ExpiredAdaptation):
            check_not_expired(adaptation, key, now)
    for gone, now in ((adaptation, 200.0 + REMEMBERED_S), (None, 0.0)):
        with pytest.raises(UnknownAdaptation):
            check_not_expired(gone, key, now)
