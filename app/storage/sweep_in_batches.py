"""Sweeping in small transactions, so that others are served between two of them."""

from collections.abc import Awaitable, Callable

SWEPT_AT_ONCE = 64
"""Records in one transaction."""


async def sweep_in_batches(sweep: Callable[[int], Awaitable[int]], limit: int) -> int:
    """Delete at most `limit` records; sweep: deletes at most a number of them. Both return how many were deleted."""
    swept = 0
    while swept < limit:
        size = min(limit - swept, SWEPT_AT_ONCE)
        deleted = await sweep(size)
        swept += deleted
        if deleted < size:
            break
    return swept
