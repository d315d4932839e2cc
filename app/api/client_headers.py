"""The headers of a request, and what X-Timeout-Ms and Idempotency-Key say."""

import asyncio
import re
from collections.abc import Mapping, Sequence

from app.errors import Invalid, shown

MAX_KEY_LENGTH, KEY_PATTERN = 255, "[!-~]+"
"""Of the Idempotency-Key header."""
KEY = re.compile(KEY_PATTERN)
MAX_WAIT_MS = 86_400_000
"""The largest value of the X-Timeout-Ms header."""


def by_name(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Headers by name. The values of one that is repeated are joined by ", " (RFC 9110, 5.3)."""
    values = dict(headers)
    if len(values) < len(headers):
        values = {name: b", ".join(value for each, value in headers if each == name) for name in values}
    return values


def read_deadline(header: bytes) -> float:
    """X-Timeout-Ms as the event loop's time at which it ends. Raises Invalid."""
    # the length comes first: a very long number takes long to read, or cannot be read
    if not header.isdigit() or len(header) > 20 or not 1 <= int(header) <= MAX_WAIT_MS:
        expected = f"a whole number from 1 to {MAX_WAIT_MS}"
        raise Invalid("X-Timeout-Ms", expected, shown(header.decode("latin-1")))
    return asyncio.get_running_loop().time() + int(header) / 1000


def read_key(header: bytes) -> str:
    """Idempotency-Key. Raises Invalid."""
    key = header.decode("latin-1")
    if len(key) > MAX_KEY_LENGTH or not KEY.fullmatch(key):
        expected = f"1 to {MAX_KEY_LENGTH} ASCII characters without spaces"
        actual = f"{len(key)} characters" if len(key) > MAX_KEY_LENGTH else shown(key)
        raise Invalid("Idempotency-Key", expected, actual)
    return key
