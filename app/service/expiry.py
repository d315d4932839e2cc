"""When adaptations expire: what an expired id is answered, and when its record is removed."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from app.errors import ExpiredAdaptation, StoreFailed, UnknownAdaptation
from app.service.record import Adaptation
from app.service.store_protocol import Store

REMEMBERED_S = 86_400
"""For so long an expired id is answered "expired", and after that "unknown"."""
SWEEP_S, SWEEP_RECORDS = 30, 1000
"""How often expired records are removed, and how many at a time."""


def check_not_expired(adaptation: Adaptation | None, id: str, now: float) -> Adaptation:
    """The same. Raises UnknownAdaptation where there is none any more, and ExpiredAdaptation where it has expired.

    now: seconds since the epoch
    """
    if adaptation is None or adaptation.expires_at + REMEMBERED_S <= now:
        raise UnknownAdaptation(id)
    if adaptation.expires_at <= now:
        raise ExpiredAdaptation(datetime.fromtimestamp(adaptation.expires_at, UTC))
    return adaptation


async def sweep(store: Store, clock: Callable[[], float]) -> None:
    """Remove records that expired so long ago that their ids need not be remembered, again and again."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            while await store.sweep(clock() - REMEMBERED_S, SWEEP_RECORDS) == SWEEP_RECORDS:
                pass
        except StoreFailed:  # the store has reported it; the next time may succeed
            continue
