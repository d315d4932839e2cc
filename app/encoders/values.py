"""How messages about rows name places and show values."""

import json
from typing import Any

import numpy as np

from app.errors import Invalid, shown

FILL_IN = "fill it in or leave the row out"


def place(row: int, *path: str | int) -> str:
    """The place of a value, relative to the rows: `[4].age`, `[4][0][27]` or `[4]["blood pressure"]`."""
    return f"[{row}]" + "".join(
        f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"
        for key in path
    )


def show(value: Any) -> str:
    """A value as messages repeat it: JSON for a scalar, and the type of anything else."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, np.generic):
        return show(value.item())
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer of more than 64 bits"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    names = {bytes: "bytes", dict: "an object", list: "an array", tuple: "an array", np.ndarray: "an array"}
    return names.get(type(value), f"a {type(value).__name__}")


def is_missing(value: Any) -> bool:
    """Whether a value is missing: null or NaN, which alone is unlike itself."""
    return value is None or (not isinstance(value, str) and bool(value != value))


def missing(where: str, expected: str, owner: str) -> Invalid:
    """The error for a missing value. owner: what takes none, such as `column age`"""
    return Invalid(where, expected, "a missing value", f"{owner} takes none, so {FILL_IN}")
