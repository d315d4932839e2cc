"""Ids: UUIDs of version 7 (RFC 9562), which ascend with time, so that a store appends."""

import os
from collections.abc import Callable, Iterator

RANDOM_BYTES = 8
"""Of an id."""
IDS_AT_ONCE = 256
"""Random bytes are read for so many ids. One read takes 1 us, and releases the interpreter's lock."""


def ids(clock: Callable[[], float]) -> Iterator[str]:
    """Yield ids of 32 hexadecimal digits, each greater than the one before.

    clock: seconds since the epoch. Where it goes back, or more than 4096 ids fall into one millisecond, the ids' time
        runs ahead of it
    """
    last = 0
    while True:
        many = os.urandom(IDS_AT_ONCE * RANDOM_BYTES)
        for start in range(0, len(many), RANDOM_BYTES):
            # 48 bits of milliseconds, and 12 bits that count within a millisecond
            last = max(last + 1, int(clock() * 1000) << 12)
            random = int.from_bytes(many[start : start + RANDOM_BYTES]) & (1 << 62) - 1
            yield f"{last >> 12 << 80 | 7 << 76 | (last & 0xFFF) << 64 | 1 << 63 | random:032x}"
