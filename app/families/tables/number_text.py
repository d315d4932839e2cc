"""Numbers written as text: decimal points or commas, with or without thousands separators.

A column is read in one way. What could be read in two ways is an error, unless `--decimal` says which.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

DECIMAL_COMMAS = "decimal commas"
PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity)", re.IGNORECASE)
COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?")
SPACE_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}([ \u00a0\u202f'\u2019]\d{3})+([.,]\d*)?")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
LONG = re.compile(r"[+-]?\d{4,}(\D.*)?")
"""A number of at least a thousand, without separators."""
SURE_POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}((\.\d{3})+,\d*|(\.\d{3}){2,})")
"""That is no number with a decimal point."""
LEADING_ZERO = re.compile(r"0[0-9]+")
"""A whole number that is a code, such as 00037."""
MINUS = str.maketrans("\u2212", "-")
UNITS = re.compile(r"[$€£¥%‰°]|\b(USD|EUR|GBP|CHF)\b")


class Reading(NamedTuple):
    """How the texts of a column are read as numbers.

    numbers: float64 [value], NaN where a text is no number
    note: the interpretation, if it is not plain numbers
    ambiguous: what could be read in two ways, empty if nothing
    point_groups: a number with a point that may separate thousands, where nothing in the column shows what points are
    """

    numbers: np.ndarray
    note: str = ""
    ambiguous: str = ""
    point_groups: str = ""


def read_numbers(texts: Sequence[str], decimal: str = "") -> Reading:
    """Read the texts of a column, in which none is missing.

    decimal: `.` or `,`, where the user says which; otherwise the texts tell
    """
    stripped = [text.strip().translate(MINUS) for text in texts]
    with_point = [text for text in stripped if "." in text]
    point_groups = [text for text in with_point if POINT_GROUPS.fullmatch(text)]
    if decimal != "," or not point_groups:
        plain = _plain(stripped)
        if not np.isnan(plain).any():
            open_to_doubt = not decimal and point_groups and len(point_groups) == len(with_point)
            return Reading(plain, point_groups=point_groups[0] if open_to_doubt else "")
    if decimal == "," or _shows_decimal_commas(stripped, decimal):
        return _with_commas(stripped)
    groups = [text for text in stripped if COMMA_GROUPS.fullmatch(text)]
    if groups:
        return _grouped(stripped, groups, decimal)
    if any(SPACE_GROUPS.fullmatch(text) for text in stripped):
        numbers = _plain([re.sub(r"(?<=\d)[ \u00a0\u202f'\u2019](?=\d{3})", "", text) for text in stripped])
        apostrophes = any("'" in text or "\u2019" in text for text in stripped)
        return Reading(numbers, f"thousands separated by {'apostrophes' if apostrophes else 'spaces'}")
    return Reading(_plain(stripped))


def decimal_mark(texts: Sequence[str]) -> str:
    """`.` or `,` where a column is all numbers and shows which is decimal, else empty."""
    reading = read_numbers(texts)
    if reading.ambiguous or reading.point_groups or np.isnan(reading.numbers).any():
        return ""
    if reading.note == DECIMAL_COMMAS:
        return ","
    return "." if any("." in text for text in texts) else ""


def units_in(texts: Sequence[str]) -> str:
    """The sign, such as %, that most texts have beside a number; empty if they are no such numbers."""
    matches = [UNITS.search(text) for text in texts]
    signs = [sign[0] for sign in matches if sign]
    if len(signs) <= len(texts) / 2:
        return ""
    bare = read_numbers([UNITS.sub("", text) for text in texts])
    return signs[0] if np.isfinite(bare.numbers).mean() > 1 / 2 else ""


def leading_zero(texts: Iterable[object]) -> str:
    """The first text that is a whole number with a zero before it, such as 00037; empty if there is none."""
    stripped = (text.strip() for text in texts if isinstance(text, str))
    return next((text for text in stripped if LEADING_ZERO.fullmatch(text)), "")


def _shows_decimal_commas(texts: Sequence[str], decimal: str) -> bool:
    """Whether commas can only be decimal."""
    if any(SURE_POINT_GROUPS.fullmatch(text) for text in texts):
        return decimal != "."
    commas = [text for text in texts if DECIMAL_COMMA.fullmatch(text)]
    groups = [text for text in commas if COMMA_GROUPS.fullmatch(text)]
    if len(commas) == len(groups) or any("." in text for text in texts):
        return False
    return not (decimal == "." and groups)


def _with_commas(texts: Sequence[str]) -> Reading:
    """Decimal commas; a point in a number separates thousands, or is a mistake."""
    numbers = _plain([_with_point(text) for text in texts])
    wrong = _point_decimal(texts)
    others = [text for text in texts if text != wrong]
    if wrong and all(POINT_GROUPS.fullmatch(text) or "," in text or PLAIN.fullmatch(text) for text in others):
        other = next((text for text in others if POINT_GROUPS.fullmatch(text) or "," in text), others[0])
        return Reading(numbers, DECIMAL_COMMAS, f"{wrong} beside {other}")
    return Reading(numbers, DECIMAL_COMMAS)


def _point_decimal(texts: Sequence[str]) -> str:
    """The first number whose point is decimal."""
    numbers = (text for text in texts if "." in text and PLAIN.fullmatch(text))
    return next((text for text in numbers if not POINT_GROUPS.fullmatch(text)), "")


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
    """A number with a decimal comma as Python writes it; a number with a decimal point is none."""
    if POINT_GROUPS.fullmatch(text):
        text = text.replace(".", "")
    elif "." in text:
        return ""
    return text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text


def _plain(texts: Sequence[str]) -> np.ndarray:
    """float64, NaN for what is no plain number."""
    return np.array([float(text) if PLAIN.fullmatch(text) else np.nan for text in texts], np.float64)
