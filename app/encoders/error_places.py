"""How error messages about rows name places and show values."""

import json
import re
from datetime import datetime
from typing import Any

import numpy as np

from app.errors import MAX_SHOWN, Invalid, exact, shown

FILL_IN = "fill it in or leave the row out"
NAMES = {
    bytes: "bytes",
    datetime: "a timestamp",
    dict: "an object",
    list: "an array",
    tuple: "an array",
    np.ndarray: "an array",
}
"""Types as messages name them."""
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def place(row: int, *path: str | int) -> str:
    """The place of a value, relative to the rows: `[4].age`, `[4][0][27]` or `[4]["blood pressure"]`.

    Long names are cut. The place of a name that is cut already is the same.
    """
    return f"[{row}]" + "".join(map(key_of, path))


def key_of(key: str | int) -> str:
    """The part of a place for a column or an index: `.age`, `[27]` or `["blood pressure"]`."""
    if isinstance(key, int):
        return f"[{key}]"
    name = key if len(key) <= MAX_SHOWN else f"{key[: MAX_SHOWN - 3]}..."
    return f".{name}" if name.isidentifier() else f"[{json.dumps(name, ensure_ascii=False)}]"


def show(value: Any) -> str:
    """A value as messages repeat it: JSON for a scalar, and the type of anything else."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, np.floating):
        return exact(value)
    if isinstance(value, np.generic):
        return show(value.item())
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 64:
        return "a whole number of more than 64 bits"
    if isinstance(value, int | float):
        return exact(value) if isinstance(value, float) else str(value)
    return NAMES.get(type(value), f"a value of the type {type(value).__name__}")


def number_fix(value: Any, expected: str = "a number") -> str:
    """What to send instead of a value that is no number: a text that reads as one only has to lose its quotes."""
    return "send it without quotes" if isinstance(value, str) and NUMBER.fullmatch(value) else f"send {expected}"


def is_missing(value: Any) -> bool:
    """Whether a value is missing: null or NaN, which alone is unlike itself."""
    return value is None or (not isinstance(value, str) and bool(value != value))


def missing(where: str, expected: str, owner: str) -> Invalid:
    """The error for a missing value. owner: what takes none, such as `column age`"""
    return Invalid(where, expected, "a missing value", f"{owner} takes none, so {FILL_IN}")
