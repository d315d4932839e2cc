"""Numbers written as text: decimal points or commas, with or without thousands separators.

A column is read in one way. What could be read in two ways is an error, unless `--decimal` says which.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DECIMAL_COMMAS = "decimal commas"
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?")
SPACE_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}([ \u00a0\u202f]\d{3})+([.,]\d*)?")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
LONG = re.compile(r"[+-]?\d{4,}(\D.*)?")
"""A number of at least a thousand, without separators."""


class Reading(NamedTuple):
    """How the texts of a column are read as numbers.

    numbers: float64 [value], NaN where a text is no number
    note: the interpretation, if it is not plain numbers
    ambiguous: what could be read in two ways, empty if nothing
    """

    numbers: np.ndarray
    note: str = ""
    ambiguous: str = ""


def read_numbers(texts: Sequence[str], decimal: str = "") -> Reading:
    """Read the texts of a column, in which none is missing.

    decimal: `.` or `,`, where the user says which; otherwise the texts tell
    """
    if decimal != ",":
        plain = _plain(texts)
        if not np.isnan(plain).any():
            return Reading(plain)
    stripped = [text.strip() for text in texts]
    groups = [text for text in stripped if COMMA_GROUPS.fullmatch(text)]
    commas = [text for text in stripped if DECIMAL_COMMA.fullmatch(text)]
    only_decimal = [text for text in commas if not COMMA_GROUPS.fullmatch(text)]
    if decimal == "," or (decimal != "." and only_decimal and not any("." in text for text in stripped)):
        numbers = _plain([_with_point(text) for text in stripped])
        return Reading(numbers, DECIMAL_COMMAS)
    if groups:
        return _grouped(stripped, groups, decimal)
    if any(SPACE_GROUPS.fullmatch(text) for text in stripped):
        numbers = _plain([re.sub(r"(?<=\d)[ \u00a0\u202f](?=\d{3})", "", text) for text in stripped])
        return Reading(numbers, "thousands separated by spaces")
    return Reading(_plain(stripped))


def _grouped(texts: Sequence[str], groups: Sequence[str], decimal: str) -> Reading:
    """Commas with three digits after each: thousands, unless other numbers of a thousand have none."""
    numbers = _plain([text.replace(",", "") if COMMA_GROUPS.fullmatch(text) else text for text in texts])
    note = "commas between thousands"
    if decimal == ".":
        return Reading(numbers, note)
    long = next((text for text in texts if LONG.fullmatch(text)), None)
    if long is not None:
        return Reading(numbers, note, f"{groups[0]} beside {long}")
    sure = any(text.count(",") > 1 or "." in text for text in groups)
    return Reading(numbers, note, "" if sure else f"{groups[0]}, which may be a thousand times as much")


def _with_point(text: str) -> str:
    if POINT_GROUPS.fullmatch(text):
        text = text.replace(".", "")
    return text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text


def _plain(texts: Sequence[str]) -> np.ndarray:
    """float64, NaN for what is no plain number."""
    return np.array([float(text) if PLAIN.fullmatch(text.strip()) else np.nan for text in texts], np.float64)
