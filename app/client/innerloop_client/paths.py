"""What users choose of a request besides its body: parts of its path, and its key."""

import re
import uuid
from typing import Any
from urllib.parse import quote

from innerloop_client.errors import UnsupportedInput

KEY, MAX_KEY = re.compile("[!-~]+"), 255
"""What the server takes as Idempotency-Key."""


def segment(name: str, value: Any) -> str:
    """A text as a part of a path. Raises UnsupportedInput. name: of the argument"""
    if not isinstance(value, str) or value in ("", ".", "..") or not sendable(value):
        raise UnsupportedInput(f"{name}: expected a name or an id, got {value!r}")
    return quote(value, safe="")


def sendable(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which is no character."""
    return text.encode(errors="ignore") == text.encode(errors="surrogatepass")


def number(name: str, value: Any) -> int:
    """A whole number as a part of a path. Raises UnsupportedInput. name: of the argument"""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UnsupportedInput(f"{name}: expected a whole number, got {value!r}")
    return int(value)


def new_key() -> str:
    """A new Idempotency-Key."""
    return uuid.uuid4().hex


def key_of(chosen: str | None, longest: int = MAX_KEY) -> str:
    """The Idempotency-Key of a call: the one that the user has chosen, or a new one. Raises UnsupportedInput."""
    if chosen is None:
        return new_key()
    if not isinstance(chosen, str) or not KEY.fullmatch(chosen) or len(chosen) > longest:
        expected = f"1 to {longest} printable ASCII characters without spaces"
        raise UnsupportedInput(f"idempotency_key: expected {expected}, got {_shown(chosen)}")
    return chosen


def _shown(chosen: Any) -> str:
    return f"{len(chosen)} characters" if isinstance(chosen, str) and len(chosen) > MAX_KEY // 2 else repr(chosen)
