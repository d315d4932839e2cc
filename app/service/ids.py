"""Ids: UUIDs of version 7 (RFC 9562), so that the newest is the greatest and a store appends."""

import os
from collections.abc import Callable, Iterator


def ids(clock: Callable[[], float]) -> Iterator[str]:
    """Ids as 32 hexadecimal digits, each greater than the one before.

    clock: seconds since the epoch; where it goes back, or more than 4096 ids are of one millisecond, time goes on
    """
    last = 0
    while True:
        # 48 bits of milliseconds, 12 bits that count within one
        last = max(last + 1, int(clock() * 1000) << 12)
        random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
        yield f"{last >> 12:012x}7{last & 0xFFF:03x}{1 << 63 | random:016x}"
