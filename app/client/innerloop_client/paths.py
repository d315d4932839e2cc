"""What users choose of the path of a request."""

from typing import Any
from urllib.parse import quote

from innerloop_client.errors import UnsupportedInput


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
