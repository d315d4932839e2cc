"""What users choose of the path of a request."""

from typing import Any
from urllib.parse import quote

from innerloop_client.errors import UnsupportedInput

LONGEST = 255
"""Characters of a name or an id: a model has the name of a folder."""


def segment(name: str, value: Any) -> str:
    """A name or an id as a part of a path. Raises UnsupportedInput. name: of the argument"""
    is_text = isinstance(value, str) and value.isprintable() and len(value) <= LONGEST
    if not is_text or value in ("", ".", ".."):  # dots would be another path
        raise UnsupportedInput(f"{name}: expected a name or an id, got {value!r}")
    return quote(value, safe="")


def number(name: str, value: Any) -> int:
    """A whole number as a part of a path. Raises UnsupportedInput. name: of the argument"""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UnsupportedInput(f"{name}: expected a whole number, got {value!r}")
    return int(value)
