"""Cells of a CSV as values, by the type of their column."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.encoders.error_places import show
from app.errors import Invalid

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
OF_NUMBERS = re.compile(r"[0-9+\-.eE]*")
"""Only characters of numbers: then `float` reads what `NUMBER` matches, and nothing else."""
MAX_DIGITS = 18
"""An integer with more digits is read as a float, as it may not fit into 64 bits."""
BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "": None}
MISSING = {"nan", "na", "n/a", "null", "none", "-"}
"""What some write where a value is missing."""


def read_cells(cells: Sequence[str], column: Mapping[str, Any]) -> list[Any]:
    """The values of a column as JSON would have them, None for an empty cell.

    column: its `type` and, for a category, the `categories` of training, as in `Encoder.describe`

    Raises Invalid with the row for a place, such as `[4]`. What only the encoder can refuse stays a string.
    """
    match column["type"]:
        case "number":
            return read_numbers(cells)
        case "boolean":
            return _booleans(cells)
        case "category":
            return _categories(cells, column["categories"])
    return [cell or None for cell in cells]


def read_numbers(cells: Sequence[str]) -> list[float | None]:
    """Decimal numbers; infinity where one is too large. Raises Invalid as `read_cells` does."""
    if OF_NUMBERS.fullmatch("".join(cells)):
        with suppress(ValueError):
            return [float(cell) if cell else None for cell in cells]
    row, cell = next((row, cell) for row, cell in enumerate(cells) if cell and not NUMBER.fullmatch(cell))
    fix = "write decimals with a point" if "," in cell else ""
    if cell.lower() in MISSING:
        fix = "leave the cell empty if the value is missing"
    raise Invalid(f"[{row}]", "a number", show(cell), fix)


def _booleans(cells: Sequence[str]) -> list[bool | None]:
    for row, cell in enumerate(cells):
        if cell.lower() not in BOOLEANS:
            raise Invalid(f"[{row}]", "true or false", show(cell))
    return [BOOLEANS[cell.lower()] for cell in cells]


def _categories(cells: Sequence[str], categories: Sequence[Any]) -> list[Any]:
    """Strings, or numbers and booleans where the categories of training have such."""
    types = set(map(type, categories))
    if types == {str}:
        return [cell or None for cell in cells]
    strings = {each for each in categories if isinstance(each, str)}
    return [_category(cell, strings, types) for cell in cells]


def _category(cell: str, strings: set[str], types: set[type]) -> Any:
    if not cell or cell in strings:
        return cell or None
    if bool in types and cell.lower() in ("true", "false"):
        return BOOLEANS[cell.lower()]
    if types & {int, float} and NUMBER.fullmatch(cell):
        digits = cell.lstrip("+-")
        return int(cell) if digits.isdigit() and len(digits) <= MAX_DIGITS else float(cell)
    return cell
