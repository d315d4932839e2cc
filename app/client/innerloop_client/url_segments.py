"""What users choose of the path of a request."""

from operator import index
from typing import Any
from urllib.parse import quote

from innerloop_client.errors import UnsupportedInput, shown

LONGEST = 255
"""Most characters of a name or an id. Models are named after folders, whose names are no longer."""


def segment(name: str, value: Any) -> str:
    """A name or an id as a part of a path. Raises UnsupportedInput. name: of the argument"""
    if isinstance(value, str) and len(value) > LONGEST:
        raise UnsupportedInput(f"{name}: expected a name or an id of at most {LONGEST} characters, got {len(value)}")
    if not isinstance(value, str) or not value.isprintable() or value in ("", ".", "..") or "/" in value:  # other paths
        raise UnsupportedInput(f"{name}: expected a name or an id, got {shown(value)}")
    return quote(value, safe="")


def number(name: str, value: Any) -> int:
    """A whole number as a part of a path. Raises UnsupportedInput. name: of the argument"""
    try:
        text = str(index(value))
    except (TypeError, ValueError) as error:  # ValueError: of thousands of digits
        raise UnsupportedInput(f"{name}: expected a whole number, got {shown(value)}") from error
    if isinstance(value, bool):
        raise UnsupportedInput(f"{name}: expected a whole number, got {value}")
    return int(text)
