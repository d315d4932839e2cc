"""The keys by which the server recognises a repeated request."""

import re
import secrets
import time
from typing import Any

from innerloop_client.errors import UnsupportedInput, shown

KEY, MAX_KEY = re.compile("[!-~]+"), 255
"""What the server takes."""


def new_key() -> str:
    """A new Idempotency-Key. It begins with the time, because keys that increase are stored faster."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


def key_of(chosen: str | None, longest: int = MAX_KEY) -> str:
    """The Idempotency-Key of a call: the one that the user has chosen, or a new one. Raises UnsupportedInput."""
    if chosen is None:
        return new_key()
    if not isinstance(chosen, str) or not KEY.fullmatch(chosen) or len(chosen) > longest:
        expected = f"1 to {longest} printable ASCII characters without spaces"
        raise UnsupportedInput(f"idempotency_key: expected {expected}, got {_shown(chosen)}")
    return chosen


def _shown(chosen: Any) -> str:
    return f"{len(chosen)} characters" if isinstance(chosen, str) and len(chosen) > MAX_KEY // 2 else shown(chosen)
