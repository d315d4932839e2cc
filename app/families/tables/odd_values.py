"""Columns that cannot be read as numbers, texts, true or false, or dates."""

from datetime import date, datetime
from decimal import Decimal

import numpy as np

from app.errors import DataError, expectation
from app.families.tables.raw_table import RawTable

TYPES = {str, bool, int, float, Decimal, date, datetime}
MAX_WHOLE = 1 << 53
"""Larger whole numbers are merged by float64, which models compute in."""
DIGITS = len(str(MAX_WHOLE))


def odd_values(raw: RawTable, name: str) -> str:
    """What is odd about the values of a column, such as `values of the type list`; empty if they can be used."""
    values = raw.columns[name]
    if values.dtype != object:
        return ""
    kinds = {type(value) for value in values if value is not None}
    odd = sorted(kind.__name__ for kind in kinds - TYPES)
    if odd:
        return f"values of the type {odd[0]}"
    return "whole numbers that float64 merges" if merges(raw, name) else ""


def merges(raw: RawTable, name: str) -> bool:
    """Whether different whole numbers of a column are one as float64."""
    values = raw.columns[name]
    if values.dtype != object:
        return False
    present = {value for value in values if value is not None and type(value) in (int, str)}
    whole = [_whole(value, is_text=raw.is_text) for value in present]
    large = {each for each in whole if each is not None and abs(each) > MAX_WHOLE}
    if not large or None in whole or len(str(max(large))) > 300:
        return False
    return len(set(map(float, large))) < len(large)


def check_tells_apart(raw: RawTable, name: str, option: str) -> None:
    """Raise DataError where a column that is named has whole numbers that float64 merges."""
    if merges(raw, name):
        actual = "larger ones, of which some become the same"
        fix = f"subtract the smallest, or add --categories {name} if they are codes"
        raise DataError(expectation(f"{option} {name}", f"whole numbers up to {MAX_WHOLE:,}", actual, fix))


def _whole(value: object, *, is_text: bool) -> int | None:
    if type(value) is int:
        return value
    text = str(value).strip()
    return int(text) if is_text and text.lstrip("+-").isdecimal() and len(text) < 1_000 else None


def as_float(value: object) -> float:
    """float64, NaN for None; infinite for a whole number that is larger than any."""
    if value is None:
        return np.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return np.inf
